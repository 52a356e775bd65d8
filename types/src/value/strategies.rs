//! Random types and values for property tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use num_bigint::BigInt;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;
use uuid::Uuid;

use super::{CqlDuration, Decimal, Value, compare, encode};
use crate::cql_type::{CqlType, UserType};

/// Native types that have an order.
fn native() -> impl Strategy<Value = CqlType> {
    let natives: Vec<CqlType> =
        CqlType::natives().filter(|ty| !matches!(ty, CqlType::Counter | CqlType::Duration)).collect();
    proptest::sample::select(natives)
}

/// Types that may be part of a key: native, or frozen and nested up to three deep.
pub(crate) fn key_type() -> impl Strategy<Value = CqlType> {
    native().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|element| CqlType::list(element, true)),
            inner.clone().prop_map(|element| CqlType::set(element, true)),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| CqlType::map(key, value, true)),
            vec(inner.clone(), 1..4).prop_map(|fields| CqlType::Tuple(fields.into())),
            (inner.clone(), 1u16..4).prop_map(|(element, dimensions)| CqlType::vector(element, dimensions)),
            vec(inner, 1..4).prop_map(user_type),
        ]
    })
}

/// A user-defined type with these fields; one name needs quotes.
pub(crate) fn user_type(fields: Vec<CqlType>) -> CqlType {
    let names = ["a", "Bee", "c c", "d"];
    let fields = fields.into_iter().zip(names).map(|(ty, name)| (Arc::from(name), ty)).collect();
    let definition = Arc::new(UserType { keyspace: Arc::from("ks"), name: Arc::from("udt"), fields });
    CqlType::UserDefined { definition, frozen: true }
}

/// Values of a type. Few distinct ones, so that equal parts are met.
pub(crate) fn value_of(ty: &CqlType) -> BoxedStrategy<Value> {
    let full = full_value_of(ty);
    let is_text = matches!(ty, CqlType::Ascii | CqlType::Text | CqlType::Blob);
    if ty.is_empty_value_allowed() && !is_text {
        prop_oneof![1 => Just(Value::Empty), 8 => full].boxed()
    } else {
        full
    }
}

fn small_or_any<T: Arbitrary + Clone + 'static>(small: Vec<T>) -> impl Strategy<Value = T> {
    prop_oneof![proptest::sample::select(small), any::<T>()]
}

fn big_int() -> impl Strategy<Value = BigInt> {
    prop_oneof![
        (-300i64..300).prop_map(BigInt::from),
        any::<i64>().prop_map(BigInt::from),
        vec(any::<u8>(), 1..160).prop_map(|bytes| BigInt::from_signed_bytes_be(&bytes)),
    ]
}

fn uuid(version_1: bool) -> impl Strategy<Value = Value> {
    let any_version = [0x00u8, 0x10, 0x10, 0x40, 0x70, 0xF0];
    (any::<[u8; 16]>(), proptest::sample::select(any_version.to_vec()), any::<bool>()).prop_map(
        move |(mut bytes, version, same_time)| {
            if same_time {
                bytes[..8].fill(7);
            }
            bytes[6] = (bytes[6] & 0x0F) | if version_1 { 0x10 } else { version };
            Value::Uuid(Uuid::from_bytes(bytes))
        },
    )
}

fn full_value_of(ty: &CqlType) -> BoxedStrategy<Value> {
    match ty {
        CqlType::Ascii => "[a\u{0}-\u{7f}]{0,6}".prop_map(Value::Text).boxed(),
        CqlType::Text => prop_oneof!["[ab\u{0}\u{1}é]{0,5}", ".{0,8}"].prop_map(Value::Text).boxed(),
        CqlType::Blob | CqlType::Custom(_) => {
            prop_oneof![vec(prop_oneof![Just(0u8), Just(255), Just(1)], 0..6), vec(any::<u8>(), 0..80)]
                .prop_map(Value::Blob)
                .boxed()
        }
        CqlType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        CqlType::Tinyint => any::<i8>().prop_map(Value::Tinyint).boxed(),
        CqlType::Smallint => any::<i16>().prop_map(Value::Smallint).boxed(),
        CqlType::Int => small_or_any(vec![-1, 0, 1, i32::MIN, i32::MAX]).prop_map(Value::Int).boxed(),
        CqlType::Bigint => small_or_any(vec![-1, 0, 1, i64::MIN, i64::MAX]).prop_map(Value::Bigint).boxed(),
        CqlType::Counter => any::<i64>().prop_map(Value::Counter).boxed(),
        CqlType::Varint => big_int().prop_map(Value::Varint).boxed(),
        CqlType::Decimal => (big_int(), prop_oneof![-3i32..4, any::<i32>()])
            .prop_map(|(unscaled, scale)| Value::Decimal(Decimal::new(unscaled, scale)))
            .boxed(),
        CqlType::Float => prop_oneof![
            any::<u32>().prop_map(f32::from_bits),
            proptest::sample::select(vec![0.0, -0.0, 1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY])
        ]
        .prop_map(Value::Float)
        .boxed(),
        CqlType::Double => prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            proptest::sample::select(vec![0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
        ]
        .prop_map(Value::Double)
        .boxed(),
        CqlType::Uuid => uuid(false).boxed(),
        CqlType::Timeuuid => uuid(true).boxed(),
        CqlType::Inet => prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
            any::<[u8; 16]>().prop_map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
        ]
        .prop_map(Value::Inet)
        .boxed(),
        CqlType::Date => any::<u32>().prop_map(Value::Date).boxed(),
        CqlType::Time => (0..86_400_000_000_000i64).prop_map(Value::Time).boxed(),
        CqlType::Timestamp => small_or_any(vec![-1, 0, 1_577_836_800_000]).prop_map(Value::Timestamp).boxed(),
        CqlType::Duration => (0..i32::MAX, 0..i32::MAX, 0..i64::MAX, any::<bool>())
            .prop_map(|(months, days, nanoseconds, negative)| {
                let sign = if negative { -1 } else { 1 };
                Value::Duration(CqlDuration {
                    months: months * sign,
                    days: days * sign,
                    nanoseconds: nanoseconds * i64::from(sign),
                })
            })
            .boxed(),
        CqlType::List { element, .. } => vec(value_of(element), 0..4).prop_map(Value::List).boxed(),
        CqlType::Set { element, .. } => {
            let element = Arc::clone(element);
            vec(value_of(&element), 0..4)
                .prop_map(move |mut values| {
                    values.sort_by(|a, b| compare(&element, &wire(&element, a), &wire(&element, b)));
                    Value::Set(values)
                })
                .boxed()
        }
        CqlType::Map { key, value, .. } => {
            vec((value_of(key), value_of(value)), 0..3).prop_map(Value::Map).boxed()
        }
        CqlType::Tuple(types) => fields_of(types.iter()).prop_map(Value::Tuple).boxed(),
        CqlType::UserDefined { definition, .. } => {
            fields_of(definition.fields.iter().map(|(_, ty)| ty)).prop_map(Value::UserDefined).boxed()
        }
        CqlType::Vector { element, dimensions } => {
            let element_value = if element.fixed_value_length().is_some() {
                full_value_of(element)
            } else {
                value_of(element)
            };
            vec(element_value, usize::from(*dimensions)).prop_map(Value::Vector).boxed()
        }
    }
}

fn fields_of<'a>(types: impl Iterator<Item = &'a CqlType>) -> BoxedStrategy<Vec<Option<Value>>> {
    types.map(|ty| option::of(value_of(ty))).collect::<Vec<_>>().boxed()
}

/// The wire bytes of a value.
pub(crate) fn wire(ty: &CqlType, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode(ty, value, &mut out).expect("a value of its own type");
    out
}

/// A type and some wire values of it.
pub(crate) fn type_and_values(count: usize) -> impl Strategy<Value = (CqlType, Vec<Vec<u8>>)> {
    key_type().prop_flat_map(move |ty| {
        let values = vec(value_of(&ty), count);
        (Just(ty), values).prop_map(|(ty, values)| {
            let wires = values.iter().map(|value| wire(&ty, value)).collect();
            (ty, wires)
        })
    })
}

/// Random bytes of the shapes that lengths and tags have.
pub(crate) fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = Union::new([
        any::<u8>().boxed(),
        proptest::sample::select(vec![0u8, 1, 2, 0x10, 0x20, 0x30, 0x40, 0xBF, 0xCF, 0xDF, 0xEF, 0xFF])
            .boxed(),
    ]);
    vec(byte, 0..64)
}
