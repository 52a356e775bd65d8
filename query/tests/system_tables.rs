//! What drivers and tools read of a node.
#![allow(missing_docs)]

mod common;

use common::{Answer, TestNode, local};
use dodona_query::Processor;
use dodona_query::system_tables::{ClientView, LogLine, PoolView, RunningView, ServerView};
use dodona_types::value::wire_to_literal;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

impl TestNode {
    /// The rows of a SELECT, as CQL literals.
    async fn select(&self, statement: &str) -> Vec<String> {
        let types: Vec<_> = {
            let prepared = self.processor.analyse(&self.session, statement, None).unwrap();
            prepared.columns.iter().map(|column| column.cql_type.clone()).collect()
        };
        let Answer::Done { rows, .. } = self.run(statement).await else { panic!("{statement}") };
        rows.iter()
            .map(|row| {
                let literal =
                    |(value, ty): (&Option<Vec<u8>>, _)| wire_to_literal(ty, value.as_deref()).unwrap();
                row.iter().zip(&types).map(literal).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }
}

#[test]
fn drivers_find_the_node_and_its_ring() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        let rows = node
            .select("SELECT key, bootstrapped, cluster_name, cql_version, data_center, rack, native_protocol_version, partitioner, release_version, rpc_address, rpc_port, listen_port FROM system.local WHERE key = 'local'")
            .await;
        assert_eq!(
            rows,
            [
                "'local' 'COMPLETED' 'peer' '3.4.7' 'datacenter1' 'rack1' '5' 'org.apache.cassandra.dht.Murmur3Partitioner' '5.0.6' '127.0.0.1' 9042 7000"
            ]
        );
        let tokens = node.select("SELECT tokens FROM system.local").await;
        assert_eq!(tokens[0].matches(',').count(), 15, "{tokens:?}");
        assert!(node.select("SELECT * FROM system.peers").await.is_empty());
        assert!(node.select("SELECT * FROM system.peers_v2").await.is_empty());
        let ids = node.select("SELECT host_id, schema_version FROM system.local").await;
        let info = &node.processor.node().info;
        let version = node.processor.node().schema().version();
        assert_eq!(ids, [format!("{} {version}", info.identity.host)]);
    });
}

/// One of the changes that statements can make to a small schema. Many are refused, as where something is there already.
fn random_change([kind, keyspace, name, column]: [u8; 4]) -> String {
    let keyspace = format!("ks{}", keyspace % 2);
    let table = format!("{keyspace}.t{}", name % 3);
    let ty = format!("{keyspace}.ty{}", name % 2);
    let yes = column % 2 == 0;
    let column = format!("c{}", column % 4);
    match kind % 16 {
        0 => format!(
            "CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        ),
        1 => format!(
            "ALTER KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}} AND durable_writes = {yes}"
        ),
        2 if yes => format!("DROP KEYSPACE {keyspace}"),
        3..=5 => {
            format!("CREATE TABLE {table} (k int, d int, v text, PRIMARY KEY (k, d)) WITH cdc = {yes}")
        }
        6 => format!("DROP TABLE {table}"),
        7..=9 => format!("ALTER TABLE {table} ADD {column} text"),
        10 => format!("ALTER TABLE {table} DROP {column}"),
        11 => format!("ALTER TABLE {table} WITH comment = '{column}' AND allow_auto_snapshot = {yes}"),
        12 => format!("CREATE TYPE {ty} (a int)"),
        13..=14 => format!("ALTER TYPE {ty} ADD {column} int"),
        _ => format!("DROP TYPE {ty}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn changes_of_the_schema_leave_what_it_would_be_filled_with_anew(
        changes in prop::collection::vec(any::<[u8; 4]>(), 300..400),
    ) {
        const TABLES: [&str; 5] = ["keyspaces", "tables", "columns", "dropped_columns", "types"];
        local(async {
            let directory = tempfile::tempdir().unwrap();
            let node = TestNode::start(directory.path());
            node.run(&random_change([0, 0, 0, 0])).await;
            let mut done = 0;
            for change in changes.into_iter().map(random_change) {
                let Answer::Done { .. } = node.run(&change).await else { continue };
                done += 1;
                if done % 8 != 0 {
                    continue;
                }
                let mut shown = Vec::new();
                for table in TABLES {
                    shown.push(node.select(&format!("SELECT * FROM system_schema.{table}")).await);
                }
                // Another one on the same node fills the same tables with all of it.
                drop(Processor::new(Arc::clone(node.processor.node())));
                for (table, shown) in TABLES.iter().zip(shown) {
                    let all = node.select(&format!("SELECT * FROM system_schema.{table}")).await;
                    assert_eq!(shown, all, "{table} after {done} changes: {change}");
                }
            }
            assert!(done > 30, "{done}");
        });
    }
}

#[test]
fn a_statement_on_the_schema_is_seen_once_it_has_answered() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}
             CREATE TYPE ks.ty (a int, b list<text>)
             CREATE TABLE ks.t (k int, c int, d int, s text static, v frozen<ty>, w set<int>, PRIMARY KEY ((k, c), d)) WITH CLUSTERING ORDER BY (d DESC)
             ALTER TABLE ks.t DROP w USING TIMESTAMP 1700000000123456",
        )
        .await;
        assert_eq!(
            node.select("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'ks'").await,
            [
                "'ks' true {'class': 'org.apache.cassandra.locator.NetworkTopologyStrategy', 'datacenter1': '1'}"
            ]
        );
        assert_eq!(
            node.select("SELECT column_name, clustering_order, kind, position, type FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 't'").await,
            [
                "'c' 'none' 'partition_key' 1 'int'",
                "'d' 'desc' 'clustering' 0 'int'",
                "'k' 'none' 'partition_key' 0 'int'",
                "'s' 'none' 'static' -1 'text'",
                "'v' 'none' 'regular' -1 'frozen<ty>'",
            ]
        );
        assert_eq!(
            node.select("SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = 'ks'").await,
            ["'ty' ['a', 'b'] ['int', 'list<text>']"]
        );
        assert_eq!(
            node.select("SELECT column_name, kind, type, dropped_time FROM system_schema.dropped_columns WHERE keyspace_name = 'ks'").await,
            ["'w' 'regular' 'set<int>' '2023-11-14T22:13:20.123Z'"]
        );
        assert_eq!(
            node.select("SELECT flags, gc_grace_seconds, read_repair, caching, extensions, memtable, cdc FROM system_schema.tables WHERE keyspace_name = 'ks'").await,
            ["{'compound'} 864000 'BLOCKING' {'keys': 'ALL', 'rows_per_partition': 'NONE'} {} null null"]
        );
        let version = node.processor.node().schema().version();
        assert_eq!(node.select("SELECT schema_version FROM system.local").await, [version.to_string()]);
        node.run_all("DROP KEYSPACE ks").await;
        assert!(
            node.select("SELECT * FROM system_schema.tables WHERE keyspace_name = 'ks'").await.is_empty()
        );
    });
}

#[test]
fn virtual_keyspaces_are_described_apart() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        let mut keyspaces = node.select("SELECT keyspace_name FROM system_schema.keyspaces").await;
        keyspaces.sort();
        assert_eq!(
            keyspaces,
            ["'system'", "'system_auth'", "'system_distributed'", "'system_schema'", "'system_traces'"]
        );
        let mut tables =
            node.select("SELECT keyspace_name, table_name FROM system_virtual_schema.tables").await;
        tables.sort();
        assert_eq!(
            tables,
            [
                "'system_views' 'batch_metrics'",
                "'system_views' 'caches'",
                "'system_views' 'clients'",
                "'system_views' 'coordinator_read_latency'",
                "'system_views' 'coordinator_scan_latency'",
                "'system_views' 'coordinator_write_latency'",
                "'system_views' 'cql_metrics'",
                "'system_views' 'disk_usage'",
                "'system_views' 'gossip_info'",
                "'system_views' 'internode_inbound'",
                "'system_views' 'internode_outbound'",
                "'system_views' 'local_read_latency'",
                "'system_views' 'local_scan_latency'",
                "'system_views' 'local_write_latency'",
                "'system_views' 'max_partition_size'",
                "'system_views' 'max_sstable_duration'",
                "'system_views' 'max_sstable_size'",
                "'system_views' 'pending_hints'",
                "'system_views' 'queries'",
                "'system_views' 'repair_jobs'",
                "'system_views' 'repair_participates'",
                "'system_views' 'repair_sessions'",
                "'system_views' 'repair_validations'",
                "'system_views' 'repairs'",
                "'system_views' 'rows_per_read'",
                "'system_views' 'settings'",
                "'system_views' 'snapshots'",
                "'system_views' 'sstable_tasks'",
                "'system_views' 'streaming'",
                "'system_views' 'system_logs'",
                "'system_views' 'system_properties'",
                "'system_views' 'thread_pools'",
                "'system_views' 'tombstones_per_read'",
                "'system_virtual_schema' 'columns'",
                "'system_virtual_schema' 'keyspaces'",
                "'system_virtual_schema' 'tables'",
            ]
        );
    });
}

struct View;

impl ServerView for View {
    fn clients(&self) -> Vec<ClientView> {
        vec![ClientView {
            address: ([127, 0, 0, 1], 5000).into(),
            options: [("DRIVER_NAME".to_owned(), "a driver".to_owned())].into(),
            stage: "ready",
            keyspace: None,
            protocol_version: 5,
            requests: 7,
            role: None,
            tls: None,
        }]
    }

    fn requests(&self) -> PoolView {
        PoolView { name: "Native-Transport-Requests", active: 3, limit: Some(9), pending: 2, completed: 70 }
    }

    fn running(&self) -> Vec<RunningView> {
        let view = |id: &str, began, task: &str| RunningView {
            id: id.into(),
            came: Duration::ZERO,
            began,
            task: task.into(),
        };
        vec![view("1-1", Some(Duration::from_micros(9)), "QUERY SELECT"), view("1-2", None, "BATCH")]
    }

    fn properties(&self) -> Vec<(String, String)> {
        vec![("os.name".into(), "a system".into())]
    }

    fn log(&self) -> Vec<LogLine> {
        let line = |at_millis, level, message: &str| LogLine {
            at_millis,
            level,
            logger: "dodona".into(),
            message: message.into(),
        };
        vec![line(5, "INFO", "one"), line(5, "WARN", "two"), line(6, "INFO", "three")]
    }

    fn executed(&self) -> (u64, u64) {
        (1, 3)
    }

    fn settings(&self) -> Vec<(String, Option<String>)> {
        vec![("cluster_name".into(), Some("peer".into())), ("rack".into(), None)]
    }
}

#[test]
fn the_server_is_asked_for_its_clients_and_settings() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        assert!(node.select("SELECT * FROM system_views.clients").await.is_empty());
        node.processor.set_server_view(Box::new(View));
        assert_eq!(
            node.select("SELECT address, port, driver_name, request_count, username, ssl_enabled FROM system_views.clients").await,
            ["'127.0.0.1' 5000 'a driver' 7 'anonymous' false"]
        );
        let mut settings = node.select("SELECT name, value FROM system_views.settings").await;
        settings.sort();
        assert_eq!(settings, ["'cluster_name' 'peer'", "'rack' null"]);
        let pool = "SELECT active_tasks, active_tasks_limit, pending_tasks, completed_tasks FROM system_views.thread_pools WHERE name = 'Native-Transport-Requests'";
        assert_eq!(node.select(pool).await, ["3 9 2 70"]);
        let mut metrics = node.select("SELECT name, value FROM system_views.cql_metrics").await;
        metrics.sort();
        assert_eq!(
            metrics,
            [
                "'prepared_statements_count' 0.0",
                "'prepared_statements_evicted' 0.0",
                "'prepared_statements_executed' 3.0",
                "'prepared_statements_ratio' 0.75",
                "'regular_statements_executed' 1.0"
            ]
        );
        let mut queries =
            node.select("SELECT thread_id, task, queued_micros FROM system_views.queries").await;
        queries.sort();
        assert_eq!(queries[0], "'1-1' 'QUERY SELECT' 9");
        assert!(queries[1].starts_with("'1-2' 'BATCH' ") && !queries[1].ends_with(" 0"), "{queries:?}");
        let waits = "SELECT running_micros FROM system_views.queries WHERE thread_id = '1-2'";
        assert_eq!(node.select(waits).await, ["0"]);
        let properties = node.select("SELECT name, value FROM system_views.system_properties").await;
        assert_eq!(properties, ["'os.name' 'a system'"]);
        let log = "SELECT order_in_millisecond, level, logger, message FROM system_views.system_logs WHERE timestamp = ";
        assert_eq!(
            node.select(&format!("{log} 5")).await,
            ["0 'INFO' 'dodona' 'one'", "1 'WARN' 'dodona' 'two'"]
        );
        assert_eq!(node.select(&format!("{log} 6")).await, ["0 'INFO' 'dodona' 'three'"]);
    });
}

#[test]
fn batches_are_told_by_the_partitions_that_they_change() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int, c int, v int, PRIMARY KEY (k, c))
             CREATE TABLE ks.s (k int PRIMARY KEY)
             CREATE TABLE ks.n (k int PRIMARY KEY, n counter)",
        )
        .await;
        let insert = |k: i32, c: i32| format!("INSERT INTO ks.t (k, c) VALUES ({k}, {c});");
        let logged: String = (0..3).map(|number| insert(1, number)).collect();
        node.run_all(&format!("BEGIN BATCH {logged} APPLY BATCH")).await;
        let unlogged: String = (0..8).map(|number| insert(number / 2, number)).collect();
        // Of two tables, the same key is of one partition.
        let other = "INSERT INTO ks.s (k) VALUES (0); INSERT INTO ks.s (k) VALUES (100);";
        node.run_all(&format!("BEGIN UNLOGGED BATCH {unlogged} {other} APPLY BATCH")).await;
        let count = |k: i32| format!("UPDATE ks.n SET n = n + 1 WHERE k = {k};");
        node.run_all(&format!("BEGIN COUNTER BATCH {}{}{} APPLY BATCH", count(1), count(2), count(2))).await;
        let mut rows = node.select("SELECT name, p50th, p999th, max FROM system_views.batch_metrics").await;
        rows.sort();
        assert_eq!(
            rows,
            [
                "'partitions_per_counter_batch' 2.0 2.0 2",
                "'partitions_per_logged_batch' 1.0 1.0 1",
                "'partitions_per_unlogged_batch' 5.0 5.0 5"
            ]
        );
    });
}

#[test]
fn estimates_cover_the_ring_without_wrapping() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int PRIMARY KEY, v text)",
        )
        .await;
        for n in 0..100 {
            node.run_all(&format!("INSERT INTO ks.t (k, v) VALUES ({n}, 'value')")).await;
        }
        let rows = node
            .select("SELECT range_start, range_end, partitions_count FROM system.size_estimates WHERE keyspace_name = 'ks' AND table_name = 't'")
            .await;
        let number = |text: &str| text.trim_matches('\'').parse::<i64>().unwrap();
        let mut all = 0;
        for row in &rows {
            let parts: Vec<i64> = row.split(' ').map(number).collect();
            assert!(parts[0] < parts[1] || parts[1] == i64::MIN, "{row}");
            all += parts[2];
        }
        assert!((90..=110).contains(&all), "{rows:?}");
        let rows = node
            .select("SELECT range_type FROM system.table_estimates WHERE keyspace_name = 'ks' AND table_name = 't'")
            .await;
        assert!(rows.contains(&"'primary'".to_owned()) && rows.contains(&"'local_primary'".to_owned()));
    });
}

#[test]
fn system_views_show_what_the_engine_counts() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int PRIMARY KEY, v blob)",
        )
        .await;
        let usage =
            "SELECT mebibytes FROM system_views.disk_usage WHERE keyspace_name = 'ks' AND table_name = 't'";
        assert_eq!(node.select(usage).await, ["0"]);
        let caches = "SELECT request_count, hit_count, hit_ratio, entry_count FROM system_views.caches WHERE name = 'chunks'";
        let (engine, schema) = (&node.processor.node().engine, node.processor.node().schema());
        let pool = "SELECT completed_tasks FROM system_views.thread_pools WHERE name = 'MemtableFlushWriter'";
        assert_eq!(node.select(pool).await, [engine.compaction_progress().2.to_string()]);
        node.run_all("INSERT INTO ks.t (k, v) VALUES (1, 0x00ff)").await;
        engine.flush(schema.table("ks", "t").unwrap().id).unwrap();
        assert_eq!(node.select(usage).await, ["1"]);
        assert_eq!(node.select(pool).await, [engine.compaction_progress().2.to_string()]);
        assert_ne!(node.select(pool).await, ["0"]);
        for _ in 0..3 {
            node.run_all("SELECT * FROM ks.t WHERE k = 1").await;
        }
        let (_, hits, misses) = engine.cache_statistics();
        assert!(hits > 0 && misses > 0);
        let ratio = hits as f64 / (hits + misses) as f64;
        let entries = engine.cache_entries();
        assert_eq!(node.select(caches).await, [format!("{} {hits} {ratio:?} {entries}", hits + misses)]);
        assert!(node.select("SELECT * FROM system_views.sstable_tasks").await.is_empty());

        let statements =
            "SELECT value FROM system_views.cql_metrics WHERE name = 'prepared_statements_count'";
        let before = node.processor.statements().counts().0;
        node.processor.prepare(&node.session, "SELECT v FROM ks.t WHERE k = ?", None).unwrap();
        assert_eq!(node.select(statements).await, [format!("{:?}", (before + 1) as f64)]);
    });
}

#[test]
fn a_compaction_under_way_is_an_sstable_task() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int PRIMARY KEY) WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': 2}",
        )
        .await;
        let (engine, schema) = (&node.processor.node().engine, node.processor.node().schema());
        for k in 0..2 {
            node.run_all(&format!("INSERT INTO ks.t (k) VALUES ({k})")).await;
            engine.flush(schema.table("ks", "t").unwrap().id).unwrap();
        }
        let compaction = engine.next_compaction().unwrap().unwrap();
        let total: u64 = engine.compaction_progress().0.iter().map(|task| task.total_bytes).sum();
        assert!(total > 0);
        let tasks = "SELECT keyspace_name, table_name, kind, progress, total, sstables, unit, completion_ratio, target_directory FROM system_views.sstable_tasks";
        let files = engine.files(schema.table("ks", "t").unwrap().id).unwrap();
        let target = directory.path().join(&files[0].0);
        let target = target.parent().unwrap().display();
        assert_eq!(
            node.select(tasks).await,
            [format!("'ks' 't' 'compaction' 0 {total} 2 'bytes' 0.0 '{target}'")]
        );
        let pool = "SELECT active_tasks, active_tasks_limit, pending_tasks, blocked_tasks, blocked_tasks_all_time FROM system_views.thread_pools WHERE name = 'CompactionExecutor'";
        assert_eq!(node.select(pool).await, ["1 2 0 0 0"]);
        let id = node.select("SELECT task_id FROM system_views.sstable_tasks").await;
        assert_eq!(node.select("SELECT task_id FROM system_views.sstable_tasks").await, id);
        engine.run_compaction(compaction).unwrap();
        assert!(node.select(tasks).await.is_empty());
        assert_eq!(node.select(pool).await, ["0 2 0 0 0"]);
    });
}
