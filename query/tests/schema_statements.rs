//! Statements on the schema against a real node on a real directory, and against what Apache
//! Cassandra 5.0.6 answered to the same statements.
#![allow(missing_docs)]

mod common;

use common::{Answer, TestNode, local};
use dodona_query::Guardrails;
use dodona_query::create_text::text_of_backup;
use dodona_query::outcome::{ChangeKind, ChangeTarget};
use dodona_types::CqlType;
use dodona_types::schema::Table;

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
        // As the peer that was asked has it, for a superuser.
        node.processor.set_guardrails(Guardrails {
            drop_compact_storage_enabled: true,
            zero_ttl_on_twcs_warned: false,
            ..Guardrails::default()
        });
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
                differences
                    .push(format!("> {statement}\n  Cassandra: {expected:?}\n  Dodona:    {answer:?}"));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    });
}

/// Ids of tables are made of the time: none is like another.
fn without_ids(text: &str) -> String {
    let mut parts = text.split("WITH ID = ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_random = part.as_bytes()[14] == b'1';
        out.push_str("WITH ID = ");
        out.push_str(if is_random { "(an id)" } else { &part[..36] });
        out.push_str(&part[36..]);
    }
    out
}

#[test]
fn descriptions_are_cassandras_letter_for_letter() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(include_str!("data/describe_schema.cql")).await;
        let mut used = false;
        for case in format!("\n{}", include_str!("data/describe.txt")).split("\n> ").skip(1) {
            let (statement, expected) = case.split_once('\n').unwrap();
            if statement == "DESCRIBE TABLES" && !used {
                node.run_all("USE dsc").await;
                used = true;
            }
            let answer = match node.run(statement).await {
                Answer::Failed(error) => error,
                Answer::Done { .. } => {
                    let rows = node.rows(statement).await;
                    let lines = rows.iter().map(|row| row.join(" | "));
                    let columns = node.columns(statement).join(" | ");
                    std::iter::once(format!("# {columns}")).chain(lines).collect::<Vec<_>>().join("\n")
                }
            };
            assert_eq!(without_ids(&answer), expected.trim_end(), "{statement}");
        }
    });
}

#[test]
fn the_schema_survives_a_restart() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let describe = "DESCRIBE KEYSPACE dsc WITH INTERNALS";
        let before = {
            let node = TestNode::start(directory.path());
            node.run_all(include_str!("data/describe_schema.cql")).await;
            node.run_all("ALTER KEYSPACE system_auth WITH durable_writes = false").await;
            node.rows(describe).await
        };
        let node = TestNode::start(directory.path());
        assert_eq!(node.rows(describe).await, before);
        let system_auth = node.rows("DESCRIBE ONLY KEYSPACE system_auth").await;
        assert!(system_auth[0][3].ends_with("durable_writes = false;"), "{system_auth:?}");
    });
}

#[test]
fn a_change_of_a_type_reaches_the_tables_and_types_that_use_it() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TYPE ks.inner (a int)
             CREATE TYPE ks.outer (i frozen<inner>)
             CREATE TABLE ks.t (k int PRIMARY KEY, m map<int, frozen<outer>>, i inner)
             ALTER TYPE ks.inner ADD b text
             ALTER TYPE ks.inner RENAME a TO z",
        )
        .await;
        let schema = node.processor.node().schema();
        let keyspace = schema.keyspace("ks").unwrap();
        let inner = &keyspace.types["inner"];
        let fields: Vec<&str> = inner.fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!(fields, ["z", "b"]);
        let table = &keyspace.tables["t"];
        for column in ["m", "i"] {
            let mut found = false;
            table.column(column).unwrap().cql_type.any(&mut |ty| {
                if let CqlType::UserDefined { definition, .. } = ty
                    && definition.name == inner.name
                {
                    assert_eq!(definition, inner, "in {column}");
                    found = true;
                }
                false
            });
            assert!(found, "{column}");
        }
        assert_eq!(table.epoch, schema.epoch);
    });
}

#[test]
fn a_dropped_column_gives_its_number_to_none_but_itself() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int PRIMARY KEY, v int)
             ALTER TABLE ks.t DROP v
             ALTER TABLE ks.t ADD v int
             ALTER TABLE ks.t ADD w int",
        )
        .await;
        let schema = node.processor.node().schema();
        let ids: Vec<u32> =
            schema.table("ks", "t").unwrap().columns.iter().map(|column| column.id.0).collect();
        assert_eq!(ids, [0, 1, 2]);
        node.run_all(
            "ALTER TABLE ks.t DROP v
             ALTER TABLE ks.t ADD x int",
        )
        .await;
        let schema = node.processor.node().schema();
        assert_eq!(schema.table("ks", "t").unwrap().column("x").unwrap().id.0, 3);
    });
}

#[test]
fn the_statement_of_a_backup_makes_a_table_with_compact_storage_again() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.lone (k int PRIMARY KEY, a int, b text) WITH COMPACT STORAGE
             CREATE TABLE ks.bare (k int, c int, PRIMARY KEY (k, c)) WITH COMPACT STORAGE
             CREATE TABLE ks.dense (k int, c int, d int, v int, PRIMARY KEY (k, c, d)) WITH COMPACT STORAGE AND CLUSTERING ORDER BY (c DESC, d ASC)",
        )
        .await;
        let schema = node.processor.node().schema();
        for before in schema.keyspace("ks").unwrap().tables.values() {
            let text = text_of_backup(&schema, before);
            node.run_all(&format!("DROP TABLE ks.{}", before.name)).await;
            let Answer::Done { .. } = node.run(&text).await else { panic!("{text}") };
            let again = node.processor.node().schema();
            let again = again.table("ks", &before.name).unwrap();
            let shown = |table: &Table| {
                let columns = table.columns.iter();
                let columns =
                    columns.map(|it| (it.name.clone(), it.kind, it.cql_type.clone(), it.descending));
                (table.id, table.compact_storage, columns.collect::<Vec<_>>())
            };
            assert_eq!(shown(again), shown(before));
        }
    });
}

#[test]
fn compact_storage_is_dropped_only_where_that_is_allowed() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int PRIMARY KEY, a int) WITH COMPACT STORAGE",
        )
        .await;
        let Answer::Failed(error) = node.run("ALTER TABLE ks.t DROP COMPACT STORAGE").await else { panic!() };
        assert_eq!(error, "Invalid: DROP COMPACT STORAGE is disabled. Enable in cassandra.yaml to use.");
    });
}

#[test]
fn clients_are_told_what_changed() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        let create = "CREATE KEYSPACE IF NOT EXISTS ks WITH replication = {'class': 'SimpleStrategy'}";
        for (statement, expected) in [
            (create, Some((ChangeKind::Created, ChangeTarget::Keyspace))),
            (create, None),
            (
                "ALTER KEYSPACE ks WITH durable_writes = false",
                Some((ChangeKind::Updated, ChangeTarget::Keyspace)),
            ),
            (
                "CREATE TABLE ks.t (k int PRIMARY KEY)",
                Some((ChangeKind::Created, ChangeTarget::Table("t".into()))),
            ),
            ("ALTER TABLE ks.t ADD v int", Some((ChangeKind::Updated, ChangeTarget::Table("t".into())))),
            ("ALTER TABLE ks.t ADD IF NOT EXISTS v int", None),
            ("ALTER TABLE ks.t WITH comment = ''", None),
            ("CREATE TYPE ks.u (a int)", Some((ChangeKind::Created, ChangeTarget::Type("u".into())))),
            ("DROP TYPE ks.u", Some((ChangeKind::Dropped, ChangeTarget::Type("u".into())))),
            ("DROP TABLE ks.t", Some((ChangeKind::Dropped, ChangeTarget::Table("t".into())))),
            ("DROP KEYSPACE ks", Some((ChangeKind::Dropped, ChangeTarget::Keyspace))),
        ] {
            let Answer::Done { event, .. } = node.run(statement).await else { panic!("{statement}") };
            let event = event.map(|event| (event.change, event.target));
            assert_eq!(event, expected, "{statement}");
        }
    });
}
