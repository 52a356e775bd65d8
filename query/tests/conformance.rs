//! The scripts of `tests/conformance` against a real node on a real directory: each statement must
//! answer as Apache Cassandra did, whole or in pages, from memtables or from files.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "reads which scripts to replay")]

mod common;

use common::{TestNode, local};
use dodona_conformance::{Manner, SCRIPTS, cases, class_and_message};
use dodona_query::Guardrails;
use dodona_types::Consistency;

/// How the scripts are replayed.
#[derive(Clone, Copy, Debug, Default)]
struct Mode {
    page_size: Option<u32>,
    flush: bool,
}

struct Replay {
    node: TestNode,
    mode: Mode,
}

impl Replay {
    async fn script(&self, name: &str, script: &str, differences: &mut Vec<String>) -> usize {
        self.node
            .run_all(&format!(
                "CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}
                 USE {name}"
            ))
            .await;
        let manner = Manner { page_size: self.mode.page_size, consistency: Consistency::One };
        let cases = cases(script);
        for case in &cases {
            let answer = case.answer(&self.node.processor, &self.node.session, manner).await;
            let answer = answer.unwrap_or_else(|error| vec![class_and_message(&error.into())]);
            if !case.is_answered_by(&answer) {
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
        self.node.run_all(&format!("DROP KEYSPACE {name}")).await;
        cases.len()
    }
}

fn replay(mode: Mode) {
    let only = std::env::var("DODONA_CONFORMANCE").unwrap_or_default();
    local(async move {
        let directory = tempfile::tempdir().unwrap();
        let replay = Replay { node: TestNode::start(directory.path()), mode };
        // As the peer that recorded the scripts has it.
        let guardrails = Guardrails { drop_compact_storage_enabled: true, ..Guardrails::default() };
        replay.node.processor.set_guardrails(guardrails);
        let mut differences = Vec::new();
        let mut count = 0;
        for (name, script) in SCRIPTS.iter().filter(|(name, _)| name.contains(&only)) {
            count += replay.script(name, script, &mut differences).await;
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
