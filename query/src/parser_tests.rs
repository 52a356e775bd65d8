//! Statements of each kind, Cassandra's verdicts, and text that must not break the parser.

#[path = "parser_tests/oracle_cases.rs"]
mod oracle_cases;

use proptest::prelude::*;

use dodona_types::CqlType;
use dodona_types::value::LiteralKind;

use self::oracle_cases::{ACCEPTED, REFUSED, REFUSED_PLAINLY};
use super::*;
use crate::ast::*;

fn parse(text: &str) -> Statement {
    parse_statement(text).unwrap_or_else(|error| panic!("{text}: {error}")).statement
}

fn error(text: &str) -> String {
    match parse_statement(text) {
        Ok(parsed) => panic!("{text} was taken for {parsed:?}"),
        Err(error) => error.to_string(),
    }
}

fn select(text: &str) -> Select {
    match parse(text) {
        Statement::Select(select) => *select,
        other => panic!("{other:?}"),
    }
}

fn term(text: &str) -> TermKind {
    parse_term(text).unwrap_or_else(|error| panic!("{text}: {error}")).kind
}

fn name(name: &str) -> QualifiedName {
    QualifiedName { keyspace: None, name: name.to_owned() }
}

fn integer(text: &str) -> TermKind {
    TermKind::Literal(LiteralKind::Integer, text.to_owned())
}

#[test]
fn what_cassandra_accepts_is_accepted() {
    for text in ACCEPTED {
        parse(text);
    }
}

#[test]
fn what_cassandra_refuses_is_refused_at_the_same_place() {
    let differing: Vec<_> = REFUSED
        .iter()
        .map(|(text, place)| (text, place, error(text)))
        .filter(|(_, place, message)| !message.starts_with(&format!("{place} ")))
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
    for (text, message) in REFUSED_PLAINLY {
        assert_eq!(error(text), *message, "{text}");
    }
}

#[test]
fn messages_are_in_cassandras_style() {
    assert_eq!(error("select from p"), "line 1:7 no viable alternative at input 'from' (select [from]...)");
    assert_eq!(
        error("select * fro p"),
        "line 1:9 mismatched input 'fro' expecting K_FROM (select * [fro]...)"
    );
    assert_eq!(
        error("create table x (a int primary key)) "),
        "line 1:34 mismatched input ')' expecting EOF (... (a int primary key)[)])"
    );
    assert_eq!(error("delete from p"), "line 0:-1 mismatched input '<EOF>' expecting K_WHERE");
    assert_eq!(error("select @ from p"), "line 1:7 no viable alternative at character '@'");
    assert_eq!(error("select 'abc"), "line 1:11 mismatched character '<EOF>' expecting '''");
    assert!(error("select *\nfrom\n  p where é").starts_with("line 3:10 "));
}

#[test]
fn a_select_has_all_its_parts() {
    let all = select(
        "SELECT JSON DISTINCT a, count(*) AS n, k.f(b)[0].c FROM ks.\"T\" WHERE a = ? AND (b, c) IN ((1, 2)) \
         AND token(a) > :t GROUP BY a, f(b) ORDER BY b DESC, c PER PARTITION LIMIT 2 LIMIT ? ALLOW FILTERING;",
    );
    assert!(all.json && all.distinct && all.allow_filtering);
    assert_eq!(all.table, QualifiedName { keyspace: Some("ks".to_owned()), name: "T".to_owned() });
    let Selectors::List(list) = &all.selectors else { panic!() };
    assert_eq!(list[1], (Selectable::CountRows, Some("n".to_owned())));
    let Selectable::Path(base, steps) = &list[2].0 else { panic!() };
    assert!(matches!(&**base, Selectable::Function(function, _) if function.name == "f"));
    assert_eq!(steps[1], PathStep::Field("c".to_owned()));
    assert_eq!(all.relations.len(), 3);
    assert_eq!(all.relations[1].subject, Subject::Tuple(vec!["b".to_owned(), "c".to_owned()]));
    assert!(matches!(&all.relations[1].operand, Operand::Many(values) if values.len() == 1));
    assert_eq!(all.relations[2].subject, Subject::Token(vec!["a".to_owned()]));
    assert_eq!((all.group_by.len(), all.order_by.len()), (2, 2));
    assert!(all.order_by[0].descending && !all.order_by[1].descending);
    assert_eq!(all.per_partition_limit.unwrap().kind, integer("2"));
}

#[test]
fn bind_markers_are_numbered_in_order() {
    let parsed =
        parse_statement("UPDATE t USING TTL ? SET v = :v, l[?] = (int)? WHERE k IN :\"K\" AND c = -?")
            .unwrap();
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(parsed.markers, [None, named("v"), None, None, named("K"), None]);
    let hint = parse_statement("SELECT * FROM t WHERE a = (int)? AND b = (?, ?)").unwrap();
    assert_eq!(hint.markers.len(), 3);
}

#[test]
fn relations_have_all_operators() {
    let relations = select(
        "SELECT * FROM t WHERE a CONTAINS 1 AND b CONTAINS KEY 2 AND c LIKE 'x%' AND d IS NOT NULL AND e[1] = 2 \
         AND f != 3 AND g BETWEEN 1 AND 2 AND h NOT IN (1) AND i NOT CONTAINS KEY 5 AND j IN ? AND ((k <= 1)) \
         AND expr(idx, 'q') AND (l, m) > ?",
    )
    .relations;
    let operators: Vec<_> = relations.iter().map(|relation| relation.operator.text()).collect();
    assert_eq!(
        operators,
        [
            "CONTAINS",
            "CONTAINS KEY",
            "LIKE",
            "IS NOT",
            "=",
            "!=",
            "BETWEEN",
            "NOT IN",
            "NOT CONTAINS KEY",
            "IN",
            "<=",
            "=",
            ">"
        ]
    );
    assert!(matches!(&relations[6].operand, Operand::Range(range) if range.1.kind == integer("2")));
    assert!(matches!(&relations[9].operand, Operand::One(term) if matches!(term.kind, TermKind::Marker(_))));
    assert_eq!(relations[11].subject, Subject::Expression(name("idx")));
    assert_eq!(relations[0].position.offset(), 22);
}

#[test]
fn terms_are_what_they_look_like() {
    let literal = |kind, text: &str| TermKind::Literal(kind, text.to_owned());
    assert_eq!(term("'it''s'"), literal(LiteralKind::String, "it's"));
    assert_eq!(term("$$it's$$"), literal(LiteralKind::String, "it's"));
    assert_eq!(term("-5"), integer("-5"));
    assert_eq!(term("1.e5"), literal(LiteralKind::Float, "1.e5"));
    assert_eq!(term("0xAb"), literal(LiteralKind::Hex, "0xAb"));
    assert_eq!(term("-nan"), literal(LiteralKind::Float, "NaN"));
    assert_eq!(term("-Infinity"), literal(LiteralKind::Float, "-Infinity"));
    for duration in [
        "1y2mo3w4d5h6m7s8ms9us1ns",
        "-1h",
        "P1Y2M3DT4H5M6S",
        "-P1W",
        "P0001-02-03T04:05:06",
        "5\u{b5}s",
        "PT1H",
    ] {
        assert_eq!(term(duration), literal(LiteralKind::Duration, duration));
    }
    let uuid = "abcdefab-e89b-12d3-a456-426614174000";
    assert_eq!(term(uuid), literal(LiteralKind::Uuid, uuid));
    assert!(matches!(term("{}"), TermKind::Set(set) if set.is_empty()));
    assert!(matches!(term("{1: 2, 3: 4}"), TermKind::Map(map) if map.len() == 2));
    assert!(matches!(term("{a: 1, \"B\": [2]}"), TermKind::UserDefined(fields) if fields[1].0 == "B"));
    assert!(matches!(term("(1)"), TermKind::Tuple(fields) if fields.len() == 1));
    assert!(matches!(term("(int)1"), TermKind::TypeHint(RawType::Native(CqlType::Int), _)));
    assert!(matches!(term("(list<int>)[1]"), TermKind::TypeHint(RawType::List(_), _)));
    assert!(matches!(term("('a')"), TermKind::Tuple(_)));
    assert!(matches!(term("CAST(1 AS text)"), TermKind::Cast(_, CqlType::Text)));
    assert!(matches!(term("token(1, 2)"), TermKind::Function(function, _) if function.name == "token"));
}

#[test]
fn arithmetic_binds_as_it_should() {
    let TermKind::Arithmetic(first, rest) = term("1 + 2 * 3 - 4 - 5") else { panic!() };
    assert_eq!((first.kind, rest.len()), (integer("1"), 3));
    assert!(matches!(&rest[0].1.kind, TermKind::Arithmetic(_, product) if product.len() == 1));
    assert_eq!(rest[2].0, ArithmeticOperator::Subtract);
    // A minus sign and a digit are one token, as in Cassandra.
    assert!(parse_term("1-2").is_err());
    assert!(matches!(term("- (1)"), TermKind::Negation(_)));
    // Long chains are flat: nothing recurses over them.
    let long = format!("1{}", " + 1".repeat(200_000));
    assert!(matches!(term(&long), TermKind::Arithmetic(_, rest) if rest.len() == 200_000));
}

#[test]
fn terms_print_as_they_are_parsed() {
    for text in [
        "'its'",
        "[1, {2: 'x'}, (NULL, ?)]",
        "{a: f(1), \"B\": ?}",
        "(frozen<list<int>>)[1]",
        "k.\"F\"()",
        "{}",
        "1y2mo",
    ] {
        let relations = select(&format!("SELECT * FROM t WHERE a = {text}")).relations;
        assert!(matches!(&relations[0].operand, Operand::One(term) if term.to_string() == text), "{text}");
    }
    // As Cassandra's messages have it.
    assert_eq!(parse_term("'it''s'").unwrap().to_string(), "'it's'");
    let term = parse_term("1 + 2 * - f(3)").unwrap().to_string();
    assert_eq!(term, "system.\"_add\"(1, system.\"_multiply\"(2, system.\"_negate\"(f(3))))");
    assert_eq!(parse_term("CAST(1 AS text)").unwrap().to_string(), "system.cast_as_text(1)");
    for text in ["map<text, frozen<tuple<int, ks.udt>>>", "vector<float, 3>", "set<\"Udt\">", "'Class(x)'"] {
        assert_eq!(parse_type(text).unwrap().to_string(), text);
    }
}

#[test]
fn updates_have_all_assignments() {
    let Statement::Update(update) = parse(
        "UPDATE t USING TIMESTAMP 1 AND TTL 2 SET a = 1, b = b + 1, c = c - [1], d = [1] + d, e += 1, f -= {1}, \
         g[0] = 1, h.x = 2, i = i -1, j = f(1) + 2 WHERE k = 1 IF a = 1 AND b[1] > 2 AND c.x IN (1) AND d IN ?",
    ) else {
        panic!()
    };
    let kinds: Vec<_> = update
        .assignments
        .iter()
        .map(|assignment| match &assignment.operation {
            Operation::Set(_) => "set",
            Operation::Add(_) => "add",
            Operation::Subtract(_) => "subtract",
            Operation::Prepend(_) => "prepend",
            Operation::SetElement(..) => "element",
            Operation::SetField(..) => "field",
        })
        .collect();
    assert_eq!(
        kinds,
        ["set", "add", "subtract", "prepend", "add", "subtract", "element", "field", "add", "set"]
    );
    assert!(matches!(&update.condition, IfClause::Conditions(conditions) if conditions.len() == 4));
    assert!(matches!(
        parse("UPDATE t SET a = 1 WHERE k = 1 IF EXISTS"),
        Statement::Update(Update { condition: IfClause::Exists, .. })
    ));
}

#[test]
fn deletes_inserts_and_batches_are_parsed() {
    let Statement::Delete(delete) =
        parse("DELETE a, b['x'], c.d FROM t USING TIMESTAMP ? WHERE k = 1 IF EXISTS")
    else {
        panic!()
    };
    assert_eq!(delete.columns.len(), 3);
    assert_eq!(delete.columns[2].1, Some(ColumnPart::Field("d".to_owned())));
    let Statement::Insert(insert) = parse("INSERT INTO t JSON ? DEFAULT UNSET IF NOT EXISTS USING TTL 5")
    else {
        panic!()
    };
    assert!(matches!(insert.source, InsertSource::Json { default_unset: true, .. }));
    assert!(insert.if_not_exists && insert.attributes.ttl.is_some());
    let Statement::Batch(batch) = parse(
        "BEGIN UNLOGGED BATCH USING TIMESTAMP 1 INSERT INTO t (k) VALUES (1); DELETE FROM t WHERE k = 1 APPLY BATCH;",
    ) else {
        panic!()
    };
    assert_eq!((batch.kind, batch.statements.len()), (BatchKind::Unlogged, 2));
}

#[test]
fn tables_have_all_their_parts() {
    let Statement::CreateTable(table) = parse(
        "CREATE TABLE IF NOT EXISTS ks.t (a int, b frozen<map<text, udt>>, c text STATIC MASKED WITH DEFAULT, \
         d vector<float, 3> MASKED WITH mask_inner(1, NULL), e int CHECK e > 1 AND length(e) < 5, \
         PRIMARY KEY ((a, b), e)) WITH CLUSTERING ORDER BY (e DESC) AND COMPACT STORAGE AND comment = 'x' \
         AND compaction = {'class': 'X', 'n': 1} AND gc_grace_seconds = -1",
    ) else {
        panic!()
    };
    assert!(table.if_not_exists && table.compact_storage && table.columns[2].is_static);
    assert_eq!(
        table.primary_keys,
        [PrimaryKey { partition: vec!["a".to_owned(), "b".to_owned()], clustering: vec!["e".to_owned()] }]
    );
    assert_eq!(table.clustering_order, [("e".to_owned(), true)]);
    assert_eq!(table.columns[3].mask.as_ref().unwrap().arguments.len(), 2);
    assert_eq!(table.columns[4].constraints.len(), 2);
    let pairs = vec![("class".to_owned(), "X".to_owned()), ("n".to_owned(), "1".to_owned())];
    assert_eq!(table.properties[1].value, PropertyValue::Map(pairs));
    assert_eq!(table.properties[2].value, PropertyValue::Text("-1".to_owned()));
}

#[test]
fn changes_of_tables_and_types_are_parsed() {
    let change = |text: &str| match parse(text) {
        Statement::AlterTable(alter) => alter.change,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        change("ALTER TABLE t ADD IF NOT EXISTS a int"),
        TableChange::Add { if_not_exists: true, .. }
    ));
    assert!(
        matches!(change("ALTER TABLE t ADD (a int, b text STATIC)"), TableChange::Add { columns, .. } if columns.len() == 2)
    );
    assert!(matches!(
        change("ALTER TABLE t DROP (a, b) USING TIMESTAMP 5"),
        TableChange::Drop { timestamp: Some(5), .. }
    ));
    assert_eq!(change("ALTER TABLE t DROP COMPACT STORAGE"), TableChange::DropCompactStorage);
    assert!(matches!(change("ALTER TABLE t DROP compact"), TableChange::Drop { .. }));
    assert!(matches!(change("ALTER TABLE t ALTER a DROP MASKED"), TableChange::Mask { mask: None, .. }));
    assert!(
        matches!(change("ALTER TABLE t RENAME a TO b AND c TO d"), TableChange::Rename { columns, .. } if columns.len() == 2)
    );
    assert!(matches!(parse("ALTER TYPE u RENAME a TO b"), Statement::AlterType(_)));
    assert!(
        matches!(parse("CREATE TYPE k.u (a int, b list<text>,)"), Statement::CreateType(ty) if ty.fields.len() == 2)
    );
}

#[test]
fn the_other_definitions_are_parsed() {
    let Statement::CreateIndex(index) = parse(
        "CREATE CUSTOM INDEX IF NOT EXISTS i ON k.t (entries(m)) USING 'sai' WITH OPTIONS = {'a': 'b'}",
    ) else {
        panic!()
    };
    assert_eq!((index.custom, index.targets), (true, vec![(IndexTarget::Entries, "m".to_owned())]));
    assert!(
        matches!(parse("CREATE INDEX ON t (values)"), Statement::CreateIndex(index) if index.targets[0].0 == IndexTarget::Simple)
    );
    let Statement::CreateFunction(function) = parse(
        "CREATE OR REPLACE FUNCTION k.f (a int, \"B\" list<text>) CALLED ON NULL INPUT RETURNS text LANGUAGE Java AS $$ return; $$",
    ) else {
        panic!()
    };
    assert!(function.or_replace && function.called_on_null_input);
    assert_eq!((function.language.as_str(), function.body.as_str()), ("java", " return; "));
    let Statement::CreateAggregate(aggregate) =
        parse("CREATE AGGREGATE a (int) SFUNC s STYPE tuple<int, int> FINALFUNC f INITCOND (0, 0)")
    else {
        panic!()
    };
    assert!(aggregate.initial.is_some() && aggregate.final_function.is_some());
    let Statement::CreateView(view) = parse(
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM t WHERE a IS NOT NULL PRIMARY KEY (a, b) WITH CLUSTERING ORDER BY (b ASC)",
    ) else {
        panic!()
    };
    assert_eq!(view.clustering_order, [("b".to_owned(), false)]);
    assert!(
        matches!(parse("DROP AGGREGATE IF EXISTS k.a (int)"), Statement::DropAggregate(drop) if drop.arguments.is_some())
    );
    assert!(matches!(parse("CREATE TRIGGER t ON k.t USING 'c'"), Statement::CreateTrigger(_)));
    assert!(matches!(parse("CREATE SCHEMA k WITH a = true"), Statement::CreateKeyspace(_)));
}

#[test]
fn roles_and_permissions_are_parsed() {
    let Statement::CreateRole(role) = parse(
        "CREATE ROLE IF NOT EXISTS 'R' WITH PASSWORD = 'p' AND LOGIN = true AND SUPERUSER = false AND OPTIONS = {'a': 'b'} \
         AND ACCESS TO DATACENTERS {'dc1', 'dc2'} AND ACCESS FROM ALL CIDRS",
    ) else {
        panic!()
    };
    assert_eq!(
        (role.name.as_str(), role.options.login, role.options.superuser),
        ("R", Some(true), Some(false))
    );
    assert_eq!(role.options.cidrs, Some(Access::All));
    assert!(matches!(parse("CREATE USER Bob WITH PASSWORD 'x' SUPERUSER"), Statement::CreateRole(user)
        if user.name == "Bob" && user.options.superuser == Some(true) && user.options.login == Some(true)));
    assert!(
        error("CREATE ROLE r WITH PASSWORD = 'a' AND HASHED PASSWORD = 'b'").contains("mutually exclusive")
    );
    assert!(matches!(parse("GRANT SELECT, MODIFY PERMISSION ON TABLE k.t TO r"), Statement::Grant(grant)
        if grant.permissions == Permissions::Some(vec![Permission::Select, Permission::Modify])));
    assert!(matches!(parse("GRANT all TO r"), Statement::GrantRole(grant) if grant.role == "all"));
    assert!(
        matches!(parse("REVOKE ALL PERMISSIONS ON ALL FUNCTIONS IN KEYSPACE k FROM r"), Statement::Revoke(revoke)
        if revoke.resource == Resource::AllFunctionsIn("k".to_owned()))
    );
    assert!(matches!(parse("GRANT EXECUTE ON FUNCTION k.f(int) TO r"), Statement::Grant(grant)
        if matches!(grant.resource, Resource::Function(..))));
    assert!(
        matches!(parse("LIST ALL OF r NORECURSIVE"), Statement::ListPermissions(list) if !list.recursive)
    );
    assert_eq!(parse("LIST SUPERUSERS"), Statement::ListSuperusers);
    assert!(matches!(parse("ADD IDENTITY IF NOT EXISTS 'spiffe://a' TO ROLE r"), Statement::AddIdentity(_)));
}

#[test]
fn describe_has_all_its_forms() {
    let target = |text: &str| match parse(text) {
        Statement::Describe(describe) => describe.target,
        other => panic!("{other:?}"),
    };
    assert_eq!(target("DESCRIBE FULL SCHEMA"), DescribeTarget::Schema { full: true });
    assert_eq!(
        target("DESC ONLY KEYSPACE k"),
        DescribeTarget::Keyspace { name: Some("k".to_owned()), only: true }
    );
    assert_eq!(target("DESC KEYSPACE"), DescribeTarget::Keyspace { name: None, only: false });
    assert_eq!(target("DESC TABLE t WITH INTERNALS"), DescribeTarget::Table(name("t")));
    assert_eq!(target("DESC MATERIALIZED VIEW v"), DescribeTarget::View(name("v")));
    assert_eq!(target("DESC types"), DescribeTarget::Types);
    assert_eq!(target("DESC type"), DescribeTarget::Any(name("type")));
    assert_eq!(target("DESC type u"), DescribeTarget::Type(name("u")));
    assert!(matches!(target("DESC FUNCTION k.f"), DescribeTarget::Function(_)));
    assert_eq!(target("DESC \"T\""), DescribeTarget::Any(name("T")));
}

#[test]
fn words_are_names_where_cassandra_lets_them() {
    let columns =
        select("SELECT json, distinct, as, key, ttl, count, writetime, text, \"SELECT\", list FROM type");
    assert!(matches!(columns.selectors, Selectors::List(list) if list.len() == 10));
    assert!(select("SELECT JSON json FROM t").json);
    assert!(!select("SELECT json.x FROM t").json);
    assert!(select("SELECT DISTINCT distinct AS as FROM t").distinct);
    parse("INSERT INTO values (key, ttl, timestamp) VALUES (1, 2, 3)");
    assert!(matches!(
        parse("UPDATE t SET a = 1 WHERE k = 1 IF exists = 2"),
        Statement::Update(Update { condition: IfClause::Conditions(_), .. })
    ));
    assert!(parse_type("list").is_ok_and(|ty| ty == RawType::UserDefined(name("list"))));
}

#[test]
fn comments_are_blanks() {
    parse("SELECT -- one\n * // two\n FROM /* three\n */ t --");
    parse("SELECT * FROM t /**/");
}

#[test]
fn deep_nesting_is_an_error() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("f(", ")"),
        ("(int)", ""),
        ("- ", ""),
        ("{a: ", "}"),
        ("cast(", " as int)"),
    ] {
        for depth in [100, 100_000] {
            let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for text in [
                format!("SELECT * FROM t WHERE a = {nested}"),
                format!("SELECT {nested} FROM t"),
                format!("SELECT * FROM t WHERE {}a = 1{}", open.repeat(depth), close.repeat(depth)),
            ] {
                assert!(parse_statement(&text).is_err(), "{}", &text[..40]);
            }
        }
    }
    assert!(parse_type(&"list<".repeat(100_000)).is_err());
    assert!(parse_type(&"frozen<".repeat(100_000)).is_err());
    let fits = format!("SELECT * FROM t WHERE a = {}1{}", "(".repeat(60), ")".repeat(60));
    parse(&fits);
}

#[test]
fn large_statements_take_linear_time() {
    let values = "1, ".repeat(300_000);
    parse(&format!("SELECT * FROM t WHERE a IN ({values} 1)"));
    parse(&format!("INSERT INTO t (a) VALUES ('{}')", "x''".repeat(2_000_000)));
    assert!(parse_statement(&"(a,".repeat(300_000)).is_err());
    assert!(parse_statement(&format!("SELECT {} FROM t", "{(a".repeat(300_000))).is_err());
    assert!(parse_statement(&format!("SELECT * FROM t WHERE a = {values}")).is_err());
    let assignments = (0..50_000).map(|n| format!("c{n} = {n}")).collect::<Vec<_>>().join(", ");
    parse(&format!("UPDATE t SET {assignments} WHERE k = 1"));
}

/// Words and symbols of CQL.
const SOUP: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "BEGIN",
    "BATCH",
    "APPLY",
    "CREATE",
    "TABLE",
    "TYPE",
    "INDEX",
    "ON",
    "PRIMARY",
    "KEY",
    "ALTER",
    "DROP",
    "IF",
    "NOT",
    "EXISTS",
    "AND",
    "IN",
    "a",
    "b",
    "\"C\"",
    "1",
    "-2",
    "3.5",
    "'s'",
    "$$t$$",
    "?",
    ":n",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "=",
    "+",
    "-",
    "*",
    ".",
    "..",
    ",",
    ";",
    ":",
    "int",
    "text",
    "list",
    "frozen",
    "map",
    "token",
    "count",
    "cast",
    "AS",
    "JSON",
    "DISTINCT",
    "GROUP",
    "BY",
    "ORDER",
    "LIMIT",
    "NULL",
    "true",
    "1h",
    "0xab",
    "WITH",
    "USING",
    "TTL",
    "TIMESTAMP",
    "GRANT",
    "ROLE",
    "DESCRIBE",
    "LIST",
    "CONTAINS",
    "expr(",
    "IS",
    "LIKE",
    "BETWEEN",
    "CHECK",
    "MASKED",
    "FUNCTION",
    "é",
    "@",
    "'",
    "\"",
    "/*",
    "--",
    "$$",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn token_soup_never_panics(words in proptest::collection::vec(proptest::sample::select(SOUP), 0..40)) {
        let _ = parse_statement(&words.join(" "));
        let _ = parse_statement(&words.concat());
        let _ = parse_term(&words.join(" "));
        let _ = parse_type(&words.join(""));
    }

    #[test]
    fn mutated_statements_never_panic(
        text in proptest::sample::select(ACCEPTED),
        cut in any::<prop::sample::Index>(),
        word in proptest::sample::select(SOUP),
    ) {
        let boundaries: Vec<_> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        let at = *cut.get(&boundaries);
        let _ = parse_statement(&text[..at]);
        let _ = parse_statement(&text[at..]);
        let _ = parse_statement(&format!("{}{word}{}", &text[..at], &text[at..]));
        let _ = parse_statement(&format!("{} {word} {}", &text[..at], &text[at..]));
    }

    #[test]
    fn any_text_is_lexed_to_its_end(text in "\\PC{0,60}") {
        let _ = parse_statement(&text);
    }
}
