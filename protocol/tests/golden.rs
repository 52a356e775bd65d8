//! Bytes that Apache Cassandra 5.0.6 sent are understood, and written again bit for bit. The table
//! behind `rows_*` has vectors of every kind, a user-defined type, and types that older versions
//! lack.

use bytes::BytesMut;
use dodona_protocol::response::{Prepared, ResultResponse, Rows};
use dodona_protocol::segment::{SegmentRun, Step};
use dodona_protocol::{
    Compression, EncodedMetadata, Encoding, Envelope, EnvelopeRules, ErrorBody, ErrorResponse, Extras,
    Response, ResponseWriter, ResultMetadata, RowsOptions, SegmentFormat, SegmentReader, Version,
};
use dodona_types::{CqlType, RowSink};

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|symbol| symbol.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

macro_rules! golden {
    ($name:literal) => {
        bytes_of(include_str!(concat!("golden/", $name, ".hex")))
    };
}

fn only_envelope(bytes: &[u8], version: Version) -> Envelope<'_> {
    let (envelope, length) = EnvelopeRules::client(version).next(bytes).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    envelope
}

fn result_of<'a>(envelope: &Envelope<'_>, body: &'a [u8]) -> ResultResponse<'a> {
    let (extras, response) = Response::decode(&envelope.header, body).unwrap();
    assert_eq!(extras, Extras::default());
    let Response::Result(result) = response else { panic!("{response:?}") };
    result
}

fn rows_of<'a>(envelope: &Envelope<'_>, body: &'a [u8]) -> Rows<'a> {
    let ResultResponse::Rows(rows) = result_of(envelope, body) else { panic!("no rows") };
    rows
}

fn prepared_of<'a>(envelope: &Envelope<'_>, body: &'a [u8]) -> Prepared<'a> {
    let ResultResponse::Prepared(prepared) = result_of(envelope, body) else { panic!("not prepared") };
    prepared
}

/// Writes an envelope as the server would.
fn written(version: Version, write: impl FnOnce(ResponseWriter<'_>)) -> BytesMut {
    let mut out = BytesMut::new();
    write(ResponseWriter::new(&mut out, Encoding::new(version, Compression::None)));
    out
}

fn rows_again(version: Version, rows: &Rows<'_>) -> BytesMut {
    let metadata = EncodedMetadata::new(rows.metadata.columns.as_ref().unwrap());
    written(version, |writer| {
        let mut sink = writer.rows(1, &Extras::default(), &metadata, &RowsOptions::default());
        let cells: Vec<_> = rows.cells().collect::<Result<_, _>>().unwrap();
        for row in cells.chunks(rows.metadata.column_count) {
            row.iter().for_each(|cell| sink.value(*cell));
            sink.end_row();
        }
        sink.finish(None);
    })
}

fn prepared_again(version: Version, stream: i16, prepared: &Prepared<'_>) -> BytesMut {
    let result = EncodedMetadata::new(&prepared.result);
    let result_id = prepared.result_metadata_id.unwrap_or_default();
    let (id, markers) = (prepared.id, &prepared.bind_markers);
    written(version, |writer| {
        writer.prepared(stream, &Extras::default(), id, result_id, markers, &result);
    })
}

fn envelopes_in(format: SegmentFormat, segment: &[u8]) -> Vec<u8> {
    let mut reader = SegmentReader::new(format, EnvelopeRules::client(Version::V5));
    let Step::Envelopes { envelopes, consumed } = reader.next(segment).unwrap() else { panic!("incomplete") };
    assert_eq!(consumed, segment.len());
    envelopes.to_vec()
}

#[test]
fn rows_of_versions_3_and_4_are_written_again() {
    for (version, bytes) in [(Version::V3, golden!("rows_v3")), (Version::V4, golden!("rows_v4"))] {
        let envelope = only_envelope(&bytes, version);
        let rows = rows_of(&envelope, envelope.body);
        assert_eq!((rows.row_count, rows.metadata.column_count), (1, 14));
        assert_eq!(rows_again(version, &rows), bytes, "{version}");
    }
}

#[test]
fn every_version_gives_the_same_types() {
    let types = |metadata: &ResultMetadata| -> Vec<CqlType> {
        metadata.columns.iter().map(|column| column.cql_type.clone()).collect()
    };
    let (v3, v4) = (golden!("rows_v3"), golden!("rows_v4"));
    let v5 = envelopes_in(SegmentFormat::Plain, &golden!("segment_rows_v5"));
    let of = |bytes: &[u8], version| {
        let envelope = only_envelope(bytes, version);
        types(rows_of(&envelope, envelope.body).metadata.columns.as_ref().unwrap())
    };
    let expected = of(&v5, Version::V5);
    assert_eq!(
        expected[..2],
        [CqlType::Int, CqlType::Vector { element: CqlType::Float.into(), dimensions: 3 }]
    );
    assert!(expected.contains(&CqlType::Duration) && expected.contains(&CqlType::Date));
    assert_eq!(of(&v3, Version::V3), expected);
    assert_eq!(of(&v4, Version::V4), expected);
}

#[test]
fn a_plain_segment_with_rows_is_written_again() {
    let segment = golden!("segment_rows_v5");
    let bytes = envelopes_in(SegmentFormat::Plain, &segment);
    let envelope = only_envelope(&bytes, Version::V5);
    let again = rows_again(Version::V5, &rows_of(&envelope, envelope.body));
    let mut out = BytesMut::new();
    let run = SegmentRun::begin(&mut out, SegmentFormat::Plain);
    out.extend_from_slice(&again);
    run.seal(&mut out);
    assert_eq!(out, segment);
}

#[test]
fn an_lz4_segment_holds_what_the_plain_one_does() {
    let lz4 = envelopes_in(SegmentFormat::Lz4, &golden!("segment_rows_v5_lz4"));
    assert_eq!(lz4, envelopes_in(SegmentFormat::Plain, &golden!("segment_rows_v5")));
}

#[test]
fn compressed_bodies_hold_what_the_plain_one_does() {
    let plain = golden!("rows_v4");
    let compressed =
        [(Compression::Lz4, golden!("rows_v4_lz4")), (Compression::Snappy, golden!("rows_v4_snappy"))];
    for (compression, bytes) in compressed {
        let envelope = only_envelope(&bytes, Version::V4);
        let mut scratch = Vec::new();
        assert_eq!(
            compression.body(&envelope, 1 << 20, &mut scratch).unwrap(),
            &plain[9..],
            "{compression:?}"
        );
    }
}

#[test]
fn prepared_statements_are_written_again() {
    let bytes = golden!("prepared_v4");
    let envelope = only_envelope(&bytes, Version::V4);
    let prepared = prepared_of(&envelope, envelope.body);
    assert_eq!(prepared.bind_markers.partition_key_indexes, [0]);
    assert_eq!(prepared_again(Version::V4, 2, &prepared), bytes);
    let bytes = envelopes_in(SegmentFormat::Plain, &golden!("segment_prepared_v5"));
    let envelope = only_envelope(&bytes, Version::V5);
    let prepared = prepared_of(&envelope, envelope.body);
    assert_eq!(prepared.result_metadata_id.map(<[u8]>::len), Some(16));
    assert_eq!(prepared_again(Version::V5, 1, &prepared), bytes);
}

#[test]
fn an_error_is_written_again() {
    let bytes = golden!("error_v4");
    let envelope = only_envelope(&bytes, Version::V4);
    let (_, response) = Response::decode(&envelope.header, envelope.body).unwrap();
    let body = ErrorBody::AlreadyExists { keyspace: "pr".into(), table: "t".into() };
    let expected = ErrorResponse::new(body, "Cannot add already existing table \"t\" to keyspace \"pr\"");
    assert_eq!(response, Response::Error(expected.clone()));
    assert_eq!(written(Version::V4, |writer| writer.error(1, &Extras::default(), &expected)), bytes);
}
