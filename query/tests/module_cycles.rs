//! The crate's modules depend on each other in one direction.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "reads the crate's source")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The files of a module and of those inside it, without tests.
fn source_of(path: &Path, out: &mut String) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            source_of(&entry.unwrap().path(), out);
        }
    } else if path.to_str().is_some_and(|path| path.ends_with(".rs") && !path.ends_with("_tests.rs")) {
        out.push_str(&std::fs::read_to_string(path).unwrap());
    }
}

#[test]
fn no_module_depends_on_itself_by_way_of_others() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = std::fs::read_to_string(source.join("lib.rs")).unwrap();
    let modules: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod "))?.strip_suffix(';'))
        .collect();
    assert!(modules.len() > 10);
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for module in &modules {
        let mut text = String::new();
        for place in [source.join(format!("{module}.rs")), source.join(module)] {
            if place.exists() {
                source_of(&place, &mut text);
            }
        }
        let named = text.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            &rest[..end]
        });
        let others = modules.iter().filter(|other| *other != module);
        let named: BTreeSet<&str> = named.collect();
        needs.insert(module, others.copied().filter(|other| named.contains(other)).collect());
    }
    // Takes away what needs nothing that is left, until nothing is left, or nothing can be taken.
    while let Some(module) = needs.iter().find(|(_, needed)| needed.is_empty()).map(|(module, _)| *module) {
        needs.remove(module);
        needs.values_mut().for_each(|needed| {
            needed.remove(module);
        });
    }
    assert!(needs.is_empty(), "these depend on each other in a circle: {needs:#?}");
}
