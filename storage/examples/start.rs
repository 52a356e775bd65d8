//! How long a start takes, and how much memory, of tables with many files.
//!
//! `cargo run --release -p dodona-storage --example start -- DIRECTORY TABLES FILES` makes so many files in
//! all, if the directory is empty, and opens it otherwise.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a measurement of real time")]

use dodona_storage::compaction::CompactionSettings;
use dodona_storage::{Engine, EngineSettings, TableSettings};
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::{ColumnId, Liveness, MutationBuilder, PartitionKey, TableId};
use std::error::Error;
use std::time::Instant;
use uuid::Uuid;

/// Rows of a file, each of a partition of its own.
const ROWS: u64 = 100;

fn table(number: u64) -> TableId {
    TableId(Uuid::from_u128(0x5c1e_0000_0000_4000_8000_0000_0000_0000 + u128::from(number)))
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, tables, files] = &*arguments else { return Err("DIRECTORY TABLES FILES".into()) };
    let (tables, files): (u64, u64) = (tables.parse()?, files.parse()?);
    std::fs::create_dir_all(directory)?;
    let settings = |number| -> Result<TableSettings, Box<dyn Error>> {
        Ok(TableSettings::new(table(number), "ks.t", CompactionSettings::disabled()?))
    };
    let all = (0..tables).map(settings).collect::<Result<Vec<_>, _>>()?;
    let is_new = std::fs::read_dir(directory)?.next().is_none();
    let before = resident_bytes();
    let env = dodona_env::os::env(directory.as_ref())?;
    let began = Instant::now();
    let (engine, recovered) = Engine::open(env, EngineSettings::default(), Uuid::from_u128(1), all)?;
    let opened = began.elapsed();
    if is_new {
        let mut builder = MutationBuilder::new();
        for file in 0..files {
            for row in 0..ROWS {
                builder.begin(table(file % tables), 0, &(file * ROWS + row).to_be_bytes());
                let header = RowHeader { liveness: Some(Liveness::new(1)), ..RowHeader::EMPTY };
                builder
                    .row(&[ROW_END], 1, &header, |out| out.push_cell(&live_cell(ColumnId(3), 1, b"value")));
                engine.apply(&[builder.view()])?;
            }
            engine.flush(table(file % tables))?;
        }
        println!("{files} files made in {:.1} s", began.elapsed().as_secs_f64());
        return Ok(());
    }
    let open_bytes = resident_bytes() - before;
    let began = Instant::now();
    for file in 0..files.min(1_000) {
        let key = PartitionKey::new((file * ROWS).to_be_bytes().to_vec().into());
        let command = ReadCommand::everything(table(file % tables), 0, PartitionSelection::Key(key), 0);
        engine.read_page(&command, usize::MAX)?;
    }
    println!(
        "{} files opened in {:.3} s and {:.1} MB; {:.1} MB of filters and indexes; then {} reads in {:.3} s",
        recovered.sstables,
        opened.as_secs_f64(),
        open_bytes as f64 / 1e6,
        engine.index_bytes() as f64 / 1e6,
        files.min(1_000),
        began.elapsed().as_secs_f64(),
    );
    Ok(())
}
