//! Dodona's storage engine beside RocksDB and fjall, in one run: the same rows, durability, cache,
//! memtables, compression and filters. See docs/BENCHMARKS.md, "The engine beside others".
//!
//! `cd benches/engines && cargo run --release -- --rows 5000000 --threads 1,2`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a measurement of real time")]

mod dodona_store;
mod fjall_store;
mod measure;
mod report;
#[cfg(feature = "rocksdb")]
mod rocksdb_store;
mod store;
mod workload;

use clap::{Parser, ValueEnum};
use report::Report;
use std::path::{Path, PathBuf};
use store::{KEY_BYTES, Outcome, Store, StoreSettings, VALUE_BYTES};
use tempfile::TempDir;
use workload::{Plan, Sequential};

/// Compares storage engines.
#[derive(Parser)]
struct Options {
    /// Rows of each database: 8-byte keys, 100-byte values.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Point reads of each kind; a tenth as many ranges.
    #[arg(long, default_value_t = 1_000_000)]
    reads: u64,
    /// Clients at once; a list runs everything for each.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    threads: Vec<u64>,
    /// Bytes of the block cache; without it, four times the data.
    #[arg(long)]
    cache_bytes: Option<usize>,
    /// Bytes of a memtable.
    #[arg(long, default_value_t = 64 << 20)]
    memtable_bytes: usize,
    /// Bytes of a block of data; without it, each engine's default (4 KiB).
    #[arg(long)]
    block_bytes: Option<usize>,
    /// Writes that go to the operating system together.
    #[arg(long, default_value_t = 1)]
    group: u64,
    /// Engines, by their names.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    engine: Vec<EngineName>,
    /// Only phases whose name has one of these in it.
    #[arg(long, value_delimiter = ',')]
    phases: Vec<String>,
    /// Where the databases are made; they are removed afterwards.
    #[arg(long)]
    directory: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineName {
    All,
    Dodona,
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    Fjall,
}

const ENGINES: &[EngineName] = &[
    EngineName::Dodona,
    #[cfg(feature = "rocksdb")]
    EngineName::Rocksdb,
    EngineName::Fjall,
];

/// Databases, and the directories that they are in.
type Opened = (Vec<Box<dyn Store>>, Vec<TempDir>);

fn open(engine: EngineName, directory: &Path, settings: StoreSettings) -> Outcome<Box<dyn Store>> {
    Ok(match engine {
        EngineName::All | EngineName::Dodona => {
            Box::new(dodona_store::DodonaStore::open(directory, settings)?)
        }
        #[cfg(feature = "rocksdb")]
        EngineName::Rocksdb => Box::new(rocksdb_store::RocksDbStore::open(directory, settings)?),
        EngineName::Fjall => Box::new(fjall_store::FjallStore::open(directory, settings)?),
    })
}

impl Options {
    fn engines(&self) -> Vec<EngineName> {
        let wanted =
            |engine: &&EngineName| self.engine.contains(&EngineName::All) || self.engine.contains(*engine);
        ENGINES.iter().filter(wanted).copied().collect()
    }

    /// Empty databases of all engines, in directories that go with the first.
    fn open_all(&self, settings: StoreSettings) -> Outcome<Opened> {
        let (mut stores, mut directories) = (Vec::new(), Vec::new());
        for engine in self.engines() {
            let directory = match &self.directory {
                Some(parent) => tempfile::tempdir_in(parent)?,
                None => tempfile::tempdir()?,
            };
            stores.push(open(engine, directory.path(), settings)?);
            directories.push(directory);
        }
        Ok((stores, directories))
    }
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    let data_bytes = options.rows as usize * (KEY_BYTES + VALUE_BYTES);
    let settings = StoreSettings {
        cache_bytes: options.cache_bytes.unwrap_or(4 * data_bytes),
        memtable_bytes: options.memtable_bytes,
        block_bytes: options.block_bytes,
        group: options.group,
    };
    println!("{} rows, {data_bytes} bytes of data, {settings:?}", options.rows);
    for threads in &options.threads {
        let plan = Plan {
            rows: options.rows,
            reads: options.reads,
            threads: (*threads).max(1),
            phases: options.phases.clone(),
        };
        let (stores, directories) = options.open_all(settings)?;
        let mut report = Report::new(stores.iter().map(|store| store.name()).collect());
        workload::run(&stores, settings, &plan, &mut report)?;
        drop((stores, directories));
        for how in [Sequential::Rows, Sequential::Partitions] {
            let (stores, directories) = options.open_all(settings)?;
            workload::fill_sequential(&stores, how, &plan, &mut report)?;
            drop((stores, directories));
        }
        println!("\nClients: {threads}");
        report.print();
    }
    Ok(())
}
