//! Wire, literal and JSON round trips, Cassandra's texts and formats.

#[path = "oracle_order.rs"]
mod oracle_order;

use proptest::prelude::*;

use super::strategies::{hostile_bytes, key_type, type_and_values, user_type};
use super::*;
use crate::cql_type::CqlType;

fn literal(kind: LiteralKind, text: &str, ty: &CqlType) -> Result<Vec<u8>, LiteralError> {
    let mut out = Vec::new();
    literal_to_wire(kind, text, ty, &mut out).map(|()| out)
}

fn from_json(ty: &CqlType, json: &str) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::new();
    json_to_wire(ty, &parse_json(json)?, &mut out).map(|()| out)
}

fn to_json(ty: &CqlType, wire: &[u8]) -> String {
    let mut out = String::new();
    wire_to_json(ty, Some(wire), &mut out).unwrap();
    out
}

fn json_error(ty: &CqlType, json: &str) -> String {
    from_json(ty, json).unwrap_err().to_string()
}

/// True if JSON and literals can say every value of the type: no empty values, NaNs or
/// infinities, and map keys that are not nested.
fn is_sayable(value: Option<&Value>) -> bool {
    match value {
        None => true,
        Some(Value::Empty) => false,
        Some(Value::Float(value)) => value.is_finite(),
        Some(Value::Double(value)) => value.is_finite(),
        Some(Value::Timestamp(millis)) => (-60_000_000_000_000..200_000_000_000_000).contains(millis),
        Some(Value::Inet(IpAddr::V6(v6))) => v6.to_ipv4_mapped().is_none(),
        Some(Value::List(all) | Value::Set(all) | Value::Vector(all)) => {
            all.iter().all(|v| is_sayable(Some(v)))
        }
        Some(Value::Tuple(all) | Value::UserDefined(all)) => all.iter().all(|v| is_sayable(v.as_ref())),
        Some(Value::Map(all)) => {
            all.len() < 2 && all.iter().all(|(k, v)| is_sayable(Some(k)) && is_sayable(Some(v)))
        }
        Some(_) => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn wire_bytes_round_trip((ty, wires) in type_and_values(1)) {
        validate(&ty, &wires[0]).unwrap();
        let value = decode(&ty, &wires[0]).unwrap();
        prop_assert_eq!(super::strategies::wire(&ty, &value), &wires[0][..]);
    }

    #[test]
    fn json_round_trips((ty, wires) in type_and_values(1)) {
        let value = decode(&ty, &wires[0]).unwrap();
        let json = to_json(&ty, &wires[0]);
        parse_json(&json).unwrap();
        let is_set = |ty: &CqlType| matches!(ty, CqlType::Set { .. });
        if is_sayable(Some(&value)) && !ty.any(&mut |ty| is_set(ty)) {
            prop_assert_eq!(from_json(&ty, &json).unwrap(), &wires[0][..], "{}", json);
        }
    }

    #[test]
    fn native_literals_round_trip((ty, wires) in type_and_values(1)) {
        let value = decode(&ty, &wires[0]).unwrap();
        let text = wire_to_literal(&ty, Some(&wires[0])).unwrap();
        if ty.native_name().is_some() && is_sayable(Some(&value)) {
            let kind = [
                LiteralKind::Integer, LiteralKind::Float, LiteralKind::Boolean, LiteralKind::Uuid,
                LiteralKind::Hex, LiteralKind::Duration, LiteralKind::String,
            ].into_iter().find(|kind| kind.assignment(&text, &ty) != Assignment::Not).unwrap();
            let kind = if text.starts_with('\'') { LiteralKind::String } else { kind };
            let quoted = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            let bare = quoted.map_or_else(|| text.clone(), |text| text.replace("''", "'"));
            prop_assert_eq!(literal(kind, &bare, &ty).unwrap(), &wires[0][..], "{}", text);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(ty in key_type(), a in hostile_bytes(), b in hostile_bytes()) {
        prop_assert_eq!(validate(&ty, &a).is_ok(), decode(&ty, &a).is_ok());
        let order = compare(&ty, &a, &b);
        if validate(&ty, &a).is_ok() && validate(&ty, &b).is_ok() {
            prop_assert_eq!(order, compare(&ty, &b, &a).reverse());
        }
        let _ = wire_to_literal(&ty, Some(&a));
        let _ = wire_to_json(&ty, Some(&a), &mut String::new());
    }

    #[test]
    fn truncated_values_never_panic((ty, wires) in type_and_values(1)) {
        for length in 0..wires[0].len() {
            let _ = validate(&ty, &wires[0][..length]);
            let _ = decode(&ty, &wires[0][..length]);
        }
    }

    #[test]
    fn vints_round_trip(unsigned in any::<u64>(), shift in 0u32..64, signed in any::<i64>()) {
        let (unsigned, signed) = (unsigned >> shift, signed >> shift);
        let mut out = Vec::new();
        write_unsigned_vint(unsigned, &mut out);
        write_vint(signed, &mut out);
        let mut input = out.as_slice();
        prop_assert_eq!(read_unsigned_vint(&mut input), Some(unsigned));
        prop_assert_eq!(read_vint(&mut input), Some(signed));
        prop_assert!(input.is_empty());
    }

    #[test]
    fn random_text_never_panics(text in "[-+0-9.:TZPeEyYmMoOdDhHsSuUnN a-f\\[\\]{}\",\\\\/]{0,40}") {
        let _ = parse_json(&text);
        for ty in CqlType::natives() {
            let _ = literal(LiteralKind::String, &text, &ty);
            let _ = literal(LiteralKind::Integer, &text, &ty);
            let _ = literal(LiteralKind::Duration, &text, &ty);
            let _ = literal(LiteralKind::Float, &text, &ty);
        }
    }

    #[test]
    fn days_round_trip(days in -2_147_483_648i64..2_147_483_648) {
        let (year, month, day) = civil_from_days(days);
        prop_assert_eq!(days_from_civil(year, month, day), Some(days));
    }
}

#[test]
fn errors_are_cassandras() {
    let message = |ty: CqlType, wire: &[u8]| validate(&ty, wire).unwrap_err().to_string();
    assert_eq!(message(CqlType::Int, &[0; 3]), "Expected 4 or 0 byte int (3)");
    assert_eq!(message(CqlType::Bigint, &[0; 3]), "Expected 8 or 0 byte long (3)");
    assert_eq!(message(CqlType::Smallint, &[]), "Expected 2 bytes for a smallint (0)");
    assert_eq!(message(CqlType::Ascii, &[0xE9]), "Invalid byte for ascii: -23");
    assert_eq!(message(CqlType::Text, &[0xE9]), "String didn't validate.");
    assert_eq!(message(CqlType::Timeuuid, &[0; 16]), "Invalid version for TimeUUID type: 0x0");
    let list = CqlType::list(CqlType::Int, false);
    assert_eq!(message(list.clone(), &[0, 0]), "Not enough bytes to read a list");
    assert_eq!(message(list.clone(), &[0, 0, 0, 0, 9]), "Unexpected extraneous bytes after list value");
    assert_eq!(message(list, &[0, 0, 0, 1, 255, 255, 255, 255]), "Null value read when not allowed");
    assert_eq!(
        message(CqlType::vector(CqlType::Float, 1), &[0; 3]),
        "Not enough bytes to read a vector<float, 1>"
    );
}

/// Checked against Cassandra 5.0.6.
#[test]
fn timestamps_are_read_as_cassandra_reads_them() {
    for (text, expected) in [
        ("2020-01-01", "2020-01-01 00:00:00.000Z"),
        ("2020-01-01 1:2", "2020-01-01 01:02:00.000Z"),
        ("2020-01-01T01:02", "2020-01-01 01:02:00.000Z"),
        ("2020-01-01 01:02:03.123456789+01:00", "2020-01-01 00:02:03.123Z"),
        ("2020-01-01 01:02:03.", "2020-01-01 01:02:03.000Z"),
        ("2020-01-01 01:02+0130", "2019-12-31 23:32:00.000Z"),
        ("2020-01-01 01:02 PST", "2020-01-01 09:02:00.000Z"),
        ("2020-01-01 +0100", "2019-12-31 23:00:00.000Z"),
        ("2020-01-01 01:02 GMT+01:00", "2020-01-01 00:02:00.000Z"),
        ("2020-01-01Z", "2020-01-01 00:00:00.000Z"),
        ("+12345-01-01", "+12345-01-01 00:00:00.000Z"),
        ("-0001-01-01", "0002-01-01 00:00:00.000Z"),
        ("0000-01-01", "0001-01-01 00:00:00.000Z"),
        ("2020-02-30", "2020-02-29 00:00:00.000Z"),
        ("2020-01-01 24:00", "2020-01-02 00:00:00.000Z"),
        ("-1", "1969-12-31 23:59:59.999Z"),
    ] {
        assert_eq!(format_timestamp(parse_timestamp(text).unwrap()), expected, "{text}");
    }
    for text in [
        "2020-1-1",
        "12345-01-01",
        "2020-13-01",
        "2020-01-01 23:60",
        "2020-01-01t01:02",
        "2020-01-01 01",
        " 2020-01-01",
        "2020-01-01 ",
        "2020-01-01 01:02+1",
        "2020-01-01 01:02 GMT+1",
        "2020-01-01 01:02z",
        "now",
        "",
    ] {
        assert!(parse_timestamp(text).is_err(), "{text}");
    }
    assert_eq!(parse_timestamp("foo").unwrap_err().message(), "Unable to parse a date/time from 'foo'");
}

/// Checked against Cassandra 5.0.6.
#[test]
fn dates_and_times_are_read_as_cassandra_reads_them() {
    for text in ["+12345-01-01", "-0001-01-01", "-5877641-06-23", "+5881580-07-11", "1970-01-01"] {
        assert_eq!(format_date(parse_date(text).unwrap()), text);
    }
    assert_eq!(parse_date("4294967295").unwrap(), u32::MAX);
    let message = |text| parse_date(text).unwrap_err().to_string();
    assert_eq!(message("-1"), "Unable to make unsigned int (for date) from: '-1'");
    assert_eq!(message("2020-02-30"), "Unable to coerce '2020-02-30' to a formatted date (long)");
    assert_eq!(
        message("-5877641-06-22"),
        "Input date -5877641-06-22 is less than min supported date -5877641-06-23T00:00Z"
    );
    for text in ["2020-1-1", "20200-01-01", "5881580-07-11", "4294967296"] {
        assert!(parse_date(text).is_err(), "{text}");
    }
    for (text, expected) in [
        ("1:2:3", "01:02:03.000000000"),
        ("01:02:03.1", "01:02:03.100000000"),
        (" 01:02:03 ", "01:02:03.000000000"),
        ("+1:02:03", "01:02:03.000000000"),
        ("5", "00:00:00.000000005"),
    ] {
        assert_eq!(format_time(parse_time(text).unwrap()), expected);
    }
    for text in ["01:02", "24:00:00", "01:02:03.1234567891", "-5", "86400000000000", "foo"] {
        assert!(parse_time(text).is_err(), "{text}");
    }
}

#[test]
fn durations_have_all_their_forms() {
    let text = |text: &str| text.parse::<CqlDuration>().map(|duration| duration.to_string());
    for (input, expected) in [
        ("1y2mo3w4d5h6m7s8ms9us10ns", "1y2mo25d5h6m7s8ms9us10ns"),
        ("1Y2MO", "1y2mo"),
        ("5\u{b5}s", "5us"),
        ("P1Y2M3DT4H5M6S", "1y2mo3d4h5m6s"),
        ("P2W", "14d"),
        ("-P0001-02-03T04:05:06", "-1y2mo3d4h5m6s"),
        ("-13mo", "-1y1mo"),
        ("PT1H", "1h"),
    ] {
        assert_eq!(text(input).unwrap(), expected, "{input}");
    }
    let message = |input| text(input).unwrap_err().to_string();
    assert_eq!(message("1y1y"), "Invalid duration. The years are specified multiple times");
    assert_eq!(message("1h1y"), "Invalid duration. The hours should be after years");
    assert_eq!(
        message("100000000000y"),
        "Invalid duration. The total number of months must be less or equal to 2147483647"
    );
    assert_eq!(message("x"), "Unable to convert 'x' to a duration");
}

#[test]
fn numbers_print_as_in_java() {
    for (value, expected) in [
        (1.0, "1.0"),
        (1e10, "1.0E10"),
        (1.5e-5, "1.5E-5"),
        (0.001, "0.001"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-123.456, "-123.456"),
        (-0.0, "-0.0"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(format_double(value), expected);
    }
    for (text, expected, plain) in [
        ("1.50", "1.50", "1.50"),
        ("1e10", "1E+10", "10000000000"),
        ("-0.00000001", "-1E-8", "-0.00000001"),
        ("123e-2", "1.23", "1.23"),
        ("0.000001", "0.000001", "0.000001"),
        ("12E5", "1.2E+6", "1200000"),
    ] {
        let decimal: Decimal = text.parse().unwrap();
        assert_eq!((decimal.to_string().as_str(), decimal.to_plain_string().as_str()), (expected, plain));
    }
}

#[test]
fn constants_fit_the_types_that_cassandra_lets_them_fit() {
    assert_eq!(literal(LiteralKind::Integer, "1", &CqlType::Text), Err(LiteralError::WrongKind));
    assert_eq!(literal(LiteralKind::Integer, "1", &CqlType::Int).unwrap(), [0, 0, 0, 1]);
    assert_eq!(literal(LiteralKind::Float, "NaN", &CqlType::Float).unwrap(), [0x7F, 0xC0, 0, 0]);
    assert_eq!(LiteralKind::Integer.assignment("1", &CqlType::Int), Assignment::Exact);
    assert_eq!(LiteralKind::Integer.assignment("1", &CqlType::Bigint), Assignment::Weak);
    let message = |kind, text, ty| literal(kind, text, &ty).unwrap_err().to_string();
    assert_eq!(
        message(LiteralKind::Integer, "99999999999", CqlType::Int),
        "Unable to make int from '99999999999'"
    );
    assert_eq!(message(LiteralKind::Hex, "0x1", CqlType::Blob), "cannot parse '1' as hex bytes");
    assert_eq!(
        message(LiteralKind::Uuid, "123e4567-e89b-42d3-a456-426614174000", CqlType::Timeuuid),
        "TimeUUID supports only version 1 UUIDs"
    );
    assert_eq!(message(LiteralKind::String, "foo", CqlType::Inet), "Unable to make inet address from 'foo'");
    assert_eq!(LiteralKind::Uuid.to_string(), "UUID");
}

#[test]
fn literals_are_those_that_describe_prints() {
    let list = CqlType::list(CqlType::Text, true);
    let wire = from_json(&list, r#"["a'b"]"#).unwrap();
    assert_eq!(wire_to_literal(&list, Some(&wire)).unwrap(), "['a''b']");
    let udt = user_type(vec![CqlType::Int, CqlType::Timestamp]);
    let wire = from_json(&udt, r#"{"a": 1, "\"Bee\"": "2020-01-01"}"#).unwrap();
    assert_eq!(wire_to_literal(&udt, Some(&wire)).unwrap(), "{a: 1, \"Bee\": '2020-01-01T00:00:00.000Z'}");
    assert_eq!(wire_to_literal(&CqlType::Int, Some(&[])).unwrap(), "null");
    assert_eq!(wire_to_literal(&CqlType::Blob, Some(&[1, 0xAB])).unwrap(), "0x01ab");
}

/// Checked against Cassandra 5.0.6.
#[test]
fn json_is_read_and_written_as_cassandra_does() {
    let map = CqlType::map(CqlType::Int, CqlType::Decimal, false);
    let wire =
        from_json(&map, r#"{"2": 1.50, "1": 1e10, "2": "0.1234567890123456789012345678901"}"#).unwrap();
    assert_eq!(to_json(&map, &wire), r#"{"1": 1E+10, "2": 0.1234567890123456789012345678901}"#);
    let inet = from_json(&CqlType::Inet, "\"::1\"").unwrap();
    assert_eq!(to_json(&CqlType::Inet, &inet), "\"0:0:0:0:0:0:0:1\"");
    let udt = user_type(vec![CqlType::Int, CqlType::Text]);
    let wire = from_json(&udt, r#""{\"A\": 1}""#).unwrap();
    assert_eq!(to_json(&udt, &wire), r#"{"a": 1, "\"Bee\"": null}"#);
    assert_eq!(to_json(&CqlType::Text, "a\u{1}\"é".as_bytes()), "\"a\\u0001\\\"é\"");
    assert_eq!(to_json(&CqlType::Float, &f32::NAN.to_be_bytes()), "null");
    assert_eq!(to_json(&CqlType::Int, &[]), "\"\"");
}

/// Checked against Cassandra 5.0.6.
#[test]
fn json_errors_are_cassandras() {
    let tuple = CqlType::Tuple(vec![CqlType::Int, CqlType::Text].into());
    let udt = user_type(vec![CqlType::Int]);
    for (ty, json, expected) in [
        (CqlType::Bigint, "1.5", "Expected a bigint value, but got a Double: 1.5"),
        (CqlType::Bigint, "[1]", "Expected a bigint value, but got a ArrayList: [1]"),
        (CqlType::Int, "99999999999", "Expected an int value, but got a Long: 99999999999"),
        (CqlType::Int, "\"x\"", "Unable to make int from 'x'"),
        (
            CqlType::Timestamp,
            "true",
            "Expected a long or a datestring representation of a timestamp value, but got a Boolean: true",
        ),
        (CqlType::Date, "1", "Expected a string representation of a date value, but got a Integer: 1"),
        (
            CqlType::vector(CqlType::Int, 3),
            "[1, 2]",
            "List had incorrect size: expected 3 but given 2; [1, 2]",
        ),
        (CqlType::vector(CqlType::Int, 1), "[null]", "Invalid null element in list"),
        (CqlType::Timeuuid, "\"x\"", "Unknown timeuuid representation: x"),
        (
            CqlType::Blob,
            "\"12\"",
            "Value '12' is not a valid blob representation: String representation of blob is missing 0x prefix: 12",
        ),
        (CqlType::Decimal, "\"x\"", "Value 'x' is not a valid representation of a decimal value"),
        (udt, r#"{"Z": 1}"#, "Unknown field 'z' in value of user defined type udt"),
        (tuple.clone(), "[1]", "Tuple is missing items (expected 2): [1]"),
        (tuple, "[1, \"a\", 3]", "Tuple contains extra items (expected 2): [1, a, 3]"),
        (CqlType::map(CqlType::Int, CqlType::Int, false), "[1]", "Expected a map, but got a ArrayList: [1]"),
    ] {
        assert_eq!(json_error(&ty, json), expected);
    }
}

#[test]
fn deep_json_is_refused() {
    let deep = "[".repeat(100_000);
    assert!(parse_json(&deep).is_err());
    for text in ["", "01", "1.", "\"", "\"\\ud800\"", "{\"a\" 1}", "[1,]", "tru", "1 2", "\"\u{1}\""] {
        assert!(parse_json(text).is_err(), "{text}");
    }
    assert_eq!(parse_json("\"\\ud83d\\ude00\"").unwrap(), JsonValue::String("\u{1F600}".to_owned()));
}

#[test]
fn uuids_are_in_cassandras_order() {
    for (ty, texts) in [(CqlType::Uuid, oracle_order::UUIDS), (CqlType::Timeuuid, oracle_order::TIMEUUIDS)] {
        let wires: Vec<_> = texts.iter().map(|text| literal(LiteralKind::Uuid, text, &ty).unwrap()).collect();
        assert!(wires.is_sorted_by(|a, b| compare(&ty, a, b).is_lt()));
    }
}

/// Checked against Cassandra 5.0.6.
#[test]
fn empty_values_are_allowed_where_cassandra_allows_them() {
    let udt = user_type(vec![CqlType::Int]);
    let tuple = CqlType::Tuple(vec![CqlType::Int].into());
    let collections = [CqlType::list(CqlType::Int, true), CqlType::set(CqlType::Int, true)];
    let nested =
        [udt, tuple, CqlType::map(CqlType::Int, CqlType::Int, true), CqlType::vector(CqlType::Int, 1)];
    for ty in CqlType::natives().chain(collections).chain(nested) {
        assert_eq!(validate(&ty, &[]).is_ok(), ty.is_empty_value_allowed(), "{ty}");
    }
    let vector = CqlType::vector(CqlType::Int, 1);
    assert_eq!(validate(&vector, &[]).unwrap_err().message(), "Invalid empty vector value");
    let list = CqlType::list(CqlType::Int, true);
    assert_eq!(validate(&list, &[]).unwrap_err().message(), "Not enough bytes to read a list");
}
