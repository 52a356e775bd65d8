use bytes::BytesMut;
use dodona_types::{Consistency, CqlType, RowSink};
use proptest::prelude::*;

use super::*;
use crate::compression::Compression;
use crate::envelope_writer::Encoding;
use crate::error_code::{ErrorCode, FailureReason, FailureReasons, WriteType};
use crate::frame::{Direction, EnvelopeRules};
use crate::request::EventType;
use crate::types_option::tests::any_type;

type Sheet = Vec<Vec<Option<Vec<u8>>>>;

/// Encodes a response with `write` and passes what a client reads to `check`; then decodes
/// prefixes of the body, which must not panic.
fn round_trip(
    version: Version,
    write: impl FnOnce(ResponseWriter<'_>),
    check: impl FnOnce(&Header, &Extras<'_>, &Response<'_>),
) {
    let mut out = BytesMut::from(&b"before"[..]);
    write(ResponseWriter::new(&mut out, Encoding::new(version, Compression::None)));
    assert_eq!(out.split_to(6)[..], b"before"[..]);
    let (envelope, used) = EnvelopeRules::client(version).next(&out).unwrap().unwrap();
    assert_eq!(used, out.len());
    let (extras, response) = Response::decode(&envelope.header, envelope.body).unwrap();
    check(&envelope.header, &extras, &response);
    for cut in (0..envelope.body.len()).step_by(1 + envelope.body.len() / 64) {
        if let Ok((_, Response::Result(ResultResponse::Rows(rows)))) =
            Response::decode(&envelope.header, &envelope.body[..cut])
        {
            rows.cells().for_each(drop);
        }
    }
}

fn assert_round_trip(version: Version, expected: &Response<'_>, write: impl FnOnce(ResponseWriter<'_>)) {
    round_trip(version, write, |header, extras, response| {
        let is_event = matches!(expected, Response::Event(_));
        assert_eq!(header.stream, if is_event { -1 } else { 5 });
        assert_eq!(extras, &Extras::default());
        assert_eq!(response, expected);
    });
}

fn column() -> impl Strategy<Value = ColumnSpec> {
    ("[ab]", "[tu]", "[a-zé()]{0,9}", any_type()).prop_map(|(keyspace, table, name, cql_type)| ColumnSpec {
        keyspace: keyspace.into(),
        table: table.into(),
        name: name.into(),
        cql_type,
    })
}

fn columns(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<ColumnSpec>> {
    prop::collection::vec(column(), count)
}

/// Columns and rows of as many values.
fn page() -> impl Strategy<Value = (Vec<ColumnSpec>, Sheet)> {
    (0_usize..4).prop_flat_map(|width| {
        let row = prop::collection::vec(any::<Option<Vec<u8>>>(), width);
        (columns(width), prop::collection::vec(row, 0..6))
    })
}

fn write_page(writer: &mut RowsWriter<'_>, sheet: &Sheet) {
    for (index, row) in sheet.iter().enumerate() {
        for value in row {
            match value {
                Some(bytes) if index % 2 == 1 => {
                    let (front, back) = bytes.split_at(bytes.len() / 2);
                    writer.value_parts(&[front, &[], back]);
                }
                value => writer.value(value.as_deref()),
            }
        }
        writer.end_row();
    }
    let length: usize = sheet.iter().flatten().map(|value| 4 + value.as_ref().map_or(0, Vec::len)).sum();
    assert_eq!((writer.bytes_written(), writer.row_count()), (length, sheet.len()));
}

proptest! {
    #[test]
    fn pages_of_rows_come_back(
        (columns, sheet) in page(), paging_state: Option<Vec<u8>>, skip_metadata: bool, new_id: Option<[u8; 16]>,
    ) {
        let metadata = EncodedMetadata::new(&ResultMetadata { columns: columns.clone() });
        prop_assert_eq!(metadata.column_count(), columns.len());
        for version in Version::ALL {
            let options = RowsOptions { skip_metadata, new_metadata_id: new_id.as_ref().map(|id| &id[..]) };
            round_trip(version, |writer| {
                let mut rows = writer.rows(5, &Extras::default(), &metadata, &options);
                write_page(&mut rows, &sheet);
                rows.finish(paging_state.as_deref());
            }, |_, _, response| {
                let Response::Result(ResultResponse::Rows(rows)) = response else { panic!("{response:?}") };
                let new_id = options.new_metadata_id.filter(|_| version >= Version::V5);
                let sent = !skip_metadata || new_id.is_some();
                assert_eq!(rows.metadata, RowsMetadata {
                    column_count: columns.len(),
                    columns: sent.then(|| ResultMetadata { columns: columns.clone() }),
                    paging_state: paging_state.as_deref(),
                    new_metadata_id: new_id,
                });
                assert_eq!(rows.row_count, sheet.len());
                let cells: Vec<_> = rows.cells().map(|cell| cell.unwrap().map(<[u8]>::to_vec)).collect();
                assert_eq!(cells, sheet.concat());
            });
        }
    }

    #[test]
    fn prepared_statements_come_back(
        bind_markers in columns(0..4), result in columns(0..4), indexes: Vec<u16>, id: [u8; 16], result_id: [u8; 16],
    ) {
        for version in Version::ALL {
            let since_v4 = version >= Version::V4;
            let partition_key_indexes = if since_v4 { indexes.clone() } else { Vec::new() };
            let bind_markers = PreparedMetadata { columns: bind_markers.clone(), partition_key_indexes };
            let result = ResultMetadata { columns: result.clone() };
            let expected = Response::Result(ResultResponse::Prepared(Prepared {
                id: &id,
                result_metadata_id: (version >= Version::V5).then_some(&result_id[..]),
                bind_markers: bind_markers.clone(),
                result: result.clone(),
            }));
            let result = EncodedMetadata::new(&result);
            assert_round_trip(version, &expected, |writer| {
                writer.prepared(5, &Extras::default(), &id, &result_id, &bind_markers, &result);
            });
        }
    }

    #[test]
    fn extras_come_back(
        id: Option<u128>, warnings: Vec<String>, payload: Vec<(String, Option<Vec<u8>>)>
    ) {
        let sent = Extras {
            tracing_id: id.map(Uuid::from_u128),
            warnings: warnings.iter().map(|text| &text[..]).collect(),
            custom_payload: payload.iter().map(|(key, value)| (&key[..], value.as_deref())).collect(),
        };
        for version in Version::ALL {
            round_trip(version, |writer| writer.set_keyspace(5, &sent, "ks"), |_, extras, response| {
                let expected = match version {
                    Version::V3 => Extras { tracing_id: sent.tracing_id, ..Extras::default() },
                    _ => sent.clone(),
                };
                assert_eq!(extras, &expected);
                assert_eq!(response, &Response::Result(ResultResponse::SetKeyspace("ks")));
            });
        }
    }

    #[test]
    fn authentication_and_options_come_back(
        text: String, token: Option<Vec<u8>>, options in prop::collection::vec((any::<String>(), prop::collection::vec(any::<String>(), 0..3)), 0..3)
    ) {
        let token = token.as_deref();
        let options: Vec<_> =
            options.iter().map(|(k, v)| (&k[..], v.iter().map(|v| &v[..]).collect())).collect();
        for version in Version::ALL {
            assert_round_trip(version, &Response::Ready, |writer| writer.ready(5));
            let body = Authenticate { authenticator: &text };
            assert_round_trip(version, &Response::Authenticate(body), |writer| writer.authenticate(5, &body));
            let body = AuthChallenge { token };
            assert_round_trip(version, &Response::AuthChallenge(body), |writer| writer.auth_challenge(5, &body));
            let body = AuthSuccess { token };
            assert_round_trip(version, &Response::AuthSuccess(body), |writer| writer.auth_success(5, &body));
            let body = Supported { options: options.clone() };
            assert_round_trip(version, &Response::Supported(body.clone()), |writer| writer.supported(5, &body));
        }
    }

    #[test]
    fn noise_does_not_panic(body: Vec<u8>, flags: u8, kind in 0_u8..6) {
        let direction = Direction::Response;
        for version in Version::ALL {
            for opcode in (0..=0x10).filter_map(crate::Opcode::from_code) {
                let header = Header { version, direction, flags: Flags(flags), stream: 0, opcode, body_bytes: 0 };
                let _ = Response::decode(&header, &body);
            }
            let (flags, opcode) = (Flags::default(), crate::Opcode::Result);
            let header = Header { version, direction, flags, stream: 0, opcode, body_bytes: 0 };
            let body = [&[0, 0, 0, kind][..], &body].concat();
            if let Ok((_, Response::Result(ResultResponse::Rows(rows)))) = Response::decode(&header, &body) {
                rows.cells().for_each(drop);
            }
        }
    }
}

/// One error of every code, with several for those whose fields vary.
fn all_errors() -> Vec<ErrorBody> {
    let consistency = Consistency::LocalQuorum;
    let (received, block_for) = (1, 2);
    let failures: FailureReasons = vec![
        ("10.0.0.1".parse().unwrap(), FailureReason::TIMEOUT),
        ("2001:db8::1".parse().unwrap(), FailureReason::READ_TOO_MANY_TOMBSTONES),
    ];
    let strings = |text: &str| vec![text.to_owned(), String::new()];
    let mut errors = vec![
        ErrorBody::ServerError,
        ErrorBody::ProtocolError,
        ErrorBody::BadCredentials,
        ErrorBody::Unavailable { consistency, required: 3, alive: 1 },
        ErrorBody::Overloaded,
        ErrorBody::IsBootstrapping,
        ErrorBody::TruncateError,
        ErrorBody::ReadTimeout { consistency, received, block_for, data_present: true },
        ErrorBody::ReadFailure {
            consistency,
            received,
            block_for,
            failures: failures.clone(),
            data_present: false,
        },
        ErrorBody::FunctionFailure { keyspace: "ks".into(), function: "f".into(), arguments: strings("int") },
        ErrorBody::CdcWriteFailure,
        ErrorBody::CasWriteUnknown { consistency, received, block_for },
        ErrorBody::SyntaxError,
        ErrorBody::Unauthorized,
        ErrorBody::Invalid,
        ErrorBody::ConfigError,
        ErrorBody::AlreadyExists { keyspace: "ks".into(), table: String::new() },
        ErrorBody::Unprepared { id: vec![1, 2, 3] },
    ];
    for write_type in WriteType::ALL {
        let contentions = (write_type == WriteType::Cas).then_some(9);
        errors.push(ErrorBody::WriteTimeout { consistency, received, block_for, write_type, contentions });
        let failures = failures.clone();
        errors.push(ErrorBody::WriteFailure { consistency, received, block_for, failures, write_type });
    }
    errors
}

/// What a client of `version` reads when `body` is sent, by Cassandra's rules.
fn as_read(body: &ErrorBody, version: Version) -> ErrorBody {
    let unnamed = |failures: &FailureReasons| {
        vec![("0.0.0.0".parse().unwrap(), FailureReason::UNKNOWN); failures.len()]
    };
    let mut read = body.clone();
    match &mut read {
        ErrorBody::ReadFailure { failures, .. } | ErrorBody::WriteFailure { failures, .. }
            if version == Version::V4 =>
        {
            *failures = unnamed(failures);
        }
        ErrorBody::WriteTimeout { contentions, .. } if version < Version::V5 => *contentions = None,
        _ => {}
    }
    match read {
        ErrorBody::ReadFailure { consistency, received, block_for, data_present, .. }
            if version == Version::V3 =>
        {
            ErrorBody::ReadTimeout { consistency, received, block_for, data_present }
        }
        ErrorBody::WriteFailure { consistency, received, block_for, write_type, .. }
            if version == Version::V3 =>
        {
            ErrorBody::WriteTimeout { consistency, received, block_for, write_type, contentions: None }
        }
        ErrorBody::CasWriteUnknown { consistency, received, block_for } if version < Version::V5 => {
            let write_type = WriteType::Cas;
            ErrorBody::WriteTimeout { consistency, received, block_for, write_type, contentions: None }
        }
        ErrorBody::FunctionFailure { .. } | ErrorBody::CdcWriteFailure if version == Version::V3 => {
            ErrorBody::Invalid
        }
        read => read,
    }
}

#[test]
fn every_error_comes_back_as_the_version_can_say_it() {
    let codes: Vec<ErrorCode> = all_errors().iter().map(ErrorBody::code).collect();
    assert!(ErrorCode::ALL.iter().all(|code| codes.contains(code)));
    for body in all_errors() {
        for version in Version::ALL {
            let sent = ErrorResponse::new(body.clone(), "what happened");
            let read = ErrorResponse::new(as_read(&body, version), "what happened");
            let write = |writer: ResponseWriter<'_>| writer.error(5, &Extras::default(), &sent);
            assert_round_trip(version, &Response::Error(read), write);
        }
    }
}

#[test]
fn events_and_schema_changes_come_back() {
    let keyspace = || "ks".to_owned();
    let name = || "thing".to_owned();
    let arguments = || vec!["int".to_owned(), "frozen<list<text>>".to_owned()];
    let targets = [
        SchemaTarget::Keyspace,
        SchemaTarget::Table(name()),
        SchemaTarget::Type(name()),
        SchemaTarget::Function { name: name(), arguments: arguments() },
        SchemaTarget::Aggregate { name: name(), arguments: Vec::new() },
    ];
    let mut events = Vec::new();
    for target in targets {
        for change in SchemaChangeType::ALL {
            events.push(Event::Schema(SchemaChange { change, keyspace: keyspace(), target: target.clone() }));
        }
    }
    for address in ["10.1.2.3:9042", "[2001:db8::7]:19042"].map(|text| text.parse().unwrap()) {
        events.extend(TopologyChange::ALL.map(|change| Event::Topology(change, address)));
        events.extend(StatusChange::ALL.map(|change| Event::Status(change, address)));
    }
    assert!(EventType::ALL.iter().all(|kind| events.iter().any(|event| event.event_type() == *kind)));
    for version in Version::ALL {
        for event in &events {
            assert_round_trip(version, &Response::Event(event.clone()), |writer| {
                writer.event(event);
            });
            let Event::Schema(change) = event else { continue };
            let expected = Response::Result(ResultResponse::SchemaChange(change.clone()));
            let write = |writer: ResponseWriter<'_>| writer.schema_change(5, &Extras::default(), change);
            assert_round_trip(version, &expected, write);
        }
    }
}

#[test]
fn a_page_that_is_dropped_leaves_no_trace() {
    let metadata = EncodedMetadata::new(&ResultMetadata::default());
    let mut out = BytesMut::from(&b"before"[..]);
    let encoding = Encoding::new(Version::V4, Compression::None);
    let options = RowsOptions::default();
    let mut rows = ResponseWriter::new(&mut out, encoding).rows(1, &Extras::default(), &metadata, &options);
    rows.end_row();
    drop(rows);
    assert_eq!(out[..], b"before"[..]);
}

#[test]
fn responses_have_the_bytes_of_the_specification() {
    let encoded = |version, write: &dyn Fn(ResponseWriter<'_>)| {
        let mut out = BytesMut::new();
        write(ResponseWriter::new(&mut out, Encoding::new(version, Compression::None)));
        out.to_vec()
    };
    let none = Extras::default();
    let void = encoded(Version::V5, &|writer| writer.void(258, &none));
    assert_eq!(void, [0x85, 0, 1, 2, 8, 0, 0, 0, 4, 0, 0, 0, 1]);
    let unprepared = ErrorResponse::new(ErrorBody::Unprepared { id: vec![0xAA, 0xBB] }, "no");
    let error = encoded(Version::V4, &|writer| writer.error(0, &none, &unprepared));
    let expected = [0x84, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0x25, 0, 0, 2, b'n', b'o', 0, 2, 0xAA, 0xBB];
    assert_eq!(error, expected);

    let table = |name: &str, cql_type| ColumnSpec {
        keyspace: "k".into(),
        table: "t".into(),
        name: name.into(),
        cql_type,
    };
    let columns = vec![table("a", CqlType::Int), table("b", CqlType::Text)];
    let metadata = EncodedMetadata::new(&ResultMetadata { columns });
    let rows = encoded(Version::V4, &|writer| {
        let mut rows = writer.rows(0, &none, &metadata, &RowsOptions::default());
        rows.value(Some(&[0, 0, 0, 7]));
        rows.value(None);
        rows.end_row();
        rows.finish(Some(&[0xEE]));
    });
    let expected = [
        &[0x84, 0, 0, 0, 8, 0, 0, 0, 51][..],
        &[0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0xEE, 0, 1, b'k', 0, 1, b't'],
        &[0, 1, b'a', 0, 0x09, 0, 1, b'b', 0, 0x0D, 0, 0, 0, 1],
        &[0, 0, 0, 4, 0, 0, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF],
    ]
    .concat();
    assert_eq!(rows.len(), expected.len());
    assert_eq!(rows[9..], expected[9..]);
    assert_eq!(usize::from(rows[8]), rows.len() - 9);
}
