//! Finds the statements in text: they end with a semicolon, outside strings and comments, and a
//! batch only behind its `APPLY BATCH`.

use super::command::is_line_command;
use dodona_query::lexer::{Invalid, Lexer, TokenKind};

/// Text taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split<'a> {
    /// Statements without their semicolons.
    pub(super) statements: Vec<&'a str>,
    /// What has not ended yet.
    pub(super) rest: &'a str,
}

/// Takes text apart.
pub(super) fn split(text: &str) -> Split<'_> {
    let mut split = Split { statements: Vec::new(), rest: text };
    while let Some((statement, rest)) = first(split.rest) {
        if !is_blank(statement) {
            split.statements.push(statement.trim());
        }
        split.rest = rest;
    }
    split
}

/// True if there is nothing but blanks and comments.
pub(super) fn is_blank(text: &str) -> bool {
    Lexer::new(text).next_token().kind == TokenKind::End
}

/// The first statement and what comes behind it.
fn first(text: &str) -> Option<(&str, &str)> {
    let mut lexer = Lexer::new(text);
    let mut words = 0;
    let (mut in_batch, mut applied) = (false, false);
    loop {
        let token = lexer.next_token();
        words += 1;
        if words == 1 && is_line_command(token.text) {
            return line(text, token.position.offset());
        }
        match token.kind {
            TokenKind::End | TokenKind::Invalid(Invalid::Unterminated(_)) => return None,
            TokenKind::Symbol(";") if !in_batch || applied => {
                return Some((&text[..token.position.offset()], &text[token.end()..]));
            }
            // The node explains what is wrong with it.
            TokenKind::Invalid(Invalid::Character) => {
                return text[token.position.offset()..].find(';').map(|end| {
                    let end = token.position.offset() + end;
                    (&text[..end], &text[end + 1..])
                });
            }
            _ if words == 1 && token.text.eq_ignore_ascii_case("EXPLAIN") => words = 0,
            _ if words == 1 => in_batch = token.text.eq_ignore_ascii_case("BEGIN"),
            _ => applied |= token.text.eq_ignore_ascii_case("APPLY"),
        }
    }
}

/// The command in the line that has the byte at `start`.
fn line(text: &str, start: usize) -> Option<(&str, &str)> {
    let end = text[start..].find([';', '\n']).map(|end| start + end);
    match end {
        Some(end) => Some((&text[start..end], &text[end + 1..])),
        None => Some((&text[start..], "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> (Vec<&str>, &str) {
        let split = split(text);
        (split.statements, split.rest.trim())
    }

    #[test]
    fn a_statement_ends_with_a_semicolon_outside_strings_and_comments() {
        let text = "SELECT ';' FROM t; -- no; end\nINSERT /* ; */ $$a;b$$;\n;SELECT";
        let first = "SELECT ';' FROM t";
        let second = "-- no; end\nINSERT /* ; */ $$a;b$$";
        assert_eq!(statements(text), (vec![first, second], "SELECT"));
    }

    #[test]
    fn a_batch_ends_behind_apply_batch() {
        let batch = "BEGIN BATCH INSERT INTO t (a) VALUES (1); DELETE FROM t; APPLY BATCH";
        assert_eq!(statements(&format!("{batch}; SELECT 1;")), (vec![batch, "SELECT 1"], ""));
        assert_eq!(statements("BEGIN BATCH INSERT INTO t (a) VALUES (1);").0.len(), 0);
        let explained = format!("EXPLAIN {batch}");
        assert_eq!(
            statements(&format!("{explained}; EXPLAIN SELECT 1;")).0,
            [&explained, "EXPLAIN SELECT 1"]
        );
    }

    #[test]
    fn commands_of_the_shell_end_with_their_line() {
        assert_eq!(statements("CONSISTENCY ONE\nSELECT"), (vec!["CONSISTENCY ONE"], "SELECT"));
        assert_eq!(statements("desc tables"), (vec!["desc tables"], ""));
        assert_eq!(statements("?"), (vec!["?"], ""));
    }

    #[test]
    fn an_open_string_is_not_complete_and_nonsense_is() {
        assert_eq!(statements("SELECT 'a;"), (vec![], "SELECT 'a;"));
        assert_eq!(statements("SELECT # x; SELECT"), (vec!["SELECT # x"], "SELECT"));
        assert!(is_blank(" -- nothing\n"));
    }
}
