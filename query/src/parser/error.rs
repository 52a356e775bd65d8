//! Syntax errors in Cassandra's style.

use super::Parser;
use crate::lexer::{Invalid, Lexer, Token, TokenKind};

/// The most tokens (blanks count as one) that a message shows before the one at fault.
const TOKENS_BEFORE: usize = 10;
/// The longest token that a message shows, in characters.
const MAX_TOKEN_CHARS: usize = 256;

/// Text that is not CQL. The message goes to the client with the code of a syntax error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(String);

impl SyntaxError {
    /// An error that has no place of its own.
    pub(super) fn plain(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl Parser<'_> {
    /// The current token begins nothing that may stand here.
    pub(super) fn unexpected(&self) -> SyntaxError {
        self.error_here(&format!("no viable alternative at input '{}'", shown(&self.token)))
    }

    /// What began with a token, the last or the one before it, does not go on with the current one.
    pub(super) fn unexpected_after(&self, start: &Token<'_>) -> SyntaxError {
        let message = format!("no viable alternative at input '{}'", shown(&self.token));
        // Cassandra shows one token more.
        let next = Lexer::new(&self.lexer.text()[start.end()..]).next_token().end();
        self.error_showing(&message, start, start.end() + next)
    }

    /// Something definite must stand here, not the current token.
    pub(super) fn expecting(&self, expected: &str) -> SyntaxError {
        self.error_here(&format!("mismatched input '{}' expecting {expected}", shown(&self.token)))
    }

    /// An error at the current token. The end of the text has no place, as in Cassandra.
    pub(super) fn error_here(&self, message: &str) -> SyntaxError {
        self.error_showing(message, &self.token, 0)
    }

    /// An error at the current token that marks a token, and shows the text up to an offset behind that.
    fn error_showing(&self, message: &str, marked: &Token<'_>, up_to: usize) -> SyntaxError {
        if self.token.kind == TokenKind::End {
            return SyntaxError(format!("line 0:-1 {message}"));
        }
        let text = self.lexer.text();
        let (line, column) = self.token.position.line_and_column(text);
        SyntaxError(format!("line {line}:{column} {message} ({})", snippet(text, marked, up_to)))
    }
}

fn shown(token: &Token<'_>) -> String {
    match token.kind {
        TokenKind::End => "<EOF>".to_owned(),
        TokenKind::String => limited(token.text.trim_matches('\'')),
        TokenKind::QuotedName if token.text != "\"\"" => limited(token.text.trim_matches('"')),
        _ => limited(token.text),
    }
}

fn limited(text: &str) -> String {
    match text.char_indices().nth(MAX_TOKEN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// The text around a token, and behind it up to an offset, for example `...from p where k = 1 [or]...`.
fn snippet(text: &str, at: &Token<'_>, up_to: usize) -> String {
    let start = at.position.offset();
    let from = snippet_start(text, start);
    let before = if from == 0 { "" } else { "..." };
    // Of a string as many characters are shown as it has without quotes, as in Cassandra.
    let shown = match at.kind {
        TokenKind::String if at.text.len() >= 2 => {
            let count = super::text::string_of(at).chars().count();
            let end = at.text.char_indices().nth(count).map_or(at.text.len(), |(end, _)| end);
            &at.text[..end]
        }
        _ => at.text,
    };
    let end = (start + shown.len()).min(text.len());
    let (behind, rest) = text[end..].split_at(up_to.saturating_sub(end));
    let after = if rest.trim().is_empty() { "" } else { "..." };
    format!("{before}{}[{}]{}{after}", limited(&text[from..start]), limited(shown), limited(behind))
}

/// Where the tokens start that are shown before the one at `end`.
fn snippet_start(text: &str, end: usize) -> usize {
    let mut starts = [0; TOKENS_BEFORE];
    let (mut count, mut previous_end) = (0, 0);
    let mut lexer = Lexer::new(text);
    loop {
        let token = lexer.next_token();
        let start = token.position.offset();
        if start > previous_end && previous_end < end {
            starts[count % TOKENS_BEFORE] = previous_end;
            count += 1;
        }
        if start >= end || matches!(token.kind, TokenKind::End | TokenKind::Invalid(_)) {
            break;
        }
        starts[count % TOKENS_BEFORE] = start;
        count += 1;
        previous_end = token.end();
    }
    if count < TOKENS_BEFORE { 0 } else { starts[count % TOKENS_BEFORE] }
}

/// The error of the first text that is no token, if there is any.
pub(super) fn first_invalid(text: &str) -> Option<SyntaxError> {
    let mut lexer = Lexer::new(text);
    loop {
        let token = lexer.next_token();
        match token.kind {
            TokenKind::End => return None,
            TokenKind::Invalid(invalid) => return Some(invalid_token(text, &token, invalid)),
            _ => {}
        }
    }
}

fn invalid_token(text: &str, token: &Token<'_>, invalid: Invalid) -> SyntaxError {
    match invalid {
        Invalid::Character => {
            // A malformed duration is at fault where it stops, a lone character where it stands.
            let alone = token.text.chars().count() == 1;
            let offset = if alone { token.position.offset() } else { token.end() };
            let (line, column) = crate::ast::Position::new(offset).line_and_column(text);
            let found = text[offset..].chars().next().map_or("<EOF>".to_owned(), String::from);
            SyntaxError(format!("line {line}:{column} no viable alternative at character '{found}'"))
        }
        Invalid::Unterminated(expected) => {
            let (line, column) = crate::ast::Position::new(text.len()).line_and_column(text);
            SyntaxError(format!("line {line}:{column} mismatched character '<EOF>' expecting '{expected}'"))
        }
    }
}
