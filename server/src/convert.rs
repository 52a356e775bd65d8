//! Between the protocol's words and those of the layers beneath: parameters, columns, errors.

use dodona_cluster::error::{ClusterError, Failure, WriteKind};
use dodona_protocol::error_code::{FailureReason, FailureReasons};
use dodona_protocol::request::BatchKind;
use dodona_protocol::request::{QueryParameters, Values};
use dodona_protocol::response::{SchemaChange, SchemaChangeType, SchemaTarget};
use dodona_protocol::{
    ColumnSpec, EncodedMetadata, ErrorBody, ErrorResponse, PreparedMetadata, ResultMetadata, Value, Version,
    WriteType,
};
use dodona_query::outcome::{ChangeKind, ChangeTarget, SchemaEvent};
use dodona_query::{BoundValue, CqlError, Parameters, Prepared};
use dodona_storage::StorageError;
use dodona_types::Consistency;
use std::net::IpAddr;

/// Values that need no allocation.
const INLINE_VALUES: usize = 16;

/// The values of a request, as the layer beneath wants them; nearly all requests have few enough
/// that they are on the stack.
pub(crate) struct BoundValues<'a> {
    few: [BoundValue<'a>; INLINE_VALUES],
    many: Vec<BoundValue<'a>>,
    names: Vec<&'a str>,
    count: usize,
}

impl<'a> BoundValues<'a> {
    /// The values of a request.
    #[inline]
    pub(crate) fn new(values: &Values<'a>) -> Self {
        let mut bound = Self {
            few: [BoundValue::Null; INLINE_VALUES],
            many: Vec::new(),
            names: Vec::new(),
            count: values.len(),
        };
        if values.are_named() {
            bound.names = values.iter_named().filter_map(|(name, _)| name).collect();
        }
        if values.len() <= INLINE_VALUES {
            for (place, value) in bound.few.iter_mut().zip(values.iter()) {
                *place = bound_value(value);
            }
        } else {
            bound.many = values.iter().map(bound_value).collect();
        }
        bound
    }

    #[inline]
    fn values(&self) -> &[BoundValue<'a>] {
        if self.count <= INLINE_VALUES { &self.few[..self.count] } else { &self.many }
    }

    fn names(&self) -> Option<&[&'a str]> {
        if self.names.is_empty() { None } else { Some(&self.names) }
    }
}

#[inline]
pub(crate) const fn bound_value(value: Value<'_>) -> BoundValue<'_> {
    match value {
        Value::Set(bytes) => BoundValue::Bytes(bytes),
        Value::Null => BoundValue::Null,
        Value::Unset => BoundValue::Unset,
    }
}

/// The parameters of a request.
#[inline]
pub(crate) fn parameters<'a>(
    request: &QueryParameters<'a>,
    values: &'a BoundValues<'a>,
    version: Version,
) -> Parameters<'a> {
    Parameters {
        values: values.values(),
        names: values.names(),
        consistency: request.consistency,
        serial_consistency: request.serial_consistency.unwrap_or(Consistency::Serial),
        page_size: request.page_size.and_then(|rows| u32::try_from(rows).ok()).filter(|rows| *rows > 0),
        paging_state: request.paging_state,
        timestamp_micros: request.default_timestamp,
        now_seconds: request.now_in_seconds.map(i64::from),
        protocol_version: version.number(),
    }
}

/// A batch's kind, and what kind of write it is in errors.
pub(crate) const fn batch_kind(kind: BatchKind) -> (dodona_query::ast::BatchKind, WriteType) {
    match kind {
        BatchKind::Logged => (dodona_query::ast::BatchKind::Logged, WriteType::Batch),
        BatchKind::Unlogged => (dodona_query::ast::BatchKind::Unlogged, WriteType::UnloggedBatch),
        BatchKind::Counter => (dodona_query::ast::BatchKind::Counter, WriteType::Counter),
    }
}

fn columns(columns: &[dodona_query::ColumnSpec]) -> Vec<ColumnSpec> {
    let column = |column: &dodona_query::ColumnSpec| ColumnSpec {
        keyspace: column.keyspace.clone(),
        table: column.table.clone(),
        name: column.name.clone(),
        cql_type: column.cql_type.clone(),
    };
    columns.iter().map(column).collect()
}

/// The metadata of a statement's rows.
pub(crate) fn result_metadata(statement: &Prepared) -> EncodedMetadata {
    metadata_of(&statement.columns)
}

/// The metadata of rows of these columns.
pub(crate) fn metadata_of(specs: &[dodona_query::ColumnSpec]) -> EncodedMetadata {
    EncodedMetadata::new(&ResultMetadata { columns: columns(specs) })
}

/// The metadata of a statement's markers.
pub(crate) fn marker_metadata(statement: &Prepared) -> PreparedMetadata {
    PreparedMetadata {
        columns: columns(&statement.markers),
        partition_key_indexes: statement.partition_key_markers.clone(),
    }
}

/// A change of the schema, as the protocol tells it.
pub(crate) fn schema_change(event: &SchemaEvent) -> SchemaChange {
    SchemaChange {
        change: match event.change {
            ChangeKind::Created => SchemaChangeType::Created,
            ChangeKind::Updated => SchemaChangeType::Updated,
            ChangeKind::Dropped => SchemaChangeType::Dropped,
        },
        keyspace: event.keyspace.to_string(),
        target: match &event.target {
            ChangeTarget::Keyspace => SchemaTarget::Keyspace,
            ChangeTarget::Table(name) => SchemaTarget::Table(name.to_string()),
            ChangeTarget::Type(name) => SchemaTarget::Type(name.to_string()),
            ChangeTarget::Function(name, arguments) => {
                SchemaTarget::Function { name: name.to_string(), arguments: arguments.clone() }
            }
            ChangeTarget::Aggregate(name, arguments) => {
                SchemaTarget::Aggregate { name: name.to_string(), arguments: arguments.clone() }
            }
        },
    }
}

/// What an error does not say of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failing {
    /// The level that was asked for.
    pub(crate) consistency: Consistency,
    /// The kind of write; none for a read.
    pub(crate) write: Option<WriteType>,
    /// This node, which failed where the error names none.
    pub(crate) node: IpAddr,
}

/// The protocol's error for an error of a statement.
pub(crate) fn error_response(error: &CqlError, failing: Failing) -> ErrorResponse {
    let body = match error {
        CqlError::Syntax(_) => ErrorBody::SyntaxError,
        CqlError::Invalid(_) => ErrorBody::Invalid,
        CqlError::Config(_) => ErrorBody::ConfigError,
        CqlError::Unauthorized(_) => ErrorBody::Unauthorized,
        CqlError::AlreadyExists { keyspace, table } => {
            ErrorBody::AlreadyExists { keyspace: keyspace.clone(), table: table.clone() }
        }
        CqlError::FunctionFailure { keyspace, name, arguments, .. } => ErrorBody::FunctionFailure {
            keyspace: keyspace.clone(),
            function: name.clone(),
            arguments: arguments.clone(),
        },
        CqlError::Unprepared(id) => ErrorBody::Unprepared { id: id.clone() },
        CqlError::Truncate(_) => ErrorBody::TruncateError,
        CqlError::Server(_) => ErrorBody::ServerError,
        CqlError::Cluster(error) => return cluster_error(error, failing),
    };
    ErrorResponse::new(body, error.to_string())
}

/// The protocol's error for an error of the coordinator.
pub(crate) fn cluster_error(error: &ClusterError, failing: Failing) -> ErrorResponse {
    let body = match error {
        ClusterError::Unavailable { consistency, required, alive, .. } => {
            ErrorBody::Unavailable { consistency: *consistency, required: int(*required), alive: int(*alive) }
        }
        ClusterError::WriteTimeout { consistency, received, block_for, kind } => ErrorBody::WriteTimeout {
            consistency: *consistency,
            received: int(*received),
            block_for: int(*block_for),
            write_type: write_type(*kind),
            contentions: None,
        },
        ClusterError::BatchLogTimeout { consistency, received, block_for } => ErrorBody::WriteTimeout {
            consistency: *consistency,
            received: int(*received),
            block_for: int(*block_for),
            write_type: WriteType::BatchLog,
            contentions: None,
        },
        ClusterError::CasTimeout { consistency, received, block_for, contentions } => {
            ErrorBody::WriteTimeout {
                consistency: *consistency,
                received: int(*received),
                block_for: int(*block_for),
                write_type: WriteType::Cas,
                contentions: Some(u16::try_from(*contentions).unwrap_or(u16::MAX)),
            }
        }
        ClusterError::CasUnknown { consistency, received, block_for } => ErrorBody::CasWriteUnknown {
            consistency: *consistency,
            received: int(*received),
            block_for: int(*block_for),
        },
        ClusterError::ReadTimeout { consistency, received, block_for, data_present } => {
            ErrorBody::ReadTimeout {
                consistency: *consistency,
                received: int(*received),
                block_for: int(*block_for),
                data_present: *data_present,
            }
        }
        ClusterError::WriteFailure { consistency, received, block_for, failures, kind } => {
            ErrorBody::WriteFailure {
                consistency: *consistency,
                received: int(*received),
                block_for: int(*block_for),
                failures: reasons(failures),
                write_type: write_type(*kind),
            }
        }
        ClusterError::ReadFailure { consistency, received, block_for, failures, data_present } => {
            ErrorBody::ReadFailure {
                consistency: *consistency,
                received: int(*received),
                block_for: int(*block_for),
                failures: reasons(failures),
                data_present: *data_present,
            }
        }
        ClusterError::SchemaConflict
        | ClusterError::NoMetadataQuorum(_)
        | ClusterError::Stale(_)
        | ClusterError::Peer(_)
        | ClusterError::Tls(_)
        | ClusterError::Unwelcome(_) => ErrorBody::ServerError,
        ClusterError::Invalid(_) => ErrorBody::Invalid,
        ClusterError::Storage(error) => storage_error(error, failing),
    };
    ErrorResponse::new(body, error.to_string())
}

/// This node is the replica that failed.
fn storage_error(error: &StorageError, failing: Failing) -> ErrorBody {
    let met = matches!(error, StorageError::TooManyTombstones { .. });
    let failures = vec![(failing.node, reason_of(met))];
    match (error, failing.write) {
        (StorageError::NoSuchTable(_) | StorageError::TooLarge(_), _) => ErrorBody::Invalid,
        (_, Some(write_type)) => ErrorBody::WriteFailure {
            consistency: failing.consistency,
            received: 0,
            block_for: 1,
            failures,
            write_type,
        },
        (_, None) => ErrorBody::ReadFailure {
            consistency: failing.consistency,
            received: 0,
            block_for: 1,
            failures,
            data_present: false,
        },
    }
}

const fn reason_of(too_many_tombstones: bool) -> FailureReason {
    if too_many_tombstones { FailureReason::READ_TOO_MANY_TOMBSTONES } else { FailureReason::UNKNOWN }
}

/// Which replicas failed, and why.
fn reasons(failures: &[Failure]) -> FailureReasons {
    failures.iter().map(|failure| (failure.replica, reason_of(failure.too_many_tombstones))).collect()
}

const fn write_type(kind: WriteKind) -> WriteType {
    match kind {
        WriteKind::Simple => WriteType::Simple,
        WriteKind::Batch => WriteType::Batch,
        WriteKind::UnloggedBatch => WriteType::UnloggedBatch,
        WriteKind::Counter => WriteType::Counter,
    }
}

fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_protocol::ErrorCode;
    use dodona_protocol::request::ValuesBuilder;

    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const THIRD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3));

    const WRITE: Failing = Failing {
        consistency: Consistency::Quorum,
        write: Some(WriteType::UnloggedBatch),
        node: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    };

    #[test]
    fn few_and_many_values_keep_their_order_and_names() {
        for count in [0_u8, 1, 16, 17, 100] {
            let mut builder = ValuesBuilder::new(Version::V5);
            let numbers: Vec<[u8; 1]> = (0..count).map(|number| [number]).collect();
            for number in &numbers {
                builder.push_named(&format!("n{}", number[0]), Value::Set(number));
            }
            let values = builder.values();
            let bound = BoundValues::new(&values);
            let expected: Vec<_> = numbers.iter().map(|number| BoundValue::Bytes(number)).collect();
            assert_eq!(bound.values(), expected);
            assert_eq!(bound.names().map_or(0, <[_]>::len), usize::from(count));
        }
    }

    #[test]
    fn a_timeout_carries_what_the_client_needs() {
        let error = CqlError::Cluster(ClusterError::WriteTimeout {
            consistency: Consistency::Quorum,
            received: 1,
            block_for: 2,
            kind: WriteKind::Counter,
        });
        let response = error_response(&error, WRITE);
        assert_eq!(response.body.code(), ErrorCode::WriteTimeout);
        // Whatever the request looked like.
        assert!(matches!(
            response.body,
            ErrorBody::WriteTimeout { received: 1, block_for: 2, write_type: WriteType::Counter, .. }
        ));
    }

    #[test]
    fn a_full_disk_is_a_write_failure_and_a_lost_table_is_invalid() {
        let full = cluster_error(&StorageError::NoSpace.into(), WRITE);
        assert_eq!(full.body.code(), ErrorCode::WriteFailure);
        let lost = StorageError::TooLarge("too large".into());
        assert_eq!(cluster_error(&lost.into(), WRITE).body.code(), ErrorCode::Invalid);
        let read = Failing { write: None, ..WRITE };
        assert_eq!(cluster_error(&StorageError::NoSpace.into(), read).body.code(), ErrorCode::ReadFailure);
    }

    #[test]
    fn too_many_tombstones_are_a_read_failure_with_their_reason() {
        let read = Failing { write: None, ..WRITE };
        let here = ClusterError::too_many_tombstones(7);
        let elsewhere = ClusterError::ReadFailure {
            consistency: Consistency::Quorum,
            received: 1,
            block_for: 2,
            failures: [(OTHER, true), (THIRD, false)]
                .map(|(replica, too_many_tombstones)| Failure {
                    replica,
                    too_many_tombstones,
                    reason: "it says why".into(),
                })
                .into(),
            data_present: false,
        };
        let reasons_of = |error: &ClusterError| match cluster_error(error, read).body {
            ErrorBody::ReadFailure { failures, .. } => failures,
            body => panic!("{body:?}"),
        };
        assert_eq!(reasons_of(&here), [(read.node, FailureReason::READ_TOO_MANY_TOMBSTONES)]);
        let (met, unknown) = (FailureReason::READ_TOO_MANY_TOMBSTONES, FailureReason::UNKNOWN);
        assert_eq!(reasons_of(&elsewhere), [(OTHER, met), (THIRD, unknown)]);
    }
}
