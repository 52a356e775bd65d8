//! The text that tokens stand for.

use crate::lexer::{Token, TokenKind};

/// The text of a string, in quotes or dollars.
pub(super) fn string_of(token: &Token<'_>) -> String {
    if token.kind == TokenKind::DollarString {
        token.text.get(2..token.text.len().saturating_sub(2)).unwrap_or_default().to_owned()
    } else {
        unquote(token.text, '\'')
    }
}

/// The text between quotes, doubled ones being single.
pub(super) fn unquote(text: &str, quote: char) -> String {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    if inner.contains(quote) {
        inner.replace([quote, quote].iter().collect::<String>().as_str(), &quote.to_string())
    } else {
        inner.to_owned()
    }
}
