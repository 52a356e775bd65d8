//! `WITH name = value AND ..`.

use std::collections::BTreeSet;

use super::name::is_name;
use super::{Parsed, Parser, SyntaxError};
use crate::ast::{Property, PropertyValue, Term, TermKind};
use crate::lexer::TokenKind;

/// The properties met so far.
#[derive(Default)]
pub(super) struct Properties {
    names: BTreeSet<String>,
    pub(super) list: Vec<Property>,
}

impl Properties {
    fn add(&mut self, property: Property) -> Parsed<()> {
        if !self.names.insert(property.name.clone()) {
            let name = &property.name;
            return Err(SyntaxError::plain(format!("Multiple definitions for property '{name}'")));
        }
        self.list.push(property);
        Ok(())
    }
}

impl Parser<'_> {
    /// Properties with AND between them.
    pub(super) fn properties(&mut self) -> Parsed<Vec<Property>> {
        let mut properties = Properties::default();
        self.and_list(|parser| parser.property(&mut properties))?;
        Ok(properties.list)
    }

    /// `name = value`.
    pub(super) fn property(&mut self, properties: &mut Properties) -> Parsed<()> {
        let (start, position) = (self.token, self.position());
        let name = self.name()?;
        if !self.is_symbol("=") {
            return Err(self.unexpected_after(&start));
        }
        self.advance();
        let value = if self.is_symbol("{") {
            PropertyValue::Map(self.property_map()?)
        } else {
            self.property_text()?.ok_or_else(|| self.unexpected_after(&start))?
        };
        properties.add(Property { name, value, position })
    }

    /// A constant or a word; none of what is neither.
    fn property_text(&mut self) -> Parsed<Option<PropertyValue>> {
        if let Some(Term { kind: TermKind::Literal(_, text), .. }) = self.literal()? {
            return Ok(Some(PropertyValue::Text(text)));
        }
        // A word of CQL may stand for itself, any other word not.
        if matches!(self.token.kind, TokenKind::Keyword(_)) && is_name(&self.token) {
            return Ok(Some(PropertyValue::Text(self.name()?)));
        }
        Ok(None)
    }

    /// `{constant: constant, ..}`, as texts.
    pub(super) fn property_map(&mut self) -> Parsed<Vec<(String, String)>> {
        self.expect_symbol("{")?;
        let mut keys = BTreeSet::new();
        self.list_until("}", |parser| {
            let key = parser.term()?;
            parser.expect_symbol(":")?;
            let value = parser.term()?;
            let (key, value) = property_entry(key, value)?;
            if !keys.insert(key.clone()) {
                return Err(SyntaxError::plain(format!("Multiple definition for property {key}")));
            }
            Ok((key, value))
        })
    }
}

fn property_entry(key: Term, value: Term) -> Parsed<(String, String)> {
    let note = |term: &Term| match term.kind {
        TermKind::Marker(_) => " (bind variables are not supported in DDL queries)",
        _ => "",
    };
    match (key.kind, value.kind) {
        (TermKind::Literal(_, key), TermKind::Literal(_, value)) => Ok((key, value)),
        (TermKind::Literal(kind, text), other) => {
            let key = Term { kind: TermKind::Literal(kind, text), position: key.position };
            let value = Term { kind: other, position: value.position };
            let note = note(&value);
            Err(SyntaxError::plain(format!("Invalid property value: {value} for property: {key}{note}")))
        }
        (other, _) => {
            let key = Term { kind: other, position: key.position };
            Err(SyntaxError::plain(format!("Invalid property name: {key}{}", note(&key))))
        }
    }
}
