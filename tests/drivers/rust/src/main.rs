//! The Rust driver (`scylla`) against a running node: schema metadata, prepared statements,
//! paging, batches and errors. Usage: driver-test HOST PORT [KEYSPACE to describe]

use futures::TryStreamExt;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::batch::Batch;
use std::collections::BTreeMap;
use std::error::Error;
use uuid::Uuid;

const ROWS: i32 = 1_000;

/// Prints what the driver knows of a keyspace.
fn describe(session: &Session, name: &str) {
    let state = session.get_cluster_state();
    let keyspace = state.get_keyspace(name).expect("the keyspace is in the metadata");
    println!("{name} {:?} {:?}", keyspace.strategy, keyspace.views.len());
    let types: BTreeMap<_, _> = keyspace.user_defined_types.iter().collect();
    types.iter().for_each(|(name, ty)| println!("{name} {ty:?}"));
    let tables: BTreeMap<_, _> = keyspace.tables.iter().collect();
    for (name, table) in tables {
        println!("{name} {:?} {:?} {:?}", table.partition_key, table.clustering_key, table.partitioner);
        let columns: BTreeMap<_, _> = table.columns.iter().collect();
        columns.iter().for_each(|(name, column)| println!("  {name} {column:?}"));
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let node = format!("{}:{}", arguments.next().unwrap(), arguments.next().unwrap());
    let session: Session = SessionBuilder::new().known_node(node).build().await?;
    if let Some(keyspace) = arguments.next() {
        describe(&session, &keyspace);
        return Ok(());
    }
    session.query_unpaged("DROP KEYSPACE IF EXISTS rust_driver", &[]).await?;
    session
        .query_unpaged(
            "CREATE KEYSPACE rust_driver WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            &[],
        )
        .await?;
    session
        .query_unpaged(
            "CREATE TABLE rust_driver.wide (bucket text, seq int, id uuid, tags set<text>, PRIMARY KEY (bucket, seq))",
            &[],
        )
        .await?;
    let id = Uuid::new_v4();
    let insert = session.prepare("INSERT INTO rust_driver.wide (bucket, seq, id, tags) VALUES (?, ?, ?, ?)").await?;
    for seq in 0..ROWS {
        session.execute_unpaged(&insert, ("b", seq, id, vec!["x", "y"])).await?;
    }
    let mut select = session.prepare("SELECT seq, id, tags FROM rust_driver.wide WHERE bucket = ?").await?;
    select.set_page_size(97);
    let mut rows = session.execute_iter(select, ("b",)).await?.rows_stream::<(i32, Uuid, Vec<String>)>()?;
    let mut expected = 0;
    while let Some((seq, got, tags)) = rows.try_next().await? {
        assert_eq!((seq, got, tags), (expected, id, vec!["x".to_owned(), "y".to_owned()]));
        expected += 1;
    }
    assert_eq!(expected, ROWS);
    let mut batch = Batch::default();
    batch.append_statement("INSERT INTO rust_driver.wide (bucket, seq) VALUES ('batch', ?)");
    batch.append_statement("INSERT INTO rust_driver.wide (bucket, seq) VALUES ('batch', ?)");
    session.batch(&batch, ((1,), (2,))).await?;
    let count = session.query_unpaged("SELECT count(*) FROM rust_driver.wide WHERE bucket = 'batch'", &[]).await?;
    assert_eq!(count.into_rows_result()?.single_row::<(i64,)>()?.0, 2);
    session.refresh_metadata().await?;
    let state = session.get_cluster_state();
    let keyspace = state.get_keyspace("rust_driver").expect("the keyspace is in the metadata");
    assert_eq!(keyspace.tables["wide"].columns.len(), 4);
    assert!(session.query_unpaged("SELECT * FROM rust_driver.nowhere", &[]).await.is_err());
    session.query_unpaged("DROP KEYSPACE rust_driver", &[]).await?;
    println!("rust driver: ok");
    println!("1 passed, 0 failed");
    Ok(())
}
