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
    ("conformance", &["types", "cluster", "query"]),
    ("sim", &["types", "env", "storage", "cluster", "query", "protocol", "server", "conformance"]),
];

#[expect(clippy::disallowed_methods, reason = "the test reads the sources")]
fn manifest(layer: &str) -> toml::Table {
    // Tests run in the package's folder, wherever they were built.
    let path = format!("{layer}/Cargo.toml");
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
