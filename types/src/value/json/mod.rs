//! JSON in and out, by the rules of `INSERT JSON`, `SELECT JSON`, `from_json` and `to_json`
//! (CQL 3.4.7 "JSON support").

mod from;
mod parse;
mod to;

pub use from::json_to_wire;
pub use parse::{JsonValue, parse_json};
pub use to::{wire_to_json, write_json_string};
