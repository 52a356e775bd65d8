//! Values of all types from a peer: refused, or the same value as a literal, as JSON, in comparable
//! bytes and back.
#![no_main]

use dodona_types::CqlType;
use dodona_types::comparable::{decode_component, encode_component};
use dodona_types::value::{
    compare, decode, encode, json_to_wire, parse_json, validate, wire_to_json, wire_to_literal,
};
use libfuzzer_sys::fuzz_target;
use std::cmp::Ordering;
use std::sync::Arc;

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let Some(ty) = take_type(&mut input, 3) else { return };
    if let Ok(text) = std::str::from_utf8(input) {
        hostile_text(&ty, text);
    }
    if validate(&ty, input).is_err() {
        let _ = decode(&ty, input);
        return;
    }
    assert_eq!(compare(&ty, input, input), Ordering::Equal);
    let again = reencode(&ty, input);
    assert_eq!(reencode(&ty, &again), again, "{ty}");
    let _ = wire_to_literal(&ty, Some(input));
    json(&ty, input);
    if ty.is_allowed_in_primary_key() {
        comparable(&ty, input);
    }
});

/// The encoding of a valid value that we would have chosen.
fn reencode(ty: &CqlType, wire: &[u8]) -> Vec<u8> {
    let mut again = Vec::new();
    if let Ok(value) = decode(ty, wire) {
        encode(ty, &value, &mut again).expect("a value that was decoded");
    }
    again
}

/// A type from the first bytes of the input.
fn take_type(input: &mut &[u8], depth: usize) -> Option<CqlType> {
    let (&choice, rest) = input.split_first()?;
    *input = rest;
    let natives: Vec<CqlType> = CqlType::natives().collect();
    let choice = usize::from(choice);
    if choice < 200 || depth == 0 {
        return Some(natives[choice % natives.len()].clone());
    }
    let inner = take_type(input, depth - 1)?.freeze();
    let frozen = choice % 2 == 0;
    Some(match choice % 5 {
        0 => CqlType::list(inner, frozen),
        1 => CqlType::set(inner, frozen),
        2 => CqlType::map(inner, take_type(input, depth - 1)?.freeze(), frozen),
        3 => CqlType::vector(inner, 3),
        _ => CqlType::Tuple(Arc::from([inner, take_type(input, depth - 1)?.freeze()])),
    })
}

fn hostile_text(ty: &CqlType, text: &str) {
    if let Ok(named) = CqlType::parse_class_name(text) {
        assert_eq!(CqlType::parse_class_name(&named.class_name()).as_ref(), Ok(&named));
    }
    let Ok(json) = parse_json(text) else { return };
    let mut wire = Vec::new();
    if json_to_wire(ty, &json, &mut wire).is_ok() {
        validate(ty, &wire).expect("what JSON gave is a value");
    }
}

fn json(ty: &CqlType, wire: &[u8]) {
    let mut text = String::new();
    if wire_to_json(ty, Some(wire), &mut text).is_ok() {
        parse_json(&text).unwrap_or_else(|error| panic!("{ty}: {text} is no JSON: {error}"));
    }
}

fn comparable(ty: &CqlType, wire: &[u8]) {
    for descending in [false, true] {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        encode_component(ty, descending, Some(wire), &mut bytes).expect("a valid value");
        let mut input = bytes.as_slice();
        decode_component(ty, descending, &mut input, &mut back).expect("what was encoded");
        assert!(input.is_empty());
        assert_eq!(compare(ty, &back, wire), Ordering::Equal, "{ty}: {back:02x?}");
    }
}
