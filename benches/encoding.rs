//! Bytes in and out: keys, tokens, rows, requests, and the text of statements.
#![allow(missing_docs, reason = "criterion makes the functions")]

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dodona_protocol::request::{Execute, QueryParameters, ValuesBuilder};
use dodona_protocol::{Compression, Encoding, EnvelopeRules, Request, RequestExtras, Value, Version};
use dodona_query::parser::parse_statement;
use dodona_types::comparable::encode_component;
use dodona_types::mutation::live_cell;
use dodona_types::{
    ColumnId, Consistency, CqlType, Liveness, MutationBuilder, MutationView, RowHeader, TableId, Token,
};
use std::hint::black_box;
use uuid::Uuid;

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys");
    let key = 123_456_789_i64.to_be_bytes();
    // The bare hash is what a token cannot cost less than.
    group.bench_function("murmur3 of 8 bytes (the floor)", |bencher| {
        bencher.iter(|| murmur3::murmur3_x64_128(&mut &black_box(key)[..], 0));
    });
    group.bench_function("token of 8 bytes", |bencher| bencher.iter(|| Token::of_key(&black_box(key))));
    let name = CqlType::Text;
    group.bench_function("comparable text of 20 bytes", |bencher| {
        let mut out = Vec::with_capacity(64);
        bencher.iter(|| {
            out.clear();
            encode_component(&name, false, Some(black_box(b"sensor-1234567890-ab")), &mut out)
        });
    });
    group.finish();
}

fn rows(criterion: &mut Criterion) {
    let value = vec![7_u8; 100];
    let write = |builder: &mut MutationBuilder| {
        builder.begin(TableId(Uuid::from_u128(1)), 1, &42_i64.to_be_bytes());
        let header = RowHeader { liveness: Some(Liveness::new(1_000)), ..RowHeader::EMPTY };
        builder.row(&[], 1_000, &header, |row| row.push_cell(&live_cell(ColumnId(1), 1_000, &value)));
    };
    let mut builder = MutationBuilder::new();
    let mut group = criterion.benchmark_group("mutation of one cell of 100 bytes");
    group.bench_function("encode", |bencher| bencher.iter(|| write(black_box(&mut builder))));
    write(&mut builder);
    let bytes = builder.view().bytes().to_vec();
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("parse", |bencher| bencher.iter(|| MutationView::parse(black_box(&bytes)).is_ok()));
    group.bench_function("checksum (the floor)", |bencher| {
        bencher.iter(|| crc32fast::hash(black_box(&bytes)));
    });
    group.finish();
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("EXECUTE of two values");
    let encoding = Encoding::new(Version::V4, Compression::None);
    let mut values = ValuesBuilder::new(Version::V4);
    values.push(Value::Set(&[0; 8]));
    values.push(Value::Set(&[7; 100]));
    let mut parameters = QueryParameters::new(Consistency::One);
    parameters.values = values.values();
    let request = Request::Execute(Execute { id: &[5; 16], result_metadata_id: None, parameters });
    let encoded = || {
        let mut out = BytesMut::new();
        request.encode(encoding, 3, &RequestExtras::default(), &mut out);
        out
    };
    let bytes = encoded();
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(encoded));
    group.bench_function("decode", |bencher| {
        let rules = EnvelopeRules::server(1 << 20);
        bencher.iter(|| {
            let (envelope, _) = rules.next(black_box(&bytes)).expect("a frame").expect("a whole one");
            let (_, request) = Request::decode(&envelope.header, envelope.body).expect("a request");
            assert!(matches!(black_box(&request), Request::Execute(_)));
        });
    });
    group.finish();
}

fn statements(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, text) in [
        ("insert", "INSERT INTO ks.readings (sensor, at, value) VALUES (?, ?, ?) USING TTL 3600"),
        ("select", "SELECT at, value FROM ks.readings WHERE sensor = ? AND at >= ? AND at < ? LIMIT 100"),
        (
            "create table",
            "CREATE TABLE ks.readings (sensor uuid, at timestamp, value double, tags map<text, text>, \
             PRIMARY KEY ((sensor), at)) WITH CLUSTERING ORDER BY (at DESC) AND gc_grace_seconds = 3600",
        ),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| parse_statement(black_box(text)).is_ok()));
    }
    group.finish();
}

criterion_group!(benches, keys, rows, requests, statements);
criterion_main!(benches);
