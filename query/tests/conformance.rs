//! The scripts of `tests/conformance` against a real node on a real directory: each statement must
//! answer as Apache Cassandra did, whole or in pages, from memtables or from files.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "reads the scripts and which of them to replay")]

mod common;
#[path = "common/values.rs"]
mod values;

use common::{TestNode, class_and_message, local};
use dodona_query::statement::Scratch;
use dodona_query::{
    BoundValue, ColumnSpec, CqlError, Guardrails, Outcome, Parameters, Prepared, StatementResult, TryExecute,
};
use dodona_types::CollectedRows;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use values::{type_text, value_text};

/// Seconds since the epoch: times to live do not run down while a script is replayed.
const NOW_SECONDS: i64 = 4_000_000_000;

/// How the scripts are replayed.
#[derive(Clone, Copy, Debug, Default)]
struct Mode {
    page_size: Option<u32>,
    flush: bool,
}

/// A statement of a script.
struct Case<'s> {
    statement: &'s str,
    binding: Option<&'s str>,
    /// What Cassandra answered, or what Dodona means to.
    expected: Vec<&'s str>,
}

fn cases(script: &str) -> Vec<Case<'_>> {
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

fn bytes_of(binding: Option<&str>) -> Vec<Option<Option<Vec<u8>>>> {
    let value = |text: &str| match text {
        "unset" => None,
        "null" => Some(None),
        hex => Some(Some(
            (2..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect(),
        )),
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

fn header_of(columns: &[ColumnSpec]) -> String {
    let columns = columns.iter().map(|column| format!("{} {}", column.name, type_text(&column.cql_type)));
    format!("# {}", columns.collect::<Vec<_>>().join(" | "))
}

fn row_of(columns: &[ColumnSpec], row: &[Option<Vec<u8>>]) -> String {
    let values = columns.iter().zip(row);
    let values = values.map(|(column, value)| value_text(&column.cql_type, value.as_deref()));
    values.collect::<Vec<_>>().join(" | ")
}

struct Replay {
    node: TestNode,
    mode: Mode,
}

impl Replay {
    /// One page, as a server gets it: at once if that can be, else with waiting.
    async fn page(
        &self,
        statement: &Prepared,
        parameters: &Parameters<'_>,
        sink: &mut CollectedRows,
    ) -> Result<Outcome, CqlError> {
        let (processor, session) = (&self.node.processor, &self.node.session);
        if self.mode.page_size.is_none() {
            let tried =
                processor.try_execute(session, statement, parameters, &mut Scratch::default(), sink)?;
            if let TryExecute::Done(outcome) = tried {
                return Ok(outcome);
            }
            *sink = CollectedRows::default();
        }
        processor.execute(session, statement, parameters, sink).await
    }

    async fn run(&self, statement: &Prepared, bound: &[BoundValue<'_>]) -> Result<Vec<String>, CqlError> {
        let mut lines = Vec::new();
        let mut warnings = Vec::new();
        if statement.has_rows {
            lines.push(header_of(&statement.columns));
        }
        let mut state: Option<Vec<u8>> = None;
        loop {
            let mut sink = CollectedRows::default();
            let parameters = Parameters {
                values: bound,
                page_size: self.mode.page_size,
                paging_state: state.as_deref(),
                now_seconds: Some(NOW_SECONDS),
                ..Parameters::new()
            };
            let outcome = self.page(statement, &parameters, &mut sink).await?;
            for row in &sink.rows {
                lines.push(row_of(&statement.columns, row));
            }
            if warnings.is_empty() {
                warnings = outcome.warnings;
            }
            match outcome.result {
                StatementResult::Rows { paging_state: Some(next) } => state = Some(next),
                StatementResult::Conditional { columns, rows } => {
                    lines.push(header_of(&columns));
                    lines.extend(rows.iter().map(|row| row_of(&columns, row)));
                    break;
                }
                _ => break,
            }
        }
        if lines.is_empty() {
            lines.push("ok".into());
        }
        lines.extend(warnings.into_iter().map(|warning| format!("! {warning}")));
        Ok(lines)
    }

    async fn answer(&self, case: &Case<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        let failure = |error: &CqlError| class_and_message(error).replace('\n', "\\n");
        let processor = &self.node.processor;
        let statement = match case.binding {
            Some(_) => processor.prepare(&self.node.session, case.statement, None),
            None => processor.analyse(&self.node.session, case.statement, None).map(Arc::new),
        };
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => return vec![failure(&error)],
        };
        if case.binding.is_some() {
            let markers = statement.markers.iter();
            let markers = markers.map(|marker| format!("{} {}", marker.name, type_text(&marker.cql_type)));
            lines.push(format!("= {}", markers.collect::<Vec<_>>().join(" | ")));
        }
        let bytes = bytes_of(case.binding);
        let bound: Vec<BoundValue<'_>> = bytes
            .iter()
            .map(|value| match value {
                None => BoundValue::Unset,
                Some(None) => BoundValue::Null,
                Some(Some(bytes)) => BoundValue::Bytes(bytes),
            })
            .collect();
        match self.run(&statement, &bound).await {
            Ok(answer) => lines.extend(answer),
            Err(error) => lines.push(failure(&error)),
        }
        lines
    }

    async fn script(&self, path: &Path, differences: &mut Vec<String>) -> usize {
        let script = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let keyspace = name.split('.').next().unwrap();
        self.node
            .run_all(&format!(
                "CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}
                 USE {keyspace}"
            ))
            .await;
        let cases = cases(&script);
        for case in &cases {
            let answer = self.answer(case).await;
            let expected: Vec<String> =
                case.expected.iter().map(|line| with_sorted_signatures(line)).collect();
            let answer: Vec<String> = answer.iter().map(|line| with_sorted_signatures(line)).collect();
            if answer != expected {
                let binding = case.binding.map_or_else(String::new, |binding| format!("\n< {binding}"));
                differences.push(format!(
                    "{name} > {}{binding}\n  Cassandra: {}\n  Dodona:    {}",
                    case.statement,
                    case.expected.join("\n             "),
                    answer.join("\n             "),
                ));
            }
            if self.mode.flush && !case.statement.starts_with("SELECT") {
                self.node.processor.node().engine.flush_all().unwrap();
            }
        }
        self.node.run_all(&format!("DROP KEYSPACE {keyspace}")).await;
        cases.len()
    }
}

fn scripts() -> Vec<PathBuf> {
    // Tests run in the package's folder, wherever they were built.
    let directory = Path::new("../tests/conformance");
    let only = std::env::var("DODONA_CONFORMANCE").ok();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(".cql.txt")))
        .filter(|path| only.as_ref().is_none_or(|only| path.to_str().is_some_and(|path| path.contains(only))))
        .collect();
    paths.sort();
    paths
}

fn replay(mode: Mode) {
    local(async move {
        let directory = tempfile::tempdir().unwrap();
        let replay = Replay { node: TestNode::start(directory.path()), mode };
        // As the peer that recorded the scripts has it.
        let guardrails = Guardrails { drop_compact_storage_enabled: true, ..Guardrails::default() };
        replay.node.processor.set_guardrails(guardrails);
        let mut differences = Vec::new();
        let mut count = 0;
        for path in scripts() {
            count += replay.script(&path, &mut differences).await;
        }
        let all = differences.join("\n");
        assert!(differences.is_empty(), "{all}\n{} of {count} answers differ ({mode:?})", differences.len());
    });
}

#[test]
fn terms_of_very_many_operators_are_refused_and_those_of_many_are_not() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int PRIMARY KEY, v int)
             INSERT INTO ks.t (k, v) VALUES (1, 1)",
        )
        .await;
        for (operators, expected) in [(128, "ok"), (129, "refused"), (200_000, "refused")] {
            for chain in
                [" + 1".repeat(operators), " * (1".repeat(operators.min(50)) + &")".repeat(operators.min(50))]
            {
                let is_nested = chain.contains('(');
                for statement in [
                    format!("INSERT INTO ks.t (k, v) VALUES (1, 1{chain})"),
                    format!("SELECT v{chain} FROM ks.t"),
                    format!("SELECT k FROM ks.t WHERE k = 1{chain}"),
                ] {
                    let answer = match node.run(&statement).await {
                        common::Answer::Done { .. } => "ok",
                        common::Answer::Failed(_) => "refused",
                    };
                    let expected = if is_nested { "ok" } else { expected };
                    assert_eq!(answer, expected, "{operators} in {}", &statement[..60]);
                }
            }
        }
        // What many terms take is bounded as well.
        let term = format!("k{}", " + 1".repeat(128));
        for (terms, is_refused) in [(60, false), (5_000, true)] {
            let answer = node.run(&format!("SELECT {} FROM ks.t", vec![&*term; terms].join(", "))).await;
            assert_eq!(matches!(answer, common::Answer::Failed(_)), is_refused, "{terms} terms");
        }
    });
}

#[test]
fn answers_are_cassandras() {
    replay(Mode::default());
}

#[test]
fn answers_are_the_same_in_pages_of_one_row() {
    replay(Mode { page_size: Some(1), flush: false });
}

#[test]
fn answers_are_the_same_in_pages_of_seven_rows() {
    replay(Mode { page_size: Some(7), flush: false });
}

#[test]
fn answers_are_the_same_in_pages_of_five_thousand_rows() {
    replay(Mode { page_size: Some(5000), flush: false });
}

#[test]
fn answers_are_the_same_from_files() {
    replay(Mode { page_size: None, flush: true });
}
