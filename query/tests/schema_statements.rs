//! Statements on the schema against a real node on a real directory, and against what Apache
//! Cassandra 5.0.6 answered to the same statements.
#![allow(missing_docs)]

mod common;

use common::{Answer, TestNode, local};

/// What the statement came to, as `data/ddl_cases.txt` writes it.
async fn answer_to(node: &TestNode, statement: &str) -> Vec<String> {
    match node.run(statement).await {
        Answer::Failed(error) => vec![error],
        Answer::Done { warnings, .. } => {
            let warnings = warnings.into_iter().map(|warning| format!("! {warning}"));
            std::iter::once("ok".to_owned()).chain(warnings).collect()
        }
    }
}

#[test]
fn statements_are_accepted_and_refused_as_cassandra_does() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        let mut differences = Vec::new();
        for case in include_str!("data/ddl_cases.txt").split("\n> ").skip(1) {
            let mut lines = case.lines();
            let statement = lines.next().unwrap();
            // What Cassandra answered; where Dodona means to differ, that stands behind a tilde.
            let (own, expected): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("~ "));
            let own: Vec<&str> = own.iter().map(|line| &line[2..]).collect();
            let expected = if own.is_empty() { expected } else { own };
            let answer = answer_to(&node, statement).await;
            if answer != expected {
                differences.push(format!(
                    "> {statement}\n  Cassandra: {expected:?}\n  Dodona:    {answer:?}"
                ));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    });
}
