//! The layers of docs/ARCHITECTURE.md: no crate depends on one above it.

use std::collections::{BTreeMap, BTreeSet};

/// What each crate may depend on, among our own.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("env", &[]),
    ("storage", &["types", "env"]),
    ("cluster", &["types", "env", "storage"]),
    ("query", &["types", "env", "cluster"]),
    ("protocol", &["types"]),
    ("server", &["types", "env", "storage", "cluster", "query", "protocol"]),
    ("sim", &["types", "env", "storage", "cluster", "query", "protocol", "server"]),
];

#[expect(clippy::disallowed_methods, reason = "the test reads the sources")]
fn manifest(layer: &str) -> toml::Table {
    let path = format!("{}/{layer}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn own_dependencies(layer: &str) -> BTreeSet<String> {
    let manifest = manifest(layer);
    let dependencies = manifest.get("dependencies").and_then(|table| table.as_table());
    let names = dependencies.into_iter().flat_map(|table| table.keys());
    names.filter_map(|name| name.strip_prefix("dodona-")).map(str::to_owned).collect()
}

#[test]
fn no_crate_depends_on_one_above_it() {
    for (layer, allowed) in LAYERS {
        for dependency in own_dependencies(layer) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{layer} depends on {dependency}, which stands above it"
            );
        }
    }
}

#[test]
fn every_member_of_the_workspace_has_a_layer() {
    let known: BTreeSet<&str> = LAYERS.iter().map(|(layer, _)| *layer).collect();
    let root = manifest(".");
    let members = root["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    assert_eq!(members, known);
}

#[test]
fn the_layers_have_no_cycle() {
    let mut heights: BTreeMap<&str, usize> = BTreeMap::new();
    for (layer, allowed) in LAYERS {
        let height = allowed
            .iter()
            .map(|below| heights.get(below).expect("a layer stands above those it uses") + 1)
            .max();
        heights.insert(layer, height.unwrap_or(0));
    }
}

/// The files of a crate's modules, by their module paths.
#[expect(clippy::disallowed_methods, reason = "the test reads the sources")]
fn modules(directory: &std::path::Path, path: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") };
        if file.is_dir() {
            modules(&file, &join(&stem), found);
        } else if !stem.ends_with("_tests") && stem != "lib" {
            let module = if stem == "mod" { path.to_owned() } else { join(&stem) };
            found.insert(module, std::fs::read_to_string(&file).unwrap());
        }
    }
}

/// The modules of `known` that a source imports from, of which `module` is one.
fn imports(module: &str, source: &str, known: &BTreeMap<String, String>) -> BTreeSet<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let is_folder = known.keys().any(|other| other.starts_with(&format!("{module}::")));
    // A folder's own file stands for the folder: what is `super` to its parts.
    let above = if is_folder { module } else { parent };
    let uses = source.lines().filter_map(|line| line.strip_prefix("use "));
    let paths = uses.flat_map(|line| {
        let (path, names) =
            line.trim_end_matches(';').split_once("::{").unwrap_or((line.trim_end_matches(';'), ""));
        let names = names.trim_end_matches('}').split(", ").map(|name| format!("{path}::{name}"));
        names.map(|path| path.trim_end_matches("::").to_owned()).collect::<Vec<_>>()
    });
    let absolute = paths.filter_map(|path| {
        path.strip_prefix("crate::").map(str::to_owned).or_else(|| {
            let rest = path.strip_prefix("super::")?;
            let above = if is_folder { parent } else { above };
            Some(if above.is_empty() { rest.to_owned() } else { format!("{above}::{rest}") })
        })
    });
    let module_of = |path: String| {
        let mut path = path.as_str();
        loop {
            if known.contains_key(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    absolute.filter_map(module_of).filter(|other| other != module).collect()
}

#[test]
fn the_modules_of_storage_have_no_cycle() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("storage/src");
    let mut known = BTreeMap::new();
    modules(&directory, "", &mut known);
    let mut left: BTreeMap<&String, BTreeSet<String>> =
        known.iter().map(|(module, source)| (module, imports(module, source, &known))).collect();
    assert!(left.values().map(BTreeSet::len).sum::<usize>() > 100, "the imports are not found any more");
    while !left.is_empty() {
        let done: Vec<&String> = left
            .iter()
            .filter(|(_, uses)| uses.iter().all(|other| !left.contains_key(other)))
            .map(|(module, _)| *module)
            .collect();
        assert!(!done.is_empty(), "these modules use each other in a circle: {left:#?}");
        done.iter().for_each(|module| drop(left.remove(module)));
    }
}
