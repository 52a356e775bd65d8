//! The scripts, and what is in them.

macro_rules! scripts {
    ($($name:literal)*) => {
        /// All scripts: their names, and what is in them.
        pub const SCRIPTS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../tests/conformance/", $name, ".cql.txt")))),*];
    };
}

scripts! {
    "aggregates"
    "arithmetic"
    "batches"
    "bound"
    "casts"
    "columns_again"
    "columns_again_nested"
    "compact_storage"
    "compression"
    "conditional"
    "corners"
    "counters"
    "creating"
    "deletes"
    "differential"
    "dropped_columns"
    "filtering"
    "found"
    "functions"
    "json"
    "key_types"
    "lexical"
    "lists"
    "literals"
    "more"
    "order_group"
    "pages"
    "random_changes"
    "random_groups"
    "random_json"
    "random_reads"
    "random_terms"
    "random_ties"
    "relations"
    "selections"
    "sets_maps"
    "static_conditions"
    "statics"
    "table_options"
    "times"
    "udts"
    "vectors"
    "wire_values"
}

/// A statement of a script.
#[derive(Debug)]
pub struct Case<'s> {
    /// Its text.
    pub statement: &'s str,
    /// Values for its bind markers, as the script has them.
    pub binding: Option<&'s str>,
    /// What Cassandra answered, or what Dodona means to.
    pub expected: Vec<&'s str>,
}

impl Case<'_> {
    /// True if an answer is what is expected.
    #[must_use]
    pub fn is_answered_by(&self, answer: &[String]) -> bool {
        let expected = self.expected.iter().map(|line| with_sorted_signatures(line));
        expected.eq(answer.iter().map(|line| with_sorted_signatures(line)))
    }
}

/// The statements of a script.
#[must_use]
pub fn cases(script: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut own = false;
    for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with("--")) {
        if let Some(statement) = line.strip_prefix("> ") {
            cases.push(Case { statement, binding: None, expected: Vec::new() });
            own = false;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(binding) = line.strip_prefix("< ") {
            case.binding = Some(binding);
        } else if let Some(line) = line.strip_prefix("~ ") {
            // A difference that is meant, and behind `#` in a line of its own its reason.
            if !std::mem::replace(&mut own, true) {
                case.expected.clear();
            }
            if !line.starts_with("because ") {
                case.expected.push(line);
            }
        } else {
            case.expected.push(line);
        }
    }
    cases
}

pub(crate) fn bytes_of(binding: Option<&str>) -> Vec<Option<Option<Vec<u8>>>> {
    let byte = |pair: &str| u8::from_str_radix(pair, 16).unwrap_or_default();
    let value = |text: &str| match text {
        "unset" => None,
        "null" => Some(None),
        hex => Some(Some((2..hex.len()).step_by(2).map(|at| byte(&hex[at..at + 2])).collect())),
    };
    binding.map_or(Vec::new(), |binding| binding.split('|').map(|text| value(text.trim())).collect())
}

/// Cassandra lists the signatures of a function in the order of a hash that differs from run to run.
fn with_sorted_signatures(line: &str) -> String {
    for start in ["known type signatures: ", "following signatures: "] {
        if let Some((before, rest)) = line.split_once(start) {
            let (list, after) = rest.rsplit_once(')').unwrap_or((rest, ""));
            let mut signatures: Vec<&str> = list.split(", system.").collect();
            signatures[0] = signatures[0].trim_start_matches("system.");
            signatures.sort_unstable();
            return format!("{before}{start}{}){after}", signatures.join(", "));
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "looks at which scripts there are")]
    fn all_scripts_are_there() {
        let names = std::fs::read_dir("../tests/conformance").unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = names.filter_map(|name| name.strip_suffix(".cql.txt").map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(names, SCRIPTS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert!(SCRIPTS.iter().all(|(_, script)| cases(script).iter().all(|case| !case.expected.is_empty())));
    }
}
