//! Tokens.

use super::*;

fn kinds(text: &str) -> Vec<(TokenKind, &str)> {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token();
        if token.kind == TokenKind::End {
            return tokens;
        }
        tokens.push((token.kind, token.text));
        if matches!(token.kind, TokenKind::Invalid(_)) {
            return tokens;
        }
    }
}

#[test]
fn constants_are_told_apart() {
    for (text, kind) in [
        ("1", TokenKind::Integer),
        ("-1", TokenKind::Integer),
        ("1.", TokenKind::Float),
        ("1.5e-3", TokenKind::Float),
        ("1e5", TokenKind::Float),
        ("0x", TokenKind::Hex),
        ("0XaB", TokenKind::Hex),
        ("TRUE", TokenKind::Boolean),
        ("-NAN", TokenKind::NegativeWord),
        ("1mo", TokenKind::Duration),
        ("1m1S", TokenKind::Duration),
        ("P1Y", TokenKind::Duration),
        ("-PT1S", TokenKind::Duration),
        ("P1Yx", TokenKind::Identifier),
        ("p1y", TokenKind::Identifier),
        ("P", TokenKind::Identifier),
        ("123e4567-e89b-12d3-a456-426614174000", TokenKind::Uuid),
        ("''", TokenKind::String),
        ("'a''b'", TokenKind::String),
        ("$$a$b$$", TokenKind::DollarString),
        ("\"\"", TokenKind::QuotedName),
        ("\"a\"\"b\"", TokenKind::QuotedName),
        ("expr(", TokenKind::ExprOpen),
    ] {
        assert_eq!(kinds(text), [(kind, text)]);
    }
}

#[test]
fn neighbours_are_split_as_in_cassandra() {
    let texts = |text| kinds(text).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(texts("a-1"), ["a", "-1"]);
    assert_eq!(texts("1-2-3"), ["1", "-2", "-3"]);
    assert_eq!(texts("a- 1"), ["a", "-", "1"]);
    assert_eq!(texts("1..2"), ["1", "..", "2"]);
    assert_eq!(texts("1...2"), ["1.", "..", "2"]);
    assert_eq!(texts("a<=b!=c+=d"), ["a", "<=", "b", "!=", "c", "+=", "d"]);
    assert_eq!(texts("a--b\nc//d\ne/*f*/g"), ["a", "c", "e", "g"]);
    assert_eq!(texts("expr (a)"), ["expr", "(", "a", ")"]);
    assert_eq!(texts("'a' 'b'"), ["'a'", "'b'"]);
}

#[test]
fn what_is_no_token_is_said_to_be_none() {
    for text in ["'a", "\"a", "$$a", "/* a", "@", "5mo2", "!", "é"] {
        assert!(matches!(kinds(text)[..], [(TokenKind::Invalid(_), _)]), "{text}");
    }
}
