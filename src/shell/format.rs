//! Tables of rows, laid out as cqlsh does.

use super::client::Page;
use dodona_types::CqlType;
use dodona_types::value::wire_to_literal;
use std::fmt::Write;

/// The column in which DESCRIBE gives the text of a definition.
const DEFINITION: &str = "create_statement";

/// True if the page is the text of definitions, not rows.
pub(super) fn is_text(page: &Page) -> bool {
    page.columns.iter().any(|column| &*column.name == DEFINITION)
}

/// The text of definitions.
pub(super) fn text(page: &Page) -> String {
    let place = page.columns.iter().position(|column| &*column.name == DEFINITION).unwrap_or(0);
    let mut out = String::new();
    for row in &page.rows {
        if let Some(Some(bytes)) = row.get(place) {
            // Writing to a string does not fail.
            let _ = write!(out, "\n{}\n", String::from_utf8_lossy(bytes));
        }
    }
    out.push('\n');
    out
}

/// Columns beside one another.
pub(super) fn table(page: &Page) -> String {
    let (names, rows) = cells(page);
    let widths: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(place, name)| rows.iter().map(|row| width(&row[place])).fold(width(name), usize::max))
        .collect();
    let header = names.iter().zip(&widths).map(|(name, width)| pad(name, *width, false)).collect::<Vec<_>>();
    let mut out = format!("\n {}\n", header.join(" | ").trim_end());
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let _ = writeln!(out, "-{}-", rules.join("-+-"));
    for row in &rows {
        let line = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width, true)).collect::<Vec<_>>();
        let _ = writeln!(out, " {}", line.join(" | "));
    }
    out
}

/// A line for each value.
pub(super) fn vertical(page: &Page, rows_before: usize) -> String {
    let (names, rows) = cells(page);
    let name_width = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let value_width = rows.iter().flatten().map(|value| width(value)).max().unwrap_or(0);
    let mut out = String::from("\n");
    for (number, row) in rows.iter().enumerate() {
        let _ = writeln!(out, "@ Row {}", rows_before + number + 1);
        let _ = writeln!(out, "-{}-+-{}-", "-".repeat(name_width), "-".repeat(value_width));
        for (name, value) in names.iter().zip(row) {
            let _ = writeln!(out, " {} | {value}", pad(name, name_width, false));
        }
        out.push('\n');
    }
    out
}

/// The names of the columns, and every row's values as text.
fn cells(page: &Page) -> (Vec<String>, Vec<Vec<String>>) {
    let names = page.columns.iter().map(|column| column.name.to_string()).collect();
    let rows = page.rows.iter().map(|row| {
        let values = page.columns.iter().zip(row);
        values.map(|(column, value)| value_text(&column.cql_type, value.as_deref())).collect()
    });
    (names, rows.collect())
}

/// A value for people: as its literal, but text is not quoted.
fn value_text(cql_type: &CqlType, value: Option<&[u8]>) -> String {
    let Some(bytes) = value else { return "null".into() };
    match (cql_type, bytes) {
        (CqlType::Boolean, [0]) => return "False".into(),
        (CqlType::Boolean, [_]) => return "True".into(),
        (_, []) => return String::new(),
        _ => {}
    }
    let literal = match wire_to_literal(cql_type, value) {
        Ok(literal) => literal,
        Err(error) => return format!("<{error}>"),
    };
    if *cql_type == CqlType::Timestamp {
        // As cqlsh: 2026-01-02 03:04:05.000000+0000.
        return literal.trim_matches('\'').replace('T', " ").replace('Z', "000+0000");
    }
    match literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(text) => text.replace("''", "'").replace('\n', "\\n"),
        None => literal,
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn pad(text: &str, to: usize, left: bool) -> String {
    let blanks = " ".repeat(to.saturating_sub(width(text)));
    if left { blanks + text } else { text.to_owned() + &blanks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_protocol::ColumnSpec;

    fn page() -> Page {
        let column = |name: &str, cql_type| ColumnSpec {
            keyspace: "ks".into(),
            table: "t".into(),
            name: name.into(),
            cql_type,
        };
        let row = |number: i32, text: Option<&str>| {
            vec![Some(number.to_be_bytes().to_vec()), text.map(|text| text.as_bytes().to_vec())]
        };
        Page {
            columns: vec![column("id", CqlType::Int), column("name", CqlType::Text)],
            rows: vec![row(1, Some("it's")), row(200, None)],
            paging_state: None,
        }
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "\n id  | name\n-----+------\n   1 | it's\n 200 | null\n";
        assert_eq!(table(&page()), expected);
    }

    #[test]
    fn expanded_rows_have_a_line_for_each_value() {
        let text = vertical(&page(), 10);
        assert!(
            text.starts_with("\n@ Row 11\n------+------\n id   | 1\n name | it's\n\n@ Row 12\n"),
            "{text}"
        );
    }

    #[test]
    fn definitions_are_printed_as_they_are() {
        let mut page = page();
        page.columns[1].name = DEFINITION.into();
        assert!(is_text(&page));
        assert_eq!(text(&page), "\nit's\n\n");
    }
}
