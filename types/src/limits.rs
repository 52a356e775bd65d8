//! Every bound of Dodona that more than one layer relies on, named once.

/// The longest partition key, in bytes: its length is a `u16` in Cassandra's composite encoding.
pub const MAX_KEY_BYTES: usize = 65_535;
/// The longest frame body that a client may send, in bytes (Cassandra `native_transport_max_frame_size`).
pub const MAX_FRAME_BYTES: usize = 16 << 20;
/// The largest mutation that is accepted, in bytes: half a commit-log segment, as in Cassandra.
pub const MAX_MUTATION_BYTES: usize = COMMIT_LOG_SEGMENT_BYTES / 2;
/// The size of a commit-log segment, in bytes.
pub const COMMIT_LOG_SEGMENT_BYTES: usize = 32 << 20;
/// The deepest nesting of a CQL type, a CQL term or a CQL expression.
pub const MAX_NESTING: usize = 64;
/// The most dimensions of a vector (Cassandra's `VectorType`, which allows 2^13).
pub const MAX_VECTOR_DIMENSIONS: usize = 8_192;
/// A page of a result ends once it holds this many bytes, whatever its page size in rows.
pub const MAX_PAGE_BYTES: usize = 8 << 20;
/// The longest name of a keyspace or a table, in characters.
pub const MAX_NAME_CHARS: usize = 48;

const _: () = assert!(MAX_KEY_BYTES < MAX_MUTATION_BYTES);
const _: () = assert!(MAX_MUTATION_BYTES <= MAX_FRAME_BYTES);
const _: () = assert!(MAX_PAGE_BYTES <= MAX_FRAME_BYTES);
