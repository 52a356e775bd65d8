//! What is bounded as in Cassandra: batches, and keys of rows; and tuples that are written as texts.

mod common;

use common::{Answer, TestNode, local};
use dodona_query::BatchBounds;

fn warnings(answer: Answer) -> Vec<String> {
    match answer {
        Answer::Done { warnings, .. } => warnings,
        Answer::Failed(error) => panic!("{error}"),
    }
}

fn error(answer: Answer) -> String {
    match answer {
        Answer::Failed(error) => error,
        done @ Answer::Done { .. } => panic!("{done:?}"),
    }
}

const TABLE: &str =
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
    CREATE TABLE ks.t (k int, c text, v text, t frozen<tuple<int, text>>, PRIMARY KEY (k, c))";

/// A batch of so many rows, each of another partition, with so many characters.
fn batch(kind: &str, rows: usize, characters: usize) -> String {
    let value = "x".repeat(characters);
    let rows = (0..rows).map(|k| format!("INSERT INTO ks.t (k, c, v) VALUES ({k}, 'c', '{value}');"));
    format!("BEGIN {kind} BATCH {} APPLY BATCH", rows.collect::<String>())
}

/// Runs a test on a node with the table.
fn with_table(test: impl AsyncFnOnce(TestNode)) {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(TABLE).await;
        test(node).await;
    });
}

#[test]
fn large_batches_are_warned_of_and_larger_ones_refused() {
    with_table(async |node| {
        assert_eq!(warnings(node.run(&batch("", 10, 10)).await), Vec::<String>::new());
        let large = warnings(node.run(&batch("", 10, 1_000)).await);
        assert!(
            large.len() == 1
                && large[0].starts_with("Batch for [ks.t] is of size 1")
                && large[0].contains("5120"),
            "{large:?}"
        );
        assert_eq!(error(node.run(&batch("UNLOGGED", 60, 1_000)).await), "Invalid: Batch too large");
        let many = warnings(node.run(&batch("UNLOGGED", 11, 1)).await);
        let expected = "Unlogged batch covering 11 partitions detected against table [ks.t]. You should use a \
                        logged batch for atomicity, or asynchronous writes for performance.";
        assert_eq!(many, [expected]);
        // One partition may be as large as it likes.
        let one = batch("", 60, 1_000).replace("(k, c, v) VALUES (", "(c, k, v) VALUES ('");
        let one = one.replace(", 'c', ", "', 1, ");
        assert_eq!(warnings(node.run(&one).await), Vec::<String>::new());
        let bounds = BatchBounds { fail_bytes: 100, ..BatchBounds::default() };
        node.processor.set_batch_bounds(bounds);
        assert_eq!(error(node.run(&batch("", 2, 3_000)).await), "Invalid: Batch too large");
    });
}

#[test]
fn clustering_keys_end_at_64_kib() {
    with_table(async |node| {
        let insert =
            |characters: usize| format!("INSERT INTO ks.t (k, c) VALUES (1, '{}')", "x".repeat(characters));
        node.run_all(&insert(65_535)).await;
        let expected = "Invalid: Key length of 65536 is longer than maximum of 65535";
        assert_eq!(error(node.run(&insert(65_536)).await), expected);
        let json = format!("INSERT INTO ks.t JSON '{{\"k\": 1, \"c\": \"{}\"}}'", "x".repeat(65_536));
        assert_eq!(error(node.run(&json).await), expected);
    });
}

#[test]
fn tuples_are_written_as_texts() {
    with_table(async |node| {
        let written =
            [("0:a", "(0, 'a')"), ("1", "(1, null)"), (r"1:1\:\@", "(1, '1:@')"), ("@:@@", "(null, '@@')")];
        for (text, tuple) in written {
            node.run_all(&format!("INSERT INTO ks.t (k, c, t) VALUES (1, 'c', '{text}')")).await;
            let same = node.rows(&format!("SELECT k FROM ks.t WHERE t = {tuple} ALLOW FILTERING")).await;
            assert_eq!(same.len(), 1, "{text}");
        }
        let many = error(node.run("INSERT INTO ks.t (k, c, t) VALUES (1, 'c', '1:2:3')").await);
        assert!(
            many.contains("too many elements. Type frozen<tuple<int, text>> expects 2 but got 3"),
            "{many}"
        );
        let wrong = error(node.run("INSERT INTO ks.t (k, c, t) VALUES (1, 'c', 'a:b')").await);
        assert!(wrong.contains("Unable to make int from 'a'"), "{wrong}");
    });
}
