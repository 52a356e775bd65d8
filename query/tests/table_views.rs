//! What `system_views` tells of how tables are used, of other nodes and of snapshots.
#![allow(missing_docs)]

mod common;

use common::{Answer, TestNode, local};
use dodona_cluster::coordinator::served::Operation;
use dodona_cluster::snapshots::{AutoSnapshot, Reason, Snapshots};
use dodona_types::value::{parse_timestamp, wire_to_literal};
use std::sync::Arc;
use std::time::Duration;

impl TestNode {
    /// The rows of a SELECT, as CQL literals.
    async fn select(&self, statement: &str) -> Vec<Vec<String>> {
        let prepared = self.processor.analyse(&self.session, statement, None).unwrap();
        let types: Vec<_> = prepared.columns.iter().map(|column| column.cql_type.clone()).collect();
        let Answer::Done { rows, .. } = self.run(statement).await else { panic!("{statement}") };
        let literals = rows.iter().map(|row| {
            let row = row.iter().zip(&types);
            row.map(|(value, ty)| wire_to_literal(ty, value.as_deref()).unwrap()).collect()
        });
        literals.collect()
    }

    /// The numbers of a table's row.
    async fn numbers(&self, columns: &str, view: &str, table: &str) -> Vec<f64> {
        let of = format!("WHERE keyspace_name = 'ks' AND table_name = '{table}'");
        let rows = self.select(&format!("SELECT {columns} FROM system_views.{view} {of}")).await;
        assert_eq!(rows.len(), 1, "{view}");
        rows[0].iter().map(|number| number.parse().unwrap()).collect()
    }
}

const SCHEMA: &str = "
    CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
    CREATE TABLE ks.t (k int, c int, v text, PRIMARY KEY (k, c)) WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}
    CREATE TABLE ks.idle (k int PRIMARY KEY)";

const LATENCY: &str = "count, max_ms, p50th_ms, p99th_ms, per_second";

#[test]
fn reads_and_writes_are_counted_and_timed_by_table() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(SCHEMA).await;
        for c in 0..100 {
            node.run_all(&format!("INSERT INTO ks.t (k, c, v) VALUES (1, {c}, 'x')")).await;
        }
        for _ in 0..20 {
            node.run_all("SELECT * FROM ks.t WHERE k = 1 LIMIT 40\nSELECT * FROM ks.t WHERE k = 1 AND c = 5")
                .await;
        }
        for _ in 0..3 {
            node.run_all("SELECT * FROM ks.t").await;
        }
        for (view, count) in
            [("local_write_latency", 100.0), ("local_read_latency", 40.0), ("local_scan_latency", 3.0)]
        {
            let numbers = node.numbers(LATENCY, view, "t").await;
            let [found, max, median, most, rate] = numbers[..] else { panic!("{view}") };
            assert_eq!(found, count, "{view}");
            assert!(median > 0.0 && median <= most && most <= max && max < 10_000.0, "{view}: {numbers:?}");
            assert!(rate > 0.0 && rate <= count, "{view}: {numbers:?}");
            assert_eq!(node.numbers(LATENCY, view, "idle").await, [0.0; 5], "{view}");
        }
        let met = "count, max, p50th, p99th";
        let numbers = node.numbers(met, "rows_per_read", "t").await;
        // 23 reads of 40 rows or more, 20 of one.
        assert_eq!(numbers[0], 43.0);
        assert!((100.0..125.0).contains(&numbers[1]) && numbers[2] >= 1.0, "{numbers:?}");
        assert_eq!(node.numbers(met, "tombstones_per_read", "t").await, [43.0, 0.0, 0.0, 0.0]);
        for c in 0..10 {
            node.run_all(&format!("DELETE FROM ks.t WHERE k = 1 AND c = {c}")).await;
        }
        node.run_all("SELECT * FROM ks.t WHERE k = 1").await;
        let numbers = node.numbers(met, "tombstones_per_read", "t").await;
        assert!(numbers[0] == 44.0 && (10.0..13.0).contains(&numbers[1]), "{numbers:?}");
        assert_eq!(node.numbers(met, "rows_per_read", "idle").await, [0.0; 4]);
        // A row for each table that is not virtual.
        let tables = node.select("SELECT table_name FROM system_schema.tables").await.len();
        assert_eq!(node.select("SELECT table_name FROM system_views.local_read_latency").await.len(), tables);
    });
}

#[test]
fn what_clients_had_answered_is_told_by_table() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(SCHEMA).await;
        let inner = node.processor.node();
        let table = inner.schema().table("ks", "t").unwrap().id;
        let requests = [(table, Operation::Write), (table, Operation::Read), (table, Operation::Read)];
        inner.coordinator.note_served(&requests, inner.env.clock.mono(), Duration::from_millis(4));
        for (view, count) in [("read", 2.0), ("write", 1.0)] {
            let numbers = node.numbers(LATENCY, &format!("coordinator_{view}_latency"), "t").await;
            assert_eq!(numbers[0], count);
            assert!(numbers[1..4].iter().all(|millis| (4.0..5.0).contains(millis)), "{numbers:?}");
        }
        assert_eq!(node.numbers(LATENCY, "coordinator_scan_latency", "t").await, [0.0; 5]);
        node.run_all("DROP TABLE ks.t").await;
        let idle = inner.schema().table("ks", "idle").unwrap().id;
        inner.coordinator.note_served(&[(idle, Operation::Read)], inner.env.clock.mono(), Duration::ZERO);
        assert_eq!(inner.coordinator.served(table, Operation::Read).count, 0, "what is dropped is forgotten");
    });
}

#[test]
fn statements_say_what_they_do_with_tables() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(SCHEMA).await;
        let served = |statement: &str| {
            let mut served = Vec::new();
            node.processor.analyse(&node.session, statement, None).unwrap().served(&mut served);
            served.into_iter().map(|(_, operation)| operation).collect::<Vec<_>>()
        };
        assert_eq!(served("SELECT * FROM ks.t WHERE k = 1"), [Operation::Read]);
        assert_eq!(served("SELECT * FROM ks.t WHERE token(k) > 1"), [Operation::Scan]);
        assert_eq!(served("DELETE FROM ks.t WHERE k = 1"), [Operation::Write]);
        let batch = "BEGIN BATCH DELETE FROM ks.t WHERE k = 1; DELETE FROM ks.idle WHERE k = 1; DELETE FROM ks.t WHERE k = 2; APPLY BATCH";
        assert_eq!(served(batch), [Operation::Write; 2]);
        assert_eq!(served("EXPLAIN SELECT * FROM ks.t WHERE k = 1"), []);
        assert_eq!(served("DROP TABLE ks.t"), []);
    });
}

#[test]
fn sizes_are_of_the_largest_file_and_partition() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(SCHEMA).await;
        let engine = &node.processor.node().engine;
        let id = node.processor.node().schema().table("ks", "t").unwrap().id;
        let value = "x".repeat(50_000);
        for c in 0..30 {
            node.run_all(&format!(
                "INSERT INTO ks.t (k, c, v) VALUES (1, {c}, '{value}') USING TIMESTAMP {}",
                c * 1_000 + 1
            ))
            .await;
        }
        engine.flush(id).unwrap();
        node.run_all("INSERT INTO ks.t (k, c) VALUES (2, 0)").await;
        engine.flush(id).unwrap();
        let statistics = engine.table_statistics(id).unwrap();
        let largest = statistics.max_partition_bytes.unwrap();
        assert!((1_500_000..1_502_000).contains(&largest), "{largest}");
        assert!(statistics.max_sstable_bytes < statistics.disk_bytes);
        assert_eq!(node.numbers("mebibytes", "max_partition_size", "t").await, [2.0]);
        assert_eq!(node.numbers("mebibytes", "max_sstable_size", "t").await, [1.0]);
        assert_eq!(node.numbers("mebibytes", "disk_usage", "t").await, [1.0]);
        assert_eq!(node.numbers("max_sstable_duration", "max_sstable_duration", "t").await, [29.0]);
        assert_eq!(node.numbers("mebibytes", "max_partition_size", "idle").await, [0.0]);
    });
}

#[test]
fn gossip_hints_and_snapshots_are_tables_too() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(SCHEMA).await;
        let own = node
            .select("SELECT address, port, dc, rack, release_version, native_address_and_port, host_id FROM system_views.gossip_info")
            .await;
        let host = node.processor.node().info.identity.host;
        let wanted = ["'127.0.0.1'", "7000", "'datacenter1'", "'rack1'", "'5.0.6'", "'127.0.0.1:9042'"];
        assert_eq!(own, [[&wanted.map(str::to_owned)[..], &[format!("'{host}'")]].concat()]);
        let versions = "SELECT dc_version, generation, heartbeat, load FROM system_views.gossip_info";
        let versions = node.select(versions).await;
        assert!(
            versions[0][0].parse::<u32>().unwrap() > 0
                && versions[0][1].parse::<i64>().unwrap() > 1_600_000_000
        );

        assert!(node.select("SELECT * FROM system_views.pending_hints").await.is_empty());
        let other = uuid::Uuid::from_u128(7);
        let mutation = {
            let mut builder = dodona_types::MutationBuilder::new();
            builder.begin(node.processor.node().schema().table("ks", "t").unwrap().id, 0, &[0; 4]);
            builder.partition_deletion(dodona_types::Deletion { timestamp_micros: 1, deleted_at_seconds: 1 });
            builder.view().bytes().to_vec()
        };
        assert!(node.processor.node().hints.write(other, &mutation));
        let hints = node
            .select("SELECT host_id, status, address, files, oldest FROM system_views.pending_hints")
            .await;
        assert_eq!(hints[0][..4], [other.to_string(), "'Unknown'".into(), "null".into(), "0".into()]);
        assert_ne!(hints[0][4], "null");

        let engine = &node.processor.node().engine;
        let id = node.processor.node().schema().table("ks", "t").unwrap().id;
        node.run_all("INSERT INTO ks.t (k, c, v) VALUES (1, 1, 'x')").await;
        let (env, schema) = (node.processor.node().env.clone(), node.processor.node().schema());
        let settings = AutoSnapshot { enabled: true, ttl: Some(Duration::from_secs(3_600)) };
        Snapshots::new(env, Arc::clone(engine), settings, None)
            .before(Reason::Truncated, &schema, schema.table_by_id(id).unwrap())
            .unwrap();
        let snapshots = "SELECT name, keyspace_name, table_name, ephemeral, true_size, created_at, expires_at FROM system_views.snapshots";
        let found = node.select(snapshots).await;
        let [name, keyspace, table, ephemeral, true_size, created, expires] = &found[0][..] else {
            panic!("{found:?}")
        };
        assert!(name.starts_with("'truncated-") && name.ends_with("-t'"), "{name}");
        assert_eq!([keyspace, table, ephemeral, true_size], ["'ks'", "'t'", "false", "0"]);
        let millis = |literal: &str| parse_timestamp(literal.trim_matches('\'')).unwrap();
        assert_eq!(millis(expires) - millis(created), 3_600_000);
        let bytes = node.select("SELECT size_on_disk FROM system_views.snapshots").await;
        assert!(bytes[0][0].parse::<u64>().unwrap() > 100, "{bytes:?}");
        engine.clear_snapshots(|_| true).unwrap();
        assert!(node.select(snapshots).await.is_empty());
    });
}
