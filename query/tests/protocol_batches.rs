//! Batches of the protocol, and what is said of the number of bound values.

mod common;

use common::{TestNode, class_and_message, local};
use dodona_query::ast::BatchKind;
use dodona_query::{BatchEntry, BoundValue, Parameters, Session, TryExecute};
use std::net::SocketAddr;

/// A list of ints as its wire bytes.
fn list(elements: &[i32]) -> Vec<u8> {
    let count = (elements.len() as i32).to_be_bytes();
    let sized = elements.iter().flat_map(|element| [4i32.to_be_bytes(), element.to_be_bytes()]);
    std::iter::once(count).chain(sized).flatten().collect()
}

async fn node(directory: &std::path::Path) -> TestNode {
    let node = TestNode::start(directory);
    node.run_all(
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
         CREATE TABLE ks.t (k int PRIMARY KEY, v int, l list<int>)
         INSERT INTO ks.t (k, v, l) VALUES (1, 1, [1, 2, 3])",
    )
    .await;
    node
}

#[test]
fn a_wrong_number_of_values_is_reported_by_how_they_came() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = node(directory.path()).await;
        let text = "INSERT INTO ks.t (k, v) VALUES (?, ?)";
        let values = [BoundValue::Bytes(&[0, 0, 0, 1])];
        let parameters = Parameters { values: &values, ..Parameters::new() };
        let session = Session::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        let prepared = node.processor.prepare(&session, text, None).unwrap();
        let unprepared = node.processor.analyse(&session, text, None).unwrap();
        let mut messages = Vec::new();
        for statement in [&*prepared, &unprepared] {
            let mut sink = dodona_types::CollectedRows::default();
            let error =
                node.processor.execute(&session, statement, &parameters, &mut sink).await.unwrap_err();
            messages.push(class_and_message(&error));
        }
        let entries = [BatchEntry { statement: prepared, values: values.to_vec() }];
        let error = node
            .processor
            .execute_batch(BatchKind::Logged, &entries, &Parameters::new())
            .await
            .map(|_| ())
            .unwrap_err();
        messages.push(class_and_message(&error));
        assert_eq!(
            messages,
            [
                "Invalid: there were 2 markers(?) in CQL but 1 bound variables",
                "Invalid: Invalid amount of bind variables",
                "Invalid: There were 2 markers(?) in CQL but 1 bound variables",
            ]
        );
    });
}

#[test]
fn lists_are_read_before_any_statement_of_a_batch_has_an_effect() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = node(directory.path()).await;
        let prepare = |text| node.processor.prepare(&node.session, text, None).unwrap();
        let (index, nine, added, removed) =
            (1i32.to_be_bytes(), 9i32.to_be_bytes(), list(&[4, 5]), list(&[3, 4]));
        let entries = [
            BatchEntry {
                statement: prepare("UPDATE ks.t SET l = l + ? WHERE k = 1"),
                values: vec![BoundValue::Bytes(&added)],
            },
            BatchEntry {
                statement: prepare("UPDATE ks.t SET l[?] = ? WHERE k = 1"),
                values: vec![BoundValue::Bytes(&index), BoundValue::Bytes(&nine)],
            },
            BatchEntry {
                statement: prepare("UPDATE ks.t SET l = l - ? WHERE k = 1"),
                values: vec![BoundValue::Bytes(&removed)],
            },
        ];
        let parameters = Parameters::new();
        let tried = node.processor.try_execute_batch(BatchKind::Unlogged, &entries, &parameters).unwrap();
        assert!(matches!(tried, TryExecute::NotHere));
        node.processor.execute_batch(BatchKind::Unlogged, &entries, &parameters).await.unwrap();
        // The 4 was added by the batch itself, and so was not there to be removed.
        let rows = node.rows("SELECT to_json(l) FROM ks.t WHERE k = 1").await;
        assert_eq!(rows, [["[1, 9, 4, 5]"]]);
    });
}
