//! Which operation comes next, and its bytes.

use std::sync::Arc;

use bytes::BytesMut;
use dodona_protocol::request::{Execute, QueryParameters, ValuesBuilder};
use dodona_protocol::{Encoding, Request, RequestExtras, Value};

use super::operation::OperationKind;
use super::schema::{Statement, Statements};
use super::{BenchArgs, Context, Workload};

/// Which operations a phase is made of.
#[derive(Clone, Debug)]
pub(super) enum Mix {
    /// Random keys.
    Random(Workload),
    /// Every row of `kv` from this one on, in order.
    EveryRow {
        /// Number of the next row.
        next: u64,
    },
    /// A read of every row of `kv` from this one on, in order.
    EveryRowBack {
        /// Number of the next row.
        next: u64,
        /// Rows whose reads had no answer, or failed.
        again: Vec<u64>,
        /// How many of those that fail are read again.
        patience: u32,
    },
    /// Every row of `wide` from this one on, in order.
    EveryWideRow {
        /// Number of the next row.
        next: u64,
    },
}

impl Mix {
    pub(super) const fn of(workload: Workload) -> Self {
        Self::Random(workload)
    }

    /// What writes the rows that the workload reads; a thread's part of them.
    pub(super) fn load(args: &BenchArgs, thread: usize) -> Self {
        let (next, _) = share(args, thread);
        match args.workload {
            Workload::Scan => Self::EveryWideRow { next },
            _ => Self::EveryRow { next },
        }
    }
}

impl Mix {
    /// What reads a thread's part of the rows back.
    pub(super) fn read_back(args: &BenchArgs, thread: usize) -> Self {
        Self::EveryRowBack { next: share(args, thread).0, again: Vec::new(), patience: PATIENCE }
    }

    /// Takes an operation back that failed or had no answer, if every row has to be read. True if so.
    pub(super) fn take_back(&mut self, begun: Begun, has_failed: bool) -> bool {
        match self {
            Self::EveryRowBack { again, patience, .. } if !has_failed || *patience > 0 => {
                *patience -= u32::from(has_failed);
                again.push(begun.key);
                true
            }
            _ => false,
        }
    }
}

/// What was begun: of a row of `kv` its key, and the round that is written or was acknowledged before, with `--verify`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) kind: OperationKind,
    pub(super) key: u64,
    pub(super) round: u32,
}

/// Reads of a thread that fail at the end and are made again: of nodes that were killed a moment ago.
const PATIENCE: u32 = 1_000;

/// The rows that a thread loads: from, up to.
pub(super) fn share(args: &BenchArgs, thread: usize) -> (u64, u64) {
    let rows = match args.workload {
        Workload::Scan => args.partitions() * args.rows_per_partition,
        _ => args.keys,
    };
    let part = |index: usize| rows * index as u64 / args.threads as u64;
    (part(thread), part(thread + 1))
}

/// A small generator (xorshift64*), so that choosing a key costs a nanosecond.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `bound`.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }
}

/// A request encoded once, with the places that differ between operations.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    key_at: usize,
    seq_at: Option<usize>,
    timestamp_at: Option<usize>,
    value_at: Option<usize>,
    value_bytes: usize,
}

/// Place holders, which occur nowhere else in a request.
const KEY: [u8; 8] = *b"\xF1KEY<>\xF2\xF3";
const SEQ: [u8; 4] = *b"\xF4SQ\xF5";
const TIMESTAMP: [u8; 8] = *b"\x06TIME<>\xF7";
const STREAM_AT: std::ops::Range<usize> = 2..4;

impl Template {
    /// Writes have timestamps of the loader's if they are `timed`.
    fn new(
        kind: OperationKind,
        statement: &Statement,
        args: &BenchArgs,
        encoding: Encoding,
        timed: bool,
    ) -> Self {
        let value = filler(args.value_bytes);
        let mut values = ValuesBuilder::new(encoding.version);
        values.push(Value::Set(&KEY));
        if kind == OperationKind::WriteWide {
            values.push(Value::Set(&SEQ));
        }
        if kind.is_write() {
            values.push(Value::Set(&value));
        }
        let mut out = BytesMut::new();
        let mut parameters = parameters(kind, args, &values);
        parameters.default_timestamp = (timed && kind.is_write()).then_some(i64::from_be_bytes(TIMESTAMP));
        encode(statement, parameters, encoding, &mut out);
        let find = |part: &[u8]| out.windows(part.len()).position(|window| window == part);
        Self {
            key_at: find(&KEY).unwrap_or_default(),
            seq_at: find(&SEQ),
            timestamp_at: find(&TIMESTAMP),
            value_at: if kind.is_write() { find(&value) } else { None },
            value_bytes: value.len(),
            bytes: out.to_vec(),
        }
    }

    #[inline]
    fn append(
        &self,
        stream: i16,
        key: u64,
        seq: u32,
        timestamp: i64,
        fill: impl FnOnce(&mut [u8]),
        out: &mut BytesMut,
    ) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let request = &mut out[start..];
        request[STREAM_AT].copy_from_slice(&stream.to_be_bytes());
        request[self.key_at..][..KEY.len()].copy_from_slice(&key.to_be_bytes());
        if let Some(at) = self.seq_at {
            request[at..][..SEQ.len()].copy_from_slice(&seq.to_be_bytes());
        }
        if let Some(at) = self.timestamp_at {
            request[at..][..TIMESTAMP.len()].copy_from_slice(&timestamp.to_be_bytes());
        }
        if let Some(at) = self.value_at {
            fill(&mut request[at..][..self.value_bytes]);
        }
    }
}

fn filler(length: usize) -> Vec<u8> {
    let mut random = Random::new(length as u64);
    (0..length).map(|_| random.next() as u8).collect()
}

/// The parameters of an operation's first page.
fn parameters<'a>(kind: OperationKind, args: &BenchArgs, values: &'a ValuesBuilder) -> QueryParameters<'a> {
    let mut parameters = QueryParameters::new(args.consistency);
    parameters.values = values.values();
    parameters.skip_metadata = true;
    parameters.page_size = (kind == OperationKind::Scan).then_some(args.page_size);
    parameters
}

/// Appends an EXECUTE with stream id 0.
fn encode(statement: &Statement, parameters: QueryParameters<'_>, encoding: Encoding, out: &mut BytesMut) {
    let result_metadata_id = Some(&statement.result_metadata_id[..]);
    let execute = Execute { id: &statement.id, result_metadata_id, parameters };
    Request::Execute(execute).encode(encoding, 0, &RequestExtras::default(), out);
}

/// Chooses the operations of one connection and encodes them.
#[derive(Debug)]
pub(super) struct Generator {
    context: Arc<Context>,
    scan: Statement,
    templates: [Template; OperationKind::ALL.len()],
    encoding: Encoding,
    random: Random,
    values: ValuesBuilder,
}

/// Where the scan of a request in flight stands.
#[derive(Clone, Debug, Default)]
pub(super) struct ScanPosition {
    key: u64,
    /// Empty at the start of a partition.
    paging_state: Vec<u8>,
}

impl ScanPosition {
    /// True unless the last page said that there are more.
    pub(super) const fn is_at_start(&self) -> bool {
        self.paging_state.is_empty()
    }

    /// Remembers where the page that has come ended.
    pub(super) fn advance(&mut self, paging_state: Option<&[u8]>) {
        self.paging_state.clear();
        self.paging_state.extend_from_slice(paging_state.unwrap_or_default());
    }
}

impl Generator {
    /// On a connection where these statements are prepared.
    pub(super) fn new(
        context: &Arc<Context>,
        statements: &Statements,
        encoding: Encoding,
        seed: u64,
    ) -> Self {
        let (args, timed) = (&context.args, context.ledger.is_some());
        Self {
            context: Arc::clone(context),
            scan: statements.of(OperationKind::Scan).clone(),
            templates: OperationKind::ALL
                .map(|kind| Template::new(kind, statements.of(kind), args, encoding, timed)),
            encoding,
            random: Random::new(seed + 1),
            values: ValuesBuilder::new(encoding.version),
        }
    }

    /// A seed for whoever goes on.
    pub(super) const fn next_seed(&mut self) -> u64 {
        self.random.next() >> 1
    }

    /// Appends the next operation of `mix`; `position` is that of its stream.
    #[inline]
    pub(super) fn append(
        &mut self,
        mix: &mut Mix,
        stream: i16,
        position: &mut ScanPosition,
        out: &mut BytesMut,
    ) -> Begun {
        let random = self.random.next();
        let (kind, key, seq) = match mix {
            Mix::EveryRow { next } => (OperationKind::Write, post_increment(next), 0),
            Mix::EveryRowBack { next, again, .. } => {
                (OperationKind::Read, again.pop().unwrap_or_else(|| post_increment(next)), 0)
            }
            Mix::EveryWideRow { next } => {
                let (row, length) = (post_increment(next), self.context.args.rows_per_partition);
                (OperationKind::WriteWide, row / length, (row % length) as u32)
            }
            Mix::Random(Workload::Scan) => {
                self.append_scan(stream, position, out);
                return Begun { kind: OperationKind::Scan, key: 0, round: 0 };
            }
            Mix::Random(workload) => {
                let reads = match workload {
                    // What is verified is read meanwhile as well.
                    Workload::Write => self.context.ledger.is_some() && random & 7 == 0,
                    Workload::Mixed => random & 1 == 0,
                    _ => true,
                };
                let kind = if reads { OperationKind::Read } else { OperationKind::Write };
                (kind, self.random.below(self.context.args.keys), 0)
            }
        };
        let Some(ledger) = &self.context.ledger else {
            let fill = |value: &mut [u8]| value[..8].copy_from_slice(&random.to_be_bytes());
            self.templates[kind as usize].append(stream, key, seq, 0, fill, out);
            return Begun { kind, key, round: 0 };
        };
        let begun = match (kind, ledger.begin_if(kind.is_write(), key)) {
            (kind, Some(round)) if kind.is_write() => Begun { kind, key, round },
            // A key that is being written is read meanwhile.
            _ => Begun { kind: OperationKind::Read, key, round: ledger.acknowledged(key) },
        };
        let fill = |value: &mut [u8]| ledger.fill(value, key, begun.round);
        let timestamp = ledger.timestamp(begun.round);
        self.templates[begun.kind as usize].append(stream, key, seq, timestamp, fill, out);
        begun
    }

    /// The next page of the stream's partition, or the first of another one.
    fn append_scan(&mut self, stream: i16, position: &mut ScanPosition, out: &mut BytesMut) {
        if position.paging_state.is_empty() {
            position.key = self.random.below(self.context.args.partitions());
            self.templates[OperationKind::Scan as usize].append(stream, position.key, 0, 0, |_| (), out);
            return;
        }
        self.values.clear();
        self.values.push(Value::Set(&position.key.to_be_bytes()));
        let start = out.len();
        let mut parameters = parameters(OperationKind::Scan, &self.context.args, &self.values);
        parameters.paging_state = Some(&position.paging_state);
        encode(&self.scan, parameters, self.encoding, out);
        out[start..][STREAM_AT].copy_from_slice(&stream.to_be_bytes());
    }
}

const fn post_increment(number: &mut u64) -> u64 {
    let before = *number;
    *number += 1;
    before
}
