use bytes::BytesMut;
use dodona_types::Consistency;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::compression::Compression;
use crate::frame::{Direction, EnvelopeRules};
use crate::primitives::Value;

/// A bound value, owned.
#[derive(Clone, Debug)]
enum Bound {
    Set(Vec<u8>),
    Null,
    Unset,
}

impl Bound {
    fn in_version(&self, version: Version) -> Value<'_> {
        match self {
            Self::Set(bytes) => Value::Set(bytes),
            Self::Unset if version > Version::V3 => Value::Unset,
            _ => Value::Null,
        }
    }
}

#[derive(Clone, Debug)]
struct Parameters {
    consistency: Consistency,
    values: Vec<(String, Bound)>,
    named: bool,
    skip_metadata: bool,
    page_size: Option<i32>,
    paging_state: Option<Vec<u8>>,
    serial_consistency: Option<Consistency>,
    default_timestamp: Option<i64>,
    keyspace: Option<String>,
    now_in_seconds: Option<i32>,
}

impl Parameters {
    fn values(&self, version: Version) -> ValuesBuilder {
        let mut values = ValuesBuilder::new(version);
        for (name, value) in &self.values {
            let value = value.in_version(version);
            if self.named {
                values.push_named(name, value);
            } else {
                values.push(value);
            }
        }
        values
    }

    fn request<'a>(&'a self, values: &'a ValuesBuilder, version: Version) -> QueryParameters<'a> {
        QueryParameters {
            consistency: self.consistency,
            values: if self.values.is_empty() { Values::EMPTY } else { values.values() },
            skip_metadata: self.skip_metadata,
            page_size: self.page_size,
            paging_state: self.paging_state.as_deref(),
            serial_consistency: self.serial_consistency,
            default_timestamp: self.default_timestamp,
            keyspace: self.keyspace.as_deref().filter(|_| version >= Version::V5),
            now_in_seconds: self.now_in_seconds.filter(|_| version >= Version::V5),
        }
    }
}

fn bound() -> impl Strategy<Value = Bound> {
    prop_oneof![any::<Vec<u8>>().prop_map(Bound::Set), Just(Bound::Null), Just(Bound::Unset)]
}

fn level() -> impl Strategy<Value = Consistency> {
    prop::sample::select(&Consistency::ALL_LEVELS[..])
}

prop_compose! {
    fn parameters()(
        (consistency, serial_consistency) in (level(), option::of(level())),
        values in prop::collection::vec((any::<String>(), bound()), 0..5),
        (named, skip_metadata, page_size) in any::<(bool, bool, Option<i32>)>(),
        paging_state: Option<Vec<u8>>,
        default_timestamp in option::of(-i64::MAX..),
        (keyspace, now_in_seconds) in any::<(Option<String>, Option<i32>)>(),
    ) -> Parameters {
        Parameters {
            consistency, values, named, skip_metadata, page_size, paging_state, serial_consistency,
            default_timestamp, keyspace, now_in_seconds,
        }
    }
}

/// Encodes `request` as an envelope, decodes that, and passes what came back to `check`; then
/// decodes every prefix of the body, which must not panic.
fn round_trip(
    request: &Request<'_>,
    extras: &RequestExtras<'_>,
    version: Version,
    check: impl FnOnce(&RequestExtras<'_>, &Request<'_>),
) {
    let mut out = BytesMut::new();
    request.encode(Encoding::new(version, Compression::None), 42, extras, &mut out);
    let (envelope, used) = EnvelopeRules::server(1 << 20).next(&out).unwrap().unwrap();
    assert_eq!((used, envelope.header.stream), (out.len(), 42));
    let (extras, decoded) = Request::decode(&envelope.header, envelope.body).unwrap();
    check(&extras, &decoded);
    for cut in (0..envelope.body.len()).step_by(1 + envelope.body.len() / 64) {
        let _ = Request::decode(&envelope.header, &envelope.body[..cut]);
    }
}

fn assert_round_trip(request: &Request<'_>, version: Version) {
    round_trip(request, &RequestExtras::default(), version, |_, decoded| {
        assert_eq!(decoded, request);
    });
}

proptest! {
    #[test]
    fn query_and_execute_come_back(
        parameters in parameters(), text: String, id: Vec<u8>, result_id: Vec<u8>
    ) {
        for version in Version::ALL {
            let values = parameters.values(version);
            let parameters = parameters.request(&values, version);
            assert_round_trip(&Request::Query(Query { text: &text, parameters }), version);
            let result_metadata_id = (version >= Version::V5).then_some(&result_id[..]);
            assert_round_trip(&Request::Execute(Execute { id: &id, result_metadata_id, parameters }), version);
        }
    }

    #[test]
    fn values_are_iterated_in_order_with_their_names(parameters in parameters()) {
        for version in Version::ALL {
            let values = parameters.values(version);
            let (values, named) = (values.values(), parameters.named);
            prop_assert_eq!(values.len(), parameters.values.len());
            let expected: Vec<_> = parameters.values.iter()
                .map(|(name, value)| (named.then_some(&name[..]), value.in_version(version)))
                .collect();
            prop_assert_eq!(values.iter_named().collect::<Vec<_>>(), expected.clone());
            let expected: Vec<_> = expected.into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(values.iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn batches_come_back(
        statements in prop::collection::vec((any::<Result<String, Vec<u8>>>(), prop::collection::vec(bound(), 0..4)), 0..5),
        parameters in parameters(),
        kind in prop::sample::select(vec![BatchKind::Logged, BatchKind::Unlogged, BatchKind::Counter]),
    ) {
        for version in Version::ALL {
            let mut builder = BatchBuilder::new(version);
            for (id, values) in &statements {
                let id = match id {
                    Ok(text) => StatementId::Text(text),
                    Err(id) => StatementId::Prepared(id),
                };
                let mut bound = ValuesBuilder::new(version);
                values.iter().for_each(|value| bound.push(value.in_version(version)));
                builder.push(&BatchStatement { id, values: bound.values() });
            }
            let values = parameters.values(version);
            let batch = Batch { kind, statements: builder.statements(), parameters: parameters.request(&values, version) };
            assert_round_trip(&Request::Batch(batch), version);
            prop_assert_eq!(batch.statements.iter().count(), statements.len());
            for (decoded, (id, values)) in batch.statements.iter().zip(&statements) {
                match (decoded.id, id) {
                    (StatementId::Text(decoded), Ok(text)) => prop_assert_eq!(decoded, text),
                    (StatementId::Prepared(decoded), Err(id)) => prop_assert_eq!(decoded, id),
                    other => prop_assert!(false, "{:?}", other),
                }
                let values: Vec<_> = values.iter().map(|value| value.in_version(version)).collect();
                prop_assert_eq!(decoded.values.iter().collect::<Vec<_>>(), values);
            }
        }
    }

    #[test]
    fn the_other_requests_come_back(
        options: Vec<(String, String)>, text: String, keyspace: Option<String>, token: Option<Vec<u8>>,
        tracing: bool, payload: Vec<(String, Option<Vec<u8>>)>,
        event_types in prop::collection::vec(prop::sample::select(&EventType::ALL[..]), 0..4),
    ) {
        for version in Version::ALL {
            let options = options.iter().map(|(key, value)| (&key[..], &value[..])).collect();
            assert_round_trip(&Request::Startup(Startup { options }), version);
            assert_round_trip(&Request::Options(Options), version);
            let keyspace = keyspace.as_deref().filter(|_| version >= Version::V5);
            assert_round_trip(&Request::Prepare(Prepare { text: &text, keyspace }), version);
            assert_round_trip(&Request::Register(Register { event_types: event_types.clone() }), version);
            assert_round_trip(&Request::AuthResponse(AuthResponse { token: token.as_deref() }), version);
            let custom_payload = payload.iter().map(|(k, v)| (&k[..], v.as_deref())).collect();
            let extras = RequestExtras { tracing, custom_payload };
            let request = Request::Prepare(Prepare { text: &text, keyspace });
            round_trip(&request, &extras, version, |decoded_extras, decoded| {
                assert_eq!(decoded, &request);
                assert_eq!(decoded_extras.tracing, tracing);
                let expected = if version >= Version::V4 { &extras.custom_payload[..] } else { &[] };
                assert_eq!(decoded_extras.custom_payload, expected);
            });
        }
    }

    #[test]
    fn noise_does_not_panic(body: Vec<u8>, flags: u8) {
        for version in Version::ALL {
            for opcode in (0..=0x10).filter_map(Opcode::from_code) {
                let header = Header {
                    version, direction: Direction::Request, flags: Flags(flags), stream: 0, opcode, body_bytes: 0,
                };
                let _ = Request::decode(&header, &body);
            }
        }
    }
}

fn encoded(request: &Request<'_>, version: Version) -> Vec<u8> {
    let mut out = BytesMut::new();
    request.encode(Encoding::new(version, Compression::None), 1, &RequestExtras::default(), &mut out);
    out.to_vec()
}

#[test]
fn requests_have_the_bytes_of_the_specification() {
    let startup = Startup { options: vec![("CQL_VERSION", "3.0.0")] };
    let mut expected = vec![4, 0, 0, 1, 1, 0, 0, 0, 22, 0, 1, 0, 11];
    expected.extend(b"CQL_VERSION\0\x053.0.0");
    assert_eq!(encoded(&Request::Startup(startup), Version::V4), expected);

    let mut values = ValuesBuilder::new(Version::V4);
    values.push(Value::Set(&[0xAB]));
    values.push(Value::Null);
    let mut parameters = QueryParameters::new(Consistency::Quorum);
    parameters.values = values.values();
    parameters.skip_metadata = true;
    parameters.page_size = Some(50);
    parameters.now_in_seconds = Some(7);
    let execute = Execute { id: &[1, 2], result_metadata_id: Some(&[3]), parameters };
    let values_and_page = [0, 2, 0, 0, 0, 1, 0xAB, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 50];
    let v4 = [&[4, 0, 0, 1, 10, 0, 0, 0, 22, 0, 2, 1, 2, 0, 4, 0x07][..], &values_and_page].concat();
    assert_eq!(encoded(&Request::Execute(execute), Version::V4), v4);
    let head = [5, 0, 0, 1, 10, 0, 0, 0, 32, 0, 2, 1, 2, 0, 1, 3, 0, 4, 0, 0, 1, 0x07];
    let v5 = [&head[..], &values_and_page, &[0, 0, 0, 7]].concat();
    assert_eq!(encoded(&Request::Execute(execute), Version::V5), v5);
}

#[test]
fn the_keyspace_bit_of_versions_3_and_4_means_nothing() {
    let body = [0, 0, 0, 0, 0, 1, 0x80];
    let query = Query::decode(&mut Reader::new(&body), Version::V4).unwrap();
    assert_eq!(query.parameters, QueryParameters::new(Consistency::One));
}

#[test]
fn rules_of_cassandra_are_enforced_in_its_words() {
    let text = |result: Result<Query<'_>, DecodeError>| result.unwrap_err().to_string();
    let decode = |body: &'static [u8]| Query::decode(&mut Reader::new(body), Version::V4);
    let smallest = &[0, 0, 0, 0, 0, 1, 0x20, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert!(text(decode(smallest)).ends_with("(got -9223372036854775808)"));
    assert_eq!(text(decode(&[0, 0, 0, 0, 0, 99, 0])), "Unknown code 99 for a consistency level");
    let bad_value = &[0, 0, 0, 0, 0, 1, 1, 0, 1, 0xFF, 0xFF, 0xFF, 0xF0];
    assert_eq!(text(decode(bad_value)), "Invalid ByteBuf length -16");
    let register = Register::decode(&mut Reader::new(b"\0\x01\0\x03FOO"));
    assert_eq!(register.unwrap_err().to_string(), "Invalid value 'FOO' for Type");
    let batch = |body: &[u8]| Batch::decode(&mut Reader::new(body), Version::V4).unwrap_err().to_string();
    assert_eq!(batch(&[5, 0, 0, 0, 1, 0]), "Invalid BATCH message type 5");
    let expected = "Invalid query kind in BATCH messages. Must be 0 or 1 but got 7";
    assert_eq!(batch(&[0, 0, 1, 7, 0, 0, 0, 0]), expected);
    let header = Header {
        version: Version::V3,
        direction: Direction::Request,
        flags: Flags::CUSTOM_PAYLOAD,
        stream: 0,
        opcode: Opcode::Options,
        body_bytes: 0,
    };
    let error = Request::decode(&header, &[]).unwrap_err().to_string();
    assert_eq!(error, "Received frame with CUSTOM_PAYLOAD flag for native protocol version < 4");
}

#[test]
fn the_token_of_a_login_is_not_shown() {
    let request = Request::AuthResponse(AuthResponse { token: Some(b"\0user\0secret") });
    assert_eq!(format!("{request:?}"), "AuthResponse(AuthResponse { .. })");
}
