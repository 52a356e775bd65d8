//! A partition of 256 MiB under 32 MiB of memory for the engine: written, read by name, in slices, both
//! ways, in pages, in one go, and compacted. The peak of each is the kernel's figure for this process.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the test looks at its own process")]

#[path = "common/embedded.rs"]
mod embedded;

use dodona_cluster::{EngineSettings, NodeSettings};
use dodona_query::{BoundValue, Parameters, Prepared, StatementResult};
use dodona_types::RowSink;
use embedded::{Client, local};
use std::fs;
use std::sync::Arc;

const ROWS: u32 = 32 << 10;
const VALUE_BYTES: usize = 8 << 10;
const PAGE_ROWS: u32 = 100;
const ENGINE_BYTES: usize = 32 << 20;
/// What a phase may take beside the engine's memory: pages of a result, and what the allocator
/// has not given back.
const BESIDE_BYTES: usize = 32 << 20;

/// A figure of this process from `/proc/self/status`.
fn status_bytes(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// Runs a phase. Panics if it took more memory than it may.
async fn bounded<T>(name: &str, base_bytes: usize, phase: impl Future<Output = T>) -> T {
    // 5: the peak begins anew (proc(5), clear_refs).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let done = phase.await;
    let peak_bytes = status_bytes("VmHWM:").saturating_sub(base_bytes);
    println!("{name:24} {:4} MiB", peak_bytes >> 20);
    assert!(peak_bytes <= ENGINE_BYTES + BESIDE_BYTES, "{name} took {} MiB", peak_bytes >> 20);
    done
}

/// A page as the protocol's frame holds it, and the clustering of its rows.
#[derive(Default)]
struct Frame {
    bytes: Vec<u8>,
    numbers: Vec<i32>,
    in_row: bool,
}

impl RowSink for Frame {
    fn value(&mut self, value: Option<&[u8]>) {
        let value = value.unwrap_or_default();
        if !self.in_row {
            self.numbers.push(value.try_into().map_or(-1, i32::from_be_bytes));
        }
        self.in_row = true;
        self.bytes.extend_from_slice(value);
    }

    fn end_row(&mut self) {
        self.in_row = false;
    }

    fn bytes_written(&self) -> usize {
        self.bytes.len()
    }
}

impl Client {
    async fn run(&self, statement: &Prepared, parameters: &Parameters<'_>) -> (Frame, Option<Vec<u8>>) {
        let mut frame = Frame::default();
        let outcome = self.processor.execute(&self.session, statement, parameters, &mut frame).await.unwrap();
        let state = match outcome.result {
            StatementResult::Rows { paging_state } => paging_state,
            _ => None,
        };
        (frame, state)
    }

    /// Reads page by page, and gives the numbers of all rows.
    async fn pages(&self, text: &str) -> Vec<i32> {
        let statement = self.statement(text);
        let (mut numbers, mut state) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let parameters = Parameters {
                page_size: Some(PAGE_ROWS),
                paging_state: state.as_deref(),
                ..Parameters::new()
            };
            let (frame, next) = self.run(&statement, &parameters).await;
            numbers.extend(frame.numbers);
            state = next;
            if state.is_none() {
                return numbers;
            }
        }
    }
}

/// Bytes that no compression makes shorter.
fn noise(seed: u32, out: &mut [u8]) {
    let mut state = u64::from(seed) + 1;
    for chunk in out.chunks_mut(8) {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        chunk.copy_from_slice(&(state ^ (state >> 29)).to_be_bytes()[..chunk.len()]);
    }
}

async fn write(client: &Client) {
    let insert = client.statement("INSERT INTO ks.t (p, c, v) VALUES (0, ?, ?)");
    let mut value = vec![0; VALUE_BYTES];
    for number in 0..ROWS {
        // Each file holds rows from all over the partition.
        let row = (number * 7919) % ROWS;
        noise(row, &mut value);
        let values = [BoundValue::Bytes(&row.to_be_bytes()), BoundValue::Bytes(&value)];
        client.run(&insert, &Parameters { values: &values, ..Parameters::new() }).await;
        // As a connection does between reads of its socket.
        tokio::task::yield_now().await;
    }
}

async fn by_name(client: &Client) {
    let select = client.statement("SELECT c, v FROM ks.t WHERE p = 0 AND c = ?");
    let mut value = vec![0; VALUE_BYTES];
    for number in 0..300 {
        let row = (number * 104_729) % ROWS;
        let values = [BoundValue::Bytes(&row.to_be_bytes())];
        let (frame, _) = client.run(&select, &Parameters { values: &values, ..Parameters::new() }).await;
        noise(row, &mut value);
        assert!(frame.bytes[..4] == row.to_be_bytes() && frame.bytes[4..] == value, "row {row}");
    }
}

async fn by_slice(client: &Client) {
    for (text, expected) in [
        ("SELECT c FROM ks.t WHERE p = 0 AND c >= 20000 LIMIT 3", [20_000, 20_001, 20_002]),
        ("SELECT c FROM ks.t WHERE p = 0 AND c < 20000 ORDER BY c DESC LIMIT 3", [19_999, 19_998, 19_997]),
    ] {
        assert_eq!(client.pages(text).await, expected);
    }
}

async fn read(client: &Client, base_bytes: usize, when: &str) {
    bounded(&format!("{when}: by name"), base_bytes, by_name(client)).await;
    bounded(&format!("{when}: slices"), base_bytes, by_slice(client)).await;
    let all = client.pages("SELECT c, v FROM ks.t WHERE p = 0");
    let all = bounded(&format!("{when}: forward"), base_bytes, all).await;
    assert!(all.into_iter().eq(0..ROWS.cast_signed()));
    let all = client.pages("SELECT c, v FROM ks.t WHERE p = 0 ORDER BY c DESC");
    let all = bounded(&format!("{when}: backward"), base_bytes, all).await;
    assert!(all.into_iter().eq((0..ROWS.cast_signed()).rev()));
    let count = client.statement("SELECT count(*) FROM ks.t WHERE p = 0");
    let count = async { client.run(&count, &Parameters::new()).await };
    let (frame, _) = bounded(&format!("{when}: count(*)"), base_bytes, count).await;
    assert_eq!(frame.bytes, u64::from(ROWS).to_be_bytes());
}

#[test]
fn a_partition_larger_than_memory_is_written_read_and_compacted() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let engine = EngineSettings {
            compaction_bytes_per_second: 0,
            commit_log_bytes: 64 << 20,
            ..EngineSettings::within(ENGINE_BYTES)
        };
        let settings = NodeSettings { engine, ..NodeSettings::default() };
        let columns = "p int, c int, v blob, PRIMARY KEY (p, c)";
        let client = Client::connect(directory.path(), settings, columns).await;
        let base_bytes = status_bytes("VmRSS:");
        bounded("written", base_bytes, write(&client)).await;
        let engine = Arc::clone(&client.processor.node().engine);
        engine.flush_all().unwrap();
        read(&client, base_bytes, "in many files").await;
        let table = client.processor.node().schema().table("ks", "t").unwrap().id;
        bounded("compacted", base_bytes, async { engine.compact_all(table, None).unwrap() }).await;
        assert_eq!(engine.files(table).unwrap().len(), 1);
        read(&client, base_bytes, "in one file").await;
    });
}
