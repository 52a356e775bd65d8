//! The modules of a crate: beside one another in a folder, arrows never go in a circle.
//!
//! A folder's own module (`mod.rs`) stands above what is in the folder and beside nothing in it, so
//! arrows between the two are not looked at. A name that a module passes on (`pub use`) counts as
//! the module where it is at home.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::visit::Visit;

const CRATES: &[&str] =
    &["types", "env", "storage", "cluster", "query", "protocol", "server", "conformance", "sim", "."];

/// A module's way down from the root of its crate.
type Place = Vec<String>;

#[derive(Default)]
struct Module {
    /// Names that it passes on, and the paths they have.
    passed_on: BTreeMap<String, Vec<String>>,
    /// Paths that its code mentions, as they are written.
    mentioned: Vec<Vec<String>>,
}

/// The modules of a crate.
#[derive(Default)]
struct Modules(BTreeMap<Place, Module>);

#[expect(clippy::disallowed_methods, reason = "the test reads the sources")]
fn source(path: &Path) -> syn::File {
    let text = std::fs::read_to_string(path).unwrap();
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Modules {
    fn of(layer: &str) -> Self {
        // Tests run in the package's folder, wherever they were built.
        let root = Path::new(layer).join("src");
        let mut modules = Self::default();
        for name in ["lib.rs", "main.rs"] {
            if root.join(name).exists() {
                modules.add(&root, Vec::new(), source(&root.join(name)).items);
            }
        }
        modules
    }

    /// Adds a module whose children's files lie in `folder`.
    fn add(&mut self, folder: &Path, place: Place, items: Vec<syn::Item>) {
        let mut module = self.0.remove(&place).unwrap_or_default();
        for item in items.into_iter().filter(|item| !is_for_tests(item)) {
            match item {
                syn::Item::Mod(child) => {
                    let name = child.ident.to_string();
                    let below: Place = place.iter().cloned().chain([name.clone()]).collect();
                    let items = match child.content {
                        Some((_, items)) => items,
                        None => {
                            let flat = folder.join(format!("{name}.rs"));
                            let path = if flat.exists() { flat } else { folder.join(&name).join("mod.rs") };
                            source(&path).items
                        }
                    };
                    self.add(&folder.join(name), below, items);
                }
                syn::Item::Use(statement) => {
                    let mut paths = Vec::new();
                    flatten(&statement.tree, Vec::new(), &mut paths);
                    for (name, path) in paths {
                        module.mentioned.push(path.clone());
                        module.passed_on.insert(name, path);
                    }
                }
                item => Mentions(&mut module.mentioned).visit_item(&item),
            }
        }
        self.0.insert(place, module);
    }

    /// The module where what `path` means, written in the module `from`, is at home.
    fn home(&self, from: &Place, path: &[String], steps: usize) -> Option<Place> {
        let mut at = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            // A child of the module, or a name that it has from elsewhere.
            name if self.0.contains_key(&[from.as_slice(), &[name.to_owned()]].concat()) => {
                [from.as_slice(), &[name.to_owned()]].concat()
            }
            name => {
                let passed = self.0.get(from)?.passed_on.get(name)?;
                let is_own = passed.first().is_some_and(|first| first == name);
                return if steps == 0 || is_own { None } else { self.home(from, passed, steps - 1) };
            }
        };
        for name in &path[1..] {
            let below = [at.as_slice(), std::slice::from_ref(name)].concat();
            if name == "super" {
                at.pop()?;
            } else if self.0.contains_key(&below) {
                at = below;
            } else if let Some(passed) = self.0[&at].passed_on.get(name).filter(|_| steps > 0) {
                return self.home(&at, passed, steps - 1).or(Some(at));
            } else {
                break;
            }
        }
        Some(at)
    }

    /// Arrows between modules of one folder: folder, from, to.
    fn arrows(&self) -> BTreeSet<(Place, String, String)> {
        let mut arrows = BTreeSet::new();
        for (from, module) in &self.0 {
            for path in &module.mentioned {
                let Some(to) = self.home(from, path, 8) else { continue };
                let shared = from.iter().zip(&to).take_while(|(left, right)| left == right).count();
                if let (Some(left), Some(right)) = (from.get(shared), to.get(shared)) {
                    arrows.insert((from[..shared].to_vec(), left.clone(), right.clone()));
                }
            }
        }
        arrows
    }
}

fn is_for_tests(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "test")
    })
}

/// The names that a `use` brings, each with its path.
fn flatten(tree: &syn::UseTree, before: Vec<String>, out: &mut Vec<(String, Vec<String>)>) {
    let with = |name: &syn::Ident| -> Vec<String> {
        before.iter().cloned().chain((name != "self").then(|| name.to_string())).collect()
    };
    match tree {
        syn::UseTree::Path(path) => {
            let next = before.iter().cloned().chain([path.ident.to_string()]).collect();
            flatten(&path.tree, next, out);
        }
        syn::UseTree::Name(name) => {
            let path = with(&name.ident);
            out.push((path.last().cloned().unwrap_or_default(), path));
        }
        syn::UseTree::Rename(rename) => out.push((rename.rename.to_string(), with(&rename.ident))),
        syn::UseTree::Glob(_) => out.push(("*".into(), before)),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before.clone(), out);
            }
        }
    }
}

/// Collects the paths that code mentions.
struct Mentions<'a>(&'a mut Vec<Vec<String>>);

impl Visit<'_> for Mentions<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        if path.segments.len() > 1 {
            self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, statement: &syn::ItemUse) {
        let mut paths = Vec::new();
        flatten(&statement.tree, Vec::new(), &mut paths);
        self.0.extend(paths.into_iter().map(|(_, path)| path));
    }
}

/// A circle among arrows, if there is one: the modules on it, the first one twice.
fn circle(arrows: &BTreeMap<&str, BTreeSet<&str>>) -> Option<Vec<String>> {
    fn walk<'a>(
        at: &'a str,
        arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|module| *module == at) {
            return Some(way[start..].iter().chain([&at]).map(|&module| module.to_owned()).collect());
        }
        if !done.insert(at) {
            return None;
        }
        way.push(at);
        let found = arrows.get(at).into_iter().flatten().find_map(|next| walk(next, arrows, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|start| walk(start, arrows, &mut Vec::new(), &mut done))
}

#[test]
fn modules_beside_one_another_have_no_circle() {
    let mut circles = Vec::new();
    for layer in CRATES {
        let modules = Modules::of(layer);
        assert!(modules.0.len() > 3, "{layer}: the sources were not found");
        let arrows = modules.arrows();
        let folders: BTreeSet<&Place> = arrows.iter().map(|(folder, _, _)| folder).collect();
        for folder in folders {
            let mut between: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (_, from, to) in arrows.iter().filter(|(other, _, _)| other == folder) {
                between.entry(from).or_default().insert(to);
            }
            while let Some(circle) = circle(&between) {
                circles.push(format!("{layer}/src/{}: {}", folder.join("/"), circle.join(" -> ")));
                // There may be more: this one is seen, so its first arrow goes.
                between.get_mut(&*circle[0]).map(|to| to.remove(&*circle[1]));
            }
        }
    }
    assert!(circles.is_empty(), "modules that need one another:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found_through_a_name_that_is_passed_on() {
    let mut modules = Modules::default();
    let text = "mod a { use super::b::B; pub struct A; }
        mod b { pub struct B; fn f() { crate::A::new() } }
        mod c { use crate::{a::A, b::B}; }
        pub use a::A;";
    modules.add(Path::new("/nowhere"), Vec::new(), syn::parse_file(text).unwrap().items);
    let arrows = modules.arrows();
    let pairs: Vec<(&str, &str)> = arrows.iter().map(|(_, from, to)| (&**from, &**to)).collect();
    assert_eq!(pairs, [("a", "b"), ("b", "a"), ("c", "a"), ("c", "b")]);
    let mut between: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in &pairs {
        between.entry(from).or_default().insert(to);
    }
    assert_eq!(circle(&between).unwrap(), ["a", "b", "a"]);
    between.remove("b");
    assert_eq!(circle(&between), None);
}
