//! What answers have in common, whether they are given at once or later.

use crate::convert::{Failing, marker_metadata, metadata_of, result_metadata, schema_change};
use crate::worker::Worker;
use dodona_protocol::{ErrorBody, ErrorResponse, Extras, ResponseWriter, RowsOptions, WriteType};
use dodona_query::{Prepared, StatementResult};
use dodona_types::{Consistency, RowSink};

/// A sink for statements without rows.
pub(crate) struct NoRows;

impl RowSink for NoRows {
    fn value(&mut self, _: Option<&[u8]>) {}

    fn end_row(&mut self) {}

    fn bytes_written(&self) -> usize {
        0
    }
}

/// Writes what PREPARE answers.
pub(crate) fn write_prepared(
    writer: ResponseWriter<'_>,
    stream: i16,
    extras: &Extras<'_>,
    statement: &Prepared,
) {
    let (markers, result) = (marker_metadata(statement), result_metadata(statement));
    writer.prepared(stream, extras, &statement.id, &statement.result_id, &markers, &result);
}

/// Writes a result other than rows.
pub(crate) fn write_result(
    writer: ResponseWriter<'_>,
    stream: i16,
    extras: &Extras<'_>,
    result: &StatementResult,
) {
    match result {
        StatementResult::SetKeyspace(keyspace) => writer.set_keyspace(stream, extras, keyspace),
        StatementResult::Conditional { columns, rows } => {
            let metadata = metadata_of(columns);
            let mut writer = writer.rows(stream, extras, &metadata, &RowsOptions::default());
            for row in rows {
                row.iter().for_each(|value| writer.value(value.as_deref()));
                writer.end_row();
            }
            writer.finish(None);
        }
        StatementResult::SchemaChange(event) => writer.schema_change(stream, extras, &schema_change(event)),
        StatementResult::Void { .. } | StatementResult::Rows { .. } => writer.void(stream, extras),
    }
}

/// What a request is answered that there is no time for.
pub(crate) fn overloaded() -> ErrorResponse {
    ErrorResponse::new(
        ErrorBody::Overloaded,
        "Server is in overloaded state. Cannot accept more requests at this point",
    )
}

/// What an error of a request does not say itself.
pub(crate) fn failing(worker: &Worker, consistency: Consistency, write: Option<WriteType>) -> Failing {
    Failing { consistency, write, node: worker.shared.node.info.member.internode.ip() }
}
