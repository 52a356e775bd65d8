//! EXPLAIN: what it tells, and that it does nothing else.
#![allow(missing_docs)]

mod common;

use common::{Answer, TestNode, class_and_message, local};
use dodona_query::{BoundValue, Parameters};
use dodona_types::{CollectedRows, Consistency};

const COLUMNS: [&str; 9] =
    ["step", "what", "source", "detail", "partition", "bytes", "blocks", "rows", "tombstones"];

/// A row of the answer.
#[derive(Debug)]
struct Line {
    what: String,
    source: Option<String>,
    detail: String,
    partition: Option<String>,
    /// Bytes, blocks, rows, tombstones.
    numbers: [Option<i64>; 4],
}

impl TestNode {
    async fn explain_with(&self, statement: &str, parameters: &Parameters<'_>) -> Result<Vec<Line>, String> {
        let text = format!("EXPLAIN {statement}");
        let prepared = self.processor.prepare(&self.session, &text, None);
        let prepared = prepared.map_err(|error| class_and_message(&error))?;
        assert_eq!(prepared.columns.iter().map(|column| &*column.name).collect::<Vec<_>>(), COLUMNS);
        let mut sink = CollectedRows::default();
        let outcome = self.processor.execute(&self.session, &prepared, parameters, &mut sink).await;
        outcome.map_err(|error| class_and_message(&error))?;
        let lines = sink.rows.into_iter().enumerate().map(|(index, row)| {
            assert_eq!(row[0], Some((index as i32 + 1).to_be_bytes().to_vec()));
            let text = |column: usize| row[column].clone().map(|value| String::from_utf8(value).unwrap());
            let number =
                |column: usize| row[column].clone().map(|it| i64::from_be_bytes(it.try_into().unwrap()));
            Line {
                what: text(1).unwrap(),
                source: text(2),
                detail: text(3).unwrap(),
                partition: text(4),
                numbers: [number(5), number(6), number(7), number(8)],
            }
        });
        Ok(lines.collect())
    }

    async fn explain(&self, statement: &str) -> Vec<Line> {
        self.explain_with(statement, &Parameters::new()).await.unwrap()
    }

    fn flush(&self, table: &str) {
        let node = self.processor.node();
        let id = node.schema().table("ks", table).unwrap().id;
        node.engine.flush(id).unwrap();
    }
}

/// The only row about something.
fn only<'a>(lines: &'a [Line], what: &str) -> &'a Line {
    let found: Vec<&Line> = lines.iter().filter(|line| line.what == what).collect();
    assert_eq!(found.len(), 1, "{what}: {lines:#?}");
    found[0]
}

fn shown(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| format!("{}: {}", line.what, line.detail)).collect()
}

const SCHEMA: &str = "
    CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
    CREATE TABLE ks.t (k int, c int, v text, l list<int>, PRIMARY KEY (k, c)) WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}
    CREATE TABLE ks.explain (explain text PRIMARY KEY, b int)
    CREATE TABLE ks.n (k int PRIMARY KEY, n counter)";

async fn start(directory: &std::path::Path) -> TestNode {
    let node = TestNode::start(directory);
    node.run_all(SCHEMA).await;
    node
}

#[test]
fn a_partition_is_explained_with_its_replica_and_what_may_hold_it() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        for c in 0..30 {
            node.run_all(&format!("INSERT INTO ks.t (k, c, v) VALUES (1, {c}, 'old')")).await;
        }
        node.flush("t");
        node.run_all("DELETE FROM ks.t WHERE k = 1 AND c = 3\nINSERT INTO ks.t (k, c) VALUES (2, 1)").await;
        node.flush("t");
        node.run_all("INSERT INTO ks.t (k, c, v) VALUES (1, 40, 'new')").await;

        let lines = node.explain("SELECT * FROM ks.t WHERE k = 1").await;
        let plan = only(&lines, "SELECT");
        assert_eq!((plan.source.as_deref(), plan.partition.as_deref()), (Some("ks.t"), None));
        assert_eq!(plan.detail, "reads one partition by its key");
        assert_eq!(only(&lines, "rows").detail, "all of a partition");
        let partition = only(&lines, "partition");
        assert_eq!(partition.partition.as_deref(), Some("k = 1"));
        assert_eq!(partition.detail, "token -4069959284402364209, 1 of 1 replica must answer at ONE");
        let replica = only(&lines, "replica");
        assert_eq!((replica.source.as_deref(), &*replica.detail), (Some("127.0.0.1:7000"), "read here"));
        let memtable = only(&lines, "memtable");
        assert_eq!((&*memtable.detail, memtable.numbers), ("takes writes", [None, None, Some(1), None]));
        let files: Vec<&Line> = lines.iter().filter(|line| line.what == "SSTable").collect();
        // Of the newer file the average of two partitions with a row each, one of them a deletion.
        assert_eq!(files.iter().map(|file| file.numbers[2]).collect::<Vec<_>>(), [Some(1), Some(30)]);
        assert_eq!(files.iter().map(|file| file.numbers[3]).collect::<Vec<_>>(), [Some(1), Some(0)]);
        assert!(files.iter().all(|file| file.source.as_ref().unwrap().ends_with(".sst")), "{files:?}");
        assert!(
            files.iter().all(|file| file.numbers[0] > Some(0) && file.numbers[1] == Some(1)),
            "{files:?}"
        );

        // Of these files one or none may hold another partition, and the others are said to be left out.
        let lines = node.explain("SELECT * FROM ks.t WHERE k = 5").await;
        assert!(only(&lines, "SSTables left out").detail.starts_with("2: "), "{lines:#?}");
        assert_eq!(only(&lines, "memtables left out").detail, "1 without it");
        // A row by name: the memtable has all of it but the list, which may have more in any file.
        let lines = node.explain("SELECT * FROM ks.t WHERE k = 1 AND c IN (40, 3)").await;
        assert_eq!(only(&lines, "rows").detail, "2 rows by name");
        assert!(
            lines
                .iter()
                .any(|line| line.detail.ends_with("opened only if what is newer does not settle the rows"))
        );
    });
}

#[test]
fn it_tells_how_partitions_are_found_and_what_is_made_of_the_rows() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        let lines =
            node.explain("SELECT * FROM ks.t WHERE k IN (1, 2, 3) AND c > 4 AND c < 9 ORDER BY c DESC").await;
        assert_eq!(lines[0].detail, "reads 3 partitions by their keys, at most 32 at the same time");
        assert_eq!(lines[1].detail, "1 slice of a partition, from the last to the first");
        let of_two = lines.iter().filter(|line| line.partition.as_deref() == Some("k = 2")).count();
        assert_eq!(of_two, 3, "{lines:#?}");
        assert_eq!(only(&lines, "sort").partition, None);

        let lines =
            node.explain("SELECT k, v FROM ks.t WHERE v = 'x' AND c > 2 LIMIT 5 ALLOW FILTERING").await;
        assert_eq!(lines[0].detail, "reads all partitions, in the order of their tokens");
        assert_eq!(only(&lines, "range").detail, "1 part of the ring with replicas of their own, at ONE");
        assert_eq!(only(&lines, "replica").detail, "asked for data of 1 part");
        assert_eq!(only(&lines, "filter").detail, "each row by v, after it was read");
        assert_eq!(only(&lines, "limit").detail, "ends after 5 rows");

        let lines = node.explain("SELECT count(*) FROM ks.t WHERE token(k) > 0").await;
        assert_eq!(lines[0].detail, "reads a range of the ring, in the order of its tokens");
        assert_eq!(only(&lines, "aggregate").detail, "of all rows that are read");
        let lines = node.explain("SELECT count(*) FROM ks.t").await;
        assert_eq!(only(&lines, "warning").detail, "Aggregation query used without partition key");
        let lines = node.explain("SELECT * FROM ks.t WHERE k = 1 AND c > 3 AND c < 2").await;
        assert_eq!(shown(&lines), ["SELECT: reads nothing: no row can meet the conditions"]);
        let many: Vec<String> = (0..40).map(|k| k.to_string()).collect();
        let lines = node.explain(&format!("SELECT * FROM ks.t WHERE k IN ({})", many.join(", "))).await;
        assert_eq!(only(&lines, "partitions").detail, "8 more, in the same way");
    });
}

#[test]
fn levels_that_cannot_be_met_are_told_and_serial_ones_name_paxos() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        let at = |consistency| Parameters { consistency, ..Parameters::new() };
        let lines = node.explain_with("SELECT * FROM ks.t WHERE k = 1", &at(Consistency::Two)).await.unwrap();
        assert!(only(&lines, "error").detail.contains("TWO"), "{lines:#?}");
        assert_eq!(only(&lines, "replica").detail, "not asked; this node");
        let lines =
            node.explain_with("SELECT * FROM ks.t WHERE k = 1", &at(Consistency::Serial)).await.unwrap();
        assert_eq!(only(&lines, "Paxos").detail, "at SERIAL: ends what is under way, then reads at QUORUM");
        let scan = node.explain_with("SELECT * FROM ks.t", &at(Consistency::Serial)).await.unwrap();
        assert!(scan.iter().all(|line| line.what != "Paxos"), "{scan:#?}");
        let several = "SELECT * FROM ks.t WHERE k IN (1, 2)";
        let refused = node.explain_with(several, &at(Consistency::Serial)).await.unwrap_err();
        assert_eq!(
            refused,
            "Invalid: SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time"
        );
    });
}

#[test]
fn writes_are_explained_and_not_done() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        let lines = node.explain("INSERT INTO ks.t (k, c, v) VALUES (1, 2, 'x')").await;
        assert_eq!(lines[0].detail, "changes 1 partition by key");
        assert_eq!(only(&lines, "replica").detail, "written here");
        let bytes = only(&lines, "partition").numbers[0].unwrap();
        let longer = node.explain("INSERT INTO ks.t (k, c, v) VALUES (1, 2, 'xyz')").await;
        assert_eq!(only(&longer, "partition").numbers[0], Some(bytes + 2));
        let lines = node.explain("UPDATE ks.t SET v = 'y' WHERE k = 1 AND c = 2 IF v = 'x'").await;
        assert_eq!(
            only(&lines, "Paxos").detail,
            "at SERIAL: reads the rows, judges them, then commits at ONE"
        );
        assert_eq!(only(&lines, "partition").numbers, [None; 4]);
        let lines = node.explain("UPDATE ks.n SET n = n + 1 WHERE k = 1").await;
        assert!(only(&lines, "counter").detail.starts_with("one replica leads"));
        let lines = node.explain("DELETE l[0] FROM ks.t WHERE k = 1 AND c = 2").await;
        assert_eq!(only(&lines, "read").detail, "the lists that are changed by index or value, first");
        let lines = node.explain("DELETE FROM ks.t WHERE k IN (1, 2)").await;
        assert_eq!(lines[0].detail, "changes 2 partitions by key");
        assert!(node.rows("SELECT * FROM ks.t").await.is_empty());
        assert!(node.rows("SELECT * FROM ks.n").await.is_empty());
    });
}

#[test]
fn batches_are_explained_by_partition_and_not_done() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        let lines = node
            .explain(
                "BEGIN BATCH INSERT INTO ks.t (k, c, v) VALUES (1, 2, 'x'); INSERT INTO ks.t (k, c, v) VALUES (2, 2, 'x'); \
                 UPDATE ks.t SET v = 'y' WHERE k = 1 AND c = 3; INSERT INTO ks.explain (explain, b) VALUES ('a', 1); APPLY BATCH",
            )
            .await;
        assert_eq!(only(&lines, "BATCH").detail, "logged: 4 statements on 3 partitions of 2 tables");
        assert_eq!(
            only(&lines, "batch log").detail,
            "not needed: this node alone holds all of it, and writes it as one record"
        );
        let partitions: Vec<&Line> = lines.iter().filter(|line| line.what == "partition").collect();
        let told = |line: &Line| (line.source.clone().unwrap(), line.partition.clone().unwrap());
        let told: Vec<(String, String)> = partitions.iter().map(|line| told(line)).collect();
        let of = |table: &str, key: &str| (format!("ks.{table}"), key.to_owned());
        assert_eq!(told, [of("t", "k = 1"), of("t", "k = 2"), of("explain", "explain = 'a'")]);
        assert!(partitions[0].detail.ends_with("1 of 1 replica must acknowledge at ONE; 2 statements"));
        assert!(partitions[0].numbers[0] > partitions[1].numbers[0], "{partitions:#?}");
        let alone = node.explain("INSERT INTO ks.t (k, c, v) VALUES (2, 2, 'x')").await;
        assert_eq!(partitions[1].numbers, only(&alone, "partition").numbers);
        assert_eq!(lines.iter().filter(|line| line.detail == "written here").count(), 3);

        let lines = node
            .explain("BEGIN UNLOGGED BATCH DELETE FROM ks.t WHERE k = 1; DELETE l[0] FROM ks.t WHERE k = 2 AND c = 1; APPLY BATCH")
            .await;
        assert!(only(&lines, "atomicity").detail.starts_with("of each partition alone"));
        assert_eq!(only(&lines, "read").detail, "the lists that are changed by index or value, first");
        assert!(lines.iter().all(|line| line.what != "partition" || line.numbers == [None; 4]), "{lines:#?}");

        let lines = node
            .explain("BEGIN COUNTER BATCH UPDATE ks.n SET n = n + 1 WHERE k = 1; UPDATE ks.n SET n = n + 2 WHERE k = 1; APPLY BATCH")
            .await;
        assert_eq!(only(&lines, "BATCH").detail, "of counters: 2 statements on 1 partition of 1 table");
        assert!(only(&lines, "counter").detail.starts_with("of each partition one replica leads"));
        assert_eq!(only(&lines, "replica").detail, "leads: written here");

        let lines = node
            .explain("BEGIN BATCH UPDATE ks.t SET v = 'y' WHERE k = 1 AND c = 2 IF v = 'x'; DELETE FROM ks.t WHERE k = 1 AND c = 3; APPLY BATCH")
            .await;
        assert_eq!(
            only(&lines, "Paxos").detail,
            "at SERIAL: reads the rows, judges the conditions of 1 statement, then commits all statements or none at ONE"
        );
        assert!(lines.iter().all(|line| line.what != "batch log"), "{lines:#?}");
        assert!(node.rows("SELECT * FROM ks.t").await.is_empty());
        assert!(node.rows("SELECT * FROM ks.n").await.is_empty());
    });
}

#[test]
fn a_batch_that_would_be_refused_is_refused() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        let parameters = Parameters { consistency: Consistency::Serial, ..Parameters::new() };
        for (statement, parameters) in [
            (
                "BEGIN BATCH UPDATE ks.t SET v = 'y' WHERE k = 1 AND c = 2 IF v = 'x'; DELETE FROM ks.t WHERE k = 2; APPLY BATCH",
                Parameters::new(),
            ),
            ("BEGIN BATCH DELETE FROM ks.t WHERE k = 2; APPLY BATCH", parameters),
            (
                "BEGIN BATCH INSERT INTO ks.t (k, c) VALUES (1, 1); INSERT INTO ks.t (k, c) VALUES (1, null); APPLY BATCH",
                Parameters::new(),
            ),
            ("BEGIN BATCH UPDATE ks.n SET n = n + 1 WHERE k = 1; APPLY BATCH", Parameters::new()),
        ] {
            let explained = node.explain_with(statement, &parameters).await.unwrap_err();
            let prepared = node.processor.prepare(&node.session, statement, None);
            let executed = match prepared {
                Ok(prepared) => {
                    let sink = &mut CollectedRows::default();
                    node.processor.execute(&node.session, &prepared, &parameters, sink).await.map(drop)
                }
                Err(error) => Err(error),
            };
            assert_eq!(explained, class_and_message(&executed.unwrap_err()), "{statement}");
        }
    });
}

#[test]
fn a_select_is_explained_without_being_executed() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        node.run_all("INSERT INTO ks.t (k, c, v) VALUES (1, 2, 'x')").await;
        node.flush("t");
        let engine = &node.processor.node().engine;
        let id = node.processor.node().schema().table("ks", "t").unwrap().id;
        let state = || (engine.table_statistics(id).unwrap().files_per_read, engine.cache_statistics());
        let before = state();
        node.explain("SELECT * FROM ks.t WHERE k = 1").await;
        node.explain("SELECT * FROM ks.t").await;
        assert_eq!(state(), before);
        node.run_all("SELECT * FROM ks.t WHERE k = 1").await;
        assert_ne!(state(), before);
    });
}

#[test]
fn it_takes_bound_values_and_tells_drivers_the_partition_key() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        let text = "EXPLAIN SELECT * FROM ks.t WHERE c = ? AND k = ?";
        let prepared = node.processor.prepare(&node.session, text, None).unwrap();
        assert_eq!(prepared.markers.len(), 2);
        assert_eq!(prepared.partition_key_markers, [1]);
        let values = [BoundValue::Bytes(&[0, 0, 0, 9]), BoundValue::Bytes(&[0, 0, 0, 7])];
        let parameters = Parameters { values: &values, ..Parameters::new() };
        let lines = node.explain_with("SELECT * FROM ks.t WHERE c = ? AND k = ?", &parameters).await.unwrap();
        assert_eq!(only(&lines, "partition").partition.as_deref(), Some("k = 7"));
        let lines = node.explain_with("SELECT * FROM ks.t WHERE c = ? AND k = ?", &Parameters::new()).await;
        assert!(lines.unwrap_err().starts_with("Invalid: "));
    });
}

#[test]
fn explain_stays_a_name_and_errors_have_their_place() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path()).await;
        node.run_all("INSERT INTO ks.explain (explain, b) VALUES ('a', 1)").await;
        assert_eq!(node.rows("SELECT explain FROM ks.explain").await, [["a"]]);
        let lines = node.explain("SELECT explain FROM ks.explain WHERE explain = 'it''s'").await;
        assert_eq!(only(&lines, "partition").partition.as_deref(), Some("explain = 'it''s'"));
        for (statement, error) in [
            ("EXPLAIN", "Syntax: line 0:-1 no viable alternative at input '<EOF>'"),
            ("EXPLAIN USE ks", "Syntax: line 1:8 no viable alternative at input 'USE' (EXPLAIN [USE]...)"),
            (
                "EXPLAIN EXPLAIN SELECT * FROM ks.t",
                "Syntax: line 1:8 no viable alternative at input 'EXPLAIN' (EXPLAIN [EXPLAIN]...)",
            ),
            (
                "EXPLAIN SELECT * FORM ks.t",
                "Syntax: line 1:17 mismatched input 'FORM' expecting K_FROM (EXPLAIN SELECT * [FORM]...)",
            ),
            ("EXPLAIN SELECT * FROM ks.none", "Invalid: table none does not exist"),
            (
                "EXPLAIN SELECT * FROM ks.t WHERE v = 'a'",
                "Invalid: Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING",
            ),
            (
                "EXPLAIN INSERT INTO ks.t (k, c) VALUES (1, null)",
                "Invalid: Invalid null value in condition for column c",
            ),
        ] {
            match node.run(statement).await {
                Answer::Failed(found) => assert_eq!(found, error, "{statement}"),
                Answer::Done { rows, .. } => panic!("{statement}: {rows:?}"),
            }
        }
    });
}
