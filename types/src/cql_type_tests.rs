//! Names of types.

use proptest::prelude::*;

use super::*;
use crate::value::strategies::{key_type, user_type};

proptest! {
    #[test]
    fn class_names_round_trip(ty in key_type()) {
        let parsed = CqlType::parse_class_name(&ty.class_name()).unwrap();
        prop_assert_eq!(parsed.freeze().class_name(), ty.freeze().class_name());
    }

    #[test]
    fn random_class_names_never_panic(text in "[(),: a-fListTypeFrozenVectorUser0-9.é]{0,60}") {
        let _ = CqlType::parse_class_name(&text);
    }
}

/// Checked against Cassandra 5.0.6's `system_schema.columns`.
#[test]
fn types_print_as_in_cassandra() {
    let tuple = CqlType::Tuple(vec![CqlType::Int, CqlType::list(CqlType::Int, true)].into());
    assert_eq!(tuple.to_string(), "frozen<tuple<int, frozen<list<int>>>>");
    assert_eq!(
        CqlType::list(CqlType::list(CqlType::Int, true), false).to_string(),
        "list<frozen<list<int>>>"
    );
    let map = CqlType::map(CqlType::Text, CqlType::list(CqlType::Int, false), false);
    assert_eq!(map.freeze().to_string(), "frozen<map<text, frozen<list<int>>>>");
    assert_eq!(CqlType::vector(CqlType::Float, 3).to_string(), "vector<float, 3>");
    assert_eq!(user_type(vec![]).to_string(), "frozen<udt>");
    assert_eq!(quote_identifier("Table"), "\"Table\"");
    assert_eq!(quote_identifier("table"), "\"table\"");
    assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
    assert_eq!(quote_identifier("a_1"), "a_1");
}

#[test]
fn class_names_are_cassandras() {
    let prefix = "org.apache.cassandra.db.marshal.";
    let vector = CqlType::vector(CqlType::Float, 3).class_name();
    assert_eq!(vector, format!("{prefix}VectorType({prefix}FloatType , 3)"));
    let frozen = CqlType::list(CqlType::list(CqlType::Int, true), true).class_name();
    assert_eq!(frozen, format!("{prefix}FrozenType({prefix}ListType({prefix}ListType({prefix}Int32Type)))"));
    let udt = user_type(vec![CqlType::Int]).class_name();
    assert_eq!(udt, format!("{prefix}FrozenType({prefix}UserType(ks,756474,61:{prefix}Int32Type))"));
    assert_eq!(CqlType::parse_class_name("ListType(UTF8Type)"), Ok(CqlType::list(CqlType::Text, false)));
    assert_eq!(
        CqlType::parse_class_name("com.example.Mine"),
        Ok(CqlType::Custom(Arc::from("com.example.Mine")))
    );
    let custom = CqlType::parse_class_name("DynamicCompositeType(a=>BytesType)");
    assert_eq!(custom, Ok(CqlType::Custom(Arc::from("DynamicCompositeType(a=>BytesType)"))));
    assert!(CqlType::parse_class_name(&"ListType(".repeat(100_000)).is_err());
    assert!(CqlType::parse_class_name("VectorType(FloatType, 0)").is_err());
}

#[test]
fn helpers_know_the_types() {
    let list = CqlType::list(CqlType::Int, false);
    assert!(list.is_multi_cell() && !list.freeze().is_multi_cell());
    assert!(!list.is_allowed_in_primary_key() && list.freeze().is_allowed_in_primary_key());
    assert!(!CqlType::Duration.is_allowed_in_primary_key());
    let udt = user_type(vec![CqlType::Duration]);
    assert!(udt.references_duration() && udt.references_user_type("ks", "udt"));
    assert!(!udt.references_user_type("other", "udt"));
    assert_eq!(CqlType::native("VARCHAR"), Some(CqlType::Text));
    assert_eq!(CqlType::vector(CqlType::Float, 3).fixed_value_length(), Some(12));
}
