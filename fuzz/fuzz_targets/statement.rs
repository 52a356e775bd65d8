//! Text from a client: a statement, a term or a type, or an error with a place in the text.
#![no_main]

use dodona_query::parser::{parse_statement, parse_term, parse_type};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(error) = parse_statement(text) {
        assert!(!error.to_string().is_empty());
    }
    let _ = parse_term(text);
    let _ = parse_type(text);
});
