use proptest::prelude::*;

use super::*;

/// Types as a result's metadata can carry them: nothing frozen, for options do not say it.
pub(crate) fn any_type() -> impl Strategy<Value = CqlType> {
    let simple = prop::sample::select(SIMPLE.map(|(_, cql_type, _)| cql_type).to_vec());
    simple.prop_recursive(4, 24, 4, |inner| {
        let element = inner.clone().prop_map(Arc::new);
        let name = "[a-z\"é]{1,8}".prop_map(Arc::from);
        let fields = prop::collection::vec((name.clone(), inner.clone()), 1..4);
        prop_oneof![
            element.clone().prop_map(|element| CqlType::List { element, frozen: false }),
            element.clone().prop_map(|element| CqlType::Set { element, frozen: false }),
            (element.clone(), element).prop_map(|(key, value)| CqlType::Map { key, value, frozen: false }),
            prop::collection::vec(inner, 1..4).prop_map(|fields| CqlType::Tuple(fields.into())),
            (name, fields).prop_map(|(name, fields)| CqlType::UserDefined {
                definition: Arc::new(UserType { keyspace: "ks".into(), name, fields }),
                frozen: false,
            }),
        ]
    })
}

/// The type as a custom type has it: `frozen`, and all inside with it.
fn freeze(cql_type: &CqlType, frozen: bool) -> CqlType {
    let inner = |cql_type: &Arc<CqlType>| Arc::new(freeze(cql_type, frozen));
    match cql_type {
        CqlType::List { element, .. } => CqlType::List { element: inner(element), frozen },
        CqlType::Set { element, .. } => CqlType::Set { element: inner(element), frozen },
        CqlType::Map { key, value, .. } => CqlType::Map { key: inner(key), value: inner(value), frozen },
        CqlType::Tuple(fields) => CqlType::Tuple(fields.iter().map(|field| freeze(field, true)).collect()),
        CqlType::UserDefined { definition, .. } => {
            let fields =
                definition.fields.iter().map(|(n, field)| (n.clone(), freeze(field, frozen))).collect();
            let (keyspace, name) = (definition.keyspace.clone(), definition.name.clone());
            CqlType::UserDefined { definition: Arc::new(UserType { keyspace, name, fields }), frozen }
        }
        simple => simple.clone(),
    }
}

fn vector(element: CqlType, dimensions: u16) -> CqlType {
    CqlType::Vector { element: Arc::new(element), dimensions }
}

fn encoded(cql_type: &CqlType, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    put_type(&mut out, cql_type, version);
    out
}

proptest! {
    #[test]
    fn types_come_back_in_every_version(cql_type in any_type()) {
        for version in Version::ALL {
            let bytes = encoded(&cql_type, version);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(&read_type(&mut reader).unwrap(), &cql_type);
            prop_assert!(reader.rest().is_empty());
        }
    }

    #[test]
    fn names_of_classes_come_back(cql_type in any_type(), dimensions in 1_u16..100) {
        for frozen in [false, true] {
            let cql_type = freeze(&cql_type, frozen);
            prop_assert_eq!(parse_marshal_name(&marshal_name(&cql_type)).unwrap(), cql_type);
        }
        let vector = vector(freeze(&cql_type, true), dimensions);
        prop_assert_eq!(parse_marshal_name(&marshal_name(&vector)).unwrap(), vector);
    }

    #[test]
    fn noise_does_not_panic(bytes: Vec<u8>, name: String, like_a_name in "[(),:A-Za-z0-9 ]{0,40}") {
        let _ = read_type(&mut Reader::new(&bytes));
        let _ = parse_marshal_name(&name);
        let _ = parse_marshal_name(&format!("ListType({like_a_name}"));
        let _ = parse_marshal_name(&format!("UserType(ks,{like_a_name})"));
    }
}

#[test]
fn vectors_have_the_names_that_cassandra_5_0_6_sends() {
    const P: &str = "org.apache.cassandra.db.marshal.";
    let floats = vector(CqlType::Float, 3);
    assert_eq!(marshal_name(&floats), format!("{P}VectorType({P}FloatType , 3)"));
    let list = CqlType::List { element: Arc::new(CqlType::Int), frozen: true };
    let expected = format!("{P}VectorType({P}FrozenType({P}ListType({P}Int32Type)) , 2)");
    assert_eq!(marshal_name(&vector(list, 2)), expected);
    let nested = vector(vector(CqlType::Int, 2), 3);
    assert_eq!(marshal_name(&nested), format!("{P}VectorType({P}VectorType({P}Int32Type , 2) , 3)"));
    let text_list = CqlType::List { element: Arc::new(CqlType::Text), frozen: true };
    let fields = vec![("a".into(), CqlType::Int), ("b".into(), text_list)];
    let definition = Arc::new(UserType { keyspace: "pr".into(), name: "ut".into(), fields });
    let expected = format!(
        "{P}VectorType({P}FrozenType({P}UserType(pr,7574,61:{P}Int32Type,62:{P}ListType({P}UTF8Type))) , 1)"
    );
    let user_type = vector(CqlType::UserDefined { definition, frozen: true }, 1);
    assert_eq!(marshal_name(&user_type), expected);
    for cql_type in [floats, nested, user_type] {
        assert_eq!(parse_marshal_name(&marshal_name(&cql_type)).as_ref(), Ok(&cql_type));
        for version in Version::ALL {
            let bytes = encoded(&cql_type, version);
            assert_eq!(bytes[..2], [0, 0]);
            assert_eq!(read_type(&mut Reader::new(&bytes)).as_ref(), Ok(&cql_type));
        }
    }
}

#[test]
fn a_name_without_blanks_or_package_is_understood_too() {
    assert_eq!(parse_marshal_name("VectorType(FloatType,3)"), Ok(vector(CqlType::Float, 3)));
    assert_eq!(parse_marshal_name("ReversedType(Int32Type)"), Ok(CqlType::Int));
}

#[test]
fn unknown_classes_make_a_custom_type_of_the_whole() {
    let names = [
        "org.example.Shape",
        "org.apache.cassandra.db.marshal.ListType(org.example.Shape)",
        "org.apache.cassandra.db.marshal.DynamicCompositeType(a=>AsciiType,b=>BytesType)",
        "ColumnToCollectionType(61:ListType(Int32Type))",
    ];
    for name in names {
        assert_eq!(parse_marshal_name(name), Ok(CqlType::Custom(name.into())));
        assert_eq!(marshal_name(&CqlType::Custom(name.into())), name);
    }
}

#[test]
fn malformed_names_are_errors() {
    let names = [
        "",
        "ListType",
        "ListType(",
        "ListType(Int32Type",
        "ListType(Int32Type))",
        "VectorType(FloatType , 0)",
    ];
    for name in names.into_iter().chain(["VectorType(FloatType , 8193)", "UserType(ks,7)", "UserType(ks,zz)"])
    {
        assert!(parse_marshal_name(name).is_err(), "{name}");
    }
}

#[test]
fn types_nested_too_deeply_are_refused() {
    let deep_option = [0, 0x20].repeat(100_000);
    assert_eq!(read_type(&mut Reader::new(&deep_option)), Err(DecodeError::TooDeep));
    let nested = |levels: usize| format!("{}Int32Type{}", "SetType(".repeat(levels), ")".repeat(levels));
    assert!(parse_marshal_name(&nested(MAX_NESTING - 1)).is_ok());
    assert_eq!(parse_marshal_name(&nested(MAX_NESTING)), Err(DecodeError::TooDeep));
    assert_eq!(parse_marshal_name(&"Foo(".repeat(100_000)), Err(DecodeError::TooDeep));
}

#[test]
fn options_that_a_version_lacks_are_sent_as_custom_types() {
    let is_custom = |cql_type: &CqlType, version| encoded(cql_type, version)[..2] == [0, 0];
    for cql_type in [CqlType::Date, CqlType::Time, CqlType::Smallint, CqlType::Tinyint] {
        assert!(is_custom(&cql_type, Version::V3) && !is_custom(&cql_type, Version::V4), "{cql_type:?}");
    }
    assert!(is_custom(&CqlType::Duration, Version::V4) && !is_custom(&CqlType::Duration, Version::V5));
    assert_eq!(encoded(&CqlType::Text, Version::V3)[..], [0, 0x0D]);
    assert_eq!(encoded(&CqlType::Duration, Version::V5)[..], [0, 0x15]);
}
