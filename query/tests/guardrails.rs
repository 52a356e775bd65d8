//! Guardrails as Apache Cassandra has them: `data/guardrails.txt`, and those that no oracle shows.
#![allow(missing_docs)]

mod common;

use common::{TestNode, class_and_message, local};
use dodona_query::{Guardrails, Parameters};
use dodona_types::CollectedRows;

/// What a statement comes to, with what is put before it.
async fn answer_to(node: &TestNode, line: &str) -> Vec<String> {
    let (mut statement, mut parameters) = (line, Parameters::new());
    parameters.consistency = dodona_types::Consistency::LocalOne;
    parameters.page_size = Some(5000);
    while let Some((how, rest)) = statement.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
        match how.strip_prefix("page") {
            Some(rows) => parameters.page_size = Some(rows.parse().unwrap()),
            None => parameters.consistency = how.parse().unwrap(),
        }
        statement = rest;
    }
    let mut sink = CollectedRows::default();
    let executed = match node.processor.analyse(&node.session, statement, None) {
        Ok(prepared) => node.processor.execute(&node.session, &prepared, &parameters, &mut sink).await,
        Err(error) => Err(error),
    };
    match executed {
        Ok(outcome) if outcome.warnings.is_empty() => vec!["ok".into()],
        Ok(outcome) => outcome.warnings.into_iter().map(|warning| format!("! {warning}")).collect(),
        Err(error) => vec![class_and_message(&error)],
    }
}

/// The bounds of timestamps are of the moment.
fn without_times(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let digits = word.trim_end_matches('.');
        let is_time = digits.len() > 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_time { "<time>" } else { word }
    });
    words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

#[test]
fn statements_are_warned_of_and_refused_as_cassandra_does() {
    local(async {
        let mut differences = Vec::new();
        for section in include_str!("data/guardrails.txt").split("\n% ").skip(1) {
            let directory = tempfile::tempdir().unwrap();
            let node = TestNode::start(directory.path());
            let (rails, rest) = section.split_once('\n').unwrap();
            let rails: Guardrails = serde_json::from_str(rails).unwrap();
            let rest = format!("\n{rest}");
            let (setup, cases) = rest.split_once("\n> ").unwrap();
            for statement in setup.lines().filter_map(|line| line.strip_prefix("= ")) {
                node.run_all(statement).await;
            }
            node.processor.set_guardrails(rails);
            for case in cases.split("\n> ") {
                let mut lines = case.lines().filter(|line| !line.starts_with("--"));
                let statement = lines.next().unwrap();
                let (own, expected): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("~ "));
                let own: Vec<&str> =
                    own.iter().map(|line| &line[2..]).filter(|line| !line.starts_with("because ")).collect();
                let expected = if own.is_empty() { expected } else { own };
                let expected: Vec<String> = expected.into_iter().map(without_times).collect();
                let answer: Vec<String> =
                    answer_to(&node, statement).await.iter().map(|line| without_times(line)).collect();
                if answer != expected
                    && !(expected[0] == "AlreadyExists" && answer[0].starts_with("AlreadyExists"))
                {
                    let statement: String = statement.chars().take(150).collect();
                    differences
                        .push(format!("> {statement}\n  Cassandra: {expected:?}\n  Dodona:    {answer:?}"));
                }
            }
        }
        assert!(differences.is_empty(), "{}\n{} differ", differences.join("\n"), differences.len());
    });
}

#[test]
fn what_a_batch_asks_for_is_judged_as_well() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int PRIMARY KEY, v text, l list<int>)",
        )
        .await;
        node.processor.set_guardrails(Guardrails {
            column_value_size_warn_threshold: 3,
            items_per_collection_fail_threshold: 2,
            write_consistency_levels_disallowed: vec!["quorum".into()],
            ..Guardrails::default()
        });
        let batch = |rest: &str| {
            format!("BEGIN BATCH INSERT INTO ks.t (k, v) VALUES (1, 'long'); {rest} APPLY BATCH")
        };
        let warning = "! Guardrail column_value_size violated: Value of column 'v' has size 4, this exceeds the warning threshold of 3.";
        assert_eq!(answer_to(&node, &batch("")).await, [warning]);
        let refused = answer_to(&node, &batch("UPDATE ks.t SET l = [1, 2, 3] WHERE k = 1;")).await;
        let expected = "Invalid: Guardrail items_per_collection violated: Detected collection l with 3 items, this exceeds the failure threshold of 2.";
        assert_eq!(refused, [expected]);
        let refused = answer_to(&node, &format!("@QUORUM {}", batch(""))).await;
        assert!(
            refused[0].starts_with("Invalid: Guardrail write_consistency_levels violated"),
            "{refused:?}"
        );
    });
}

#[test]
fn a_keyspace_has_copies_between_the_bounds_and_as_many_as_usual_if_it_does_not_say() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.processor.set_guardrails(Guardrails {
            minimum_replication_factor_warn_threshold: 3,
            minimum_replication_factor_fail_threshold: 2,
            default_keyspace_rf: 2,
            ..Guardrails::default()
        });
        let create = |options: &str| {
            format!("CREATE KEYSPACE ks WITH replication = {{'class': 'SimpleStrategy'{options}}}")
        };
        let text = |factor: u8, kind: &str, bound: u8| {
            format!(
                "Guardrail minimum_replication_factor violated: The keyspace ks has a replication factor of {factor}, below the {kind} threshold of {bound}."
            )
        };
        let refused = answer_to(&node, &create(", 'replication_factor': 1")).await;
        assert_eq!(refused, [format!("Invalid: {}", text(1, "failure", 2))]);
        let made = answer_to(&node, &create("")).await;
        assert_eq!(made[0], format!("! {}", text(2, "warning", 3)));
    });
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let check = |rails: Guardrails| rails.check().unwrap_err();
    assert_eq!(Guardrails::default().check(), Ok(()));
    let error =
        check(Guardrails { tables_warn_threshold: 5, tables_fail_threshold: 4, ..Guardrails::default() });
    assert!(error.contains("tables_warn_threshold") && error.contains("greater"), "{error}");
    let rails = Guardrails {
        minimum_replication_factor_warn_threshold: 2,
        minimum_replication_factor_fail_threshold: 3,
        ..Guardrails::default()
    };
    assert!(check(rails).contains("lower"));
    let rails = Guardrails { read_consistency_levels_warned: vec!["MOST".into()], ..Guardrails::default() };
    assert_eq!(check(rails), "read_consistency_levels_warned: there is no consistency level MOST");
}

#[test]
fn the_server_itself_may_ask_for_what_it_needs() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let mut node = TestNode::start(directory.path());
        node.processor.set_guardrails(Guardrails { page_size_fail_threshold: 10, ..Guardrails::default() });
        let read = "SELECT * FROM system.local";
        assert!(answer_to(&node, read).await[0].starts_with("Invalid: Guardrail page_size violated"));
        node.processor.load_statements().await.unwrap();
        node.session = dodona_query::Session::of_server();
        assert_eq!(answer_to(&node, read).await, ["ok"]);
    });
}
