//! Bytes of the data directory that change behind the node's back: each is noticed and its file
//! named, or does not matter. None is ever read as data.
#![expect(clippy::disallowed_methods, reason = "the test damages files behind the node's back")]

use dodona_cluster::{EngineSettings, Node, NodeSettings};
use dodona_query::{Parameters, Processor, Session, system_tables};
use dodona_types::CollectedRows;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROWS: usize = 60;

type Row = Vec<Option<Vec<u8>>>;

fn start(directory: &Path) -> Result<Arc<Processor>, String> {
    let settings = NodeSettings {
        cluster_name: "damaged".into(),
        num_tokens: 4,
        engine: EngineSettings { segment_bytes: 16 << 10, ..EngineSettings::default() },
        ..NodeSettings::default()
    };
    let env = dodona_env::os::env(directory).map_err(|error| error.to_string())?;
    Node::start(env, settings, system_tables::builtin())
        .map(Processor::new)
        .map_err(|error| error.to_string())
}

async fn run(processor: &Processor, text: &str) -> Result<Vec<Row>, String> {
    let session = Session::new(SocketAddr::from(([127, 0, 0, 1], 1)));
    let statement = processor.analyse(&session, text, None).map_err(|error| error.to_string())?;
    let mut collect = CollectedRows::default();
    let done = processor.execute(&session, &statement, &Parameters::new(), &mut collect).await;
    done.map(|_| collect.rows).map_err(|error| error.to_string())
}

/// A directory with rows in files and rows in the commit log alone.
async fn fill(directory: &Path) -> Vec<Row> {
    let processor = start(directory).unwrap();
    let mut statements = vec![
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
            .to_owned(),
        "CREATE TABLE ks.t (p int, c int, v text, PRIMARY KEY (p, c))".to_owned(),
    ];
    statements.extend(
        (0..ROWS).map(|n| format!("INSERT INTO ks.t (p, c, v) VALUES ({}, {n}, 'value {n}')", n % 5)),
    );
    for (index, text) in statements.iter().enumerate() {
        run(&processor, text).await.unwrap();
        if index == ROWS / 2 {
            processor.node().engine.flush_all().unwrap();
        }
    }
    processor.node().engine.sync_log().unwrap();
    run(&processor, "SELECT p, c, v FROM ks.t").await.unwrap()
}

fn files_of(directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_of(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

fn put_back(directory: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    fs::remove_dir_all(directory).unwrap();
    for (path, bytes) in files {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The bytes to damage: all of a short file; of a long one every so many up to its last that is not
/// zero, and a few behind it.
fn places(bytes: &[u8]) -> Vec<usize> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let step = (used / 120).max(1);
    (0..used).step_by(step).chain((used..bytes.len()).step_by(5_000)).collect()
}

#[test]
fn a_changed_byte_in_any_file_is_named_or_does_not_matter() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let directory = tempfile::tempdir().unwrap();
        let expected = fill(directory.path()).await;
        assert_eq!(expected.len(), ROWS);
        let mut files = BTreeMap::new();
        files_of(directory.path(), &mut files);
        let mut wrong = Vec::new();
        let mut noticed: BTreeMap<&Path, usize> = BTreeMap::new();
        for (path, bytes) in &files {
            let name = path.strip_prefix(directory.path()).unwrap();
            for place in places(bytes) {
                put_back(directory.path(), &files);
                let mut damaged = bytes.clone();
                damaged[place] ^= 0x04;
                fs::write(path, damaged).unwrap();
                let answer = match start(directory.path()) {
                    Ok(processor) => run(&processor, "SELECT p, c, v FROM ks.t").await,
                    Err(error) => Err(error),
                };
                match answer {
                    Ok(rows) if rows == expected => {}
                    Ok(rows) => wrong.push(format!("{} byte {place}: {} rows", name.display(), rows.len())),
                    Err(error) if error.contains(&*name.to_string_lossy()) => {
                        *noticed.entry(name).or_default() += 1;
                    }
                    Err(error) => wrong.push(format!("{} byte {place}: not named: {error}", name.display())),
                }
            }
        }
        assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
        for part in ["commitlog", "manifest", "metadata", "tables", "node.json", "LAYOUT"] {
            let count: usize =
                noticed.iter().filter(|(name, _)| name.starts_with(part)).map(|(_, count)| count).sum();
            assert!(count > 0, "no damage in {part} was noticed: {noticed:?}");
        }
    });
}
