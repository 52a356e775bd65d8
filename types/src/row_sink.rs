//! The seam through which rows go from storage bytes straight into a response frame: driven by
//! `query`, implemented by `protocol`.

/// Receives the rows of a result, a value at a time, in the order of the result's columns.
pub trait RowSink {
    /// Appends the next column's value of the current row, in its wire encoding; `None` is null.
    /// The first value after [`end_row`](Self::end_row) starts the next row.
    fn value(&mut self, value: Option<&[u8]>);

    /// Appends the next column's value, made of `parts` laid end to end (so that a collection
    /// can be assembled without copying it first).
    fn value_parts(&mut self, parts: &[&[u8]]) {
        self.value(Some(&parts.concat()));
    }

    /// Ends the current row.
    fn end_row(&mut self);

    /// Bytes taken so far by the rows, to end a page by its size.
    fn bytes_written(&self) -> usize;
}

/// A sink that keeps rows as lists of values.
#[derive(Clone, Debug, Default)]
pub struct CollectedRows {
    /// The rows that have ended.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    row: Vec<Option<Vec<u8>>>,
    bytes: usize,
}

impl RowSink for CollectedRows {
    fn value(&mut self, value: Option<&[u8]>) {
        self.bytes += value.map_or(0, <[u8]>::len);
        self.row.push(value.map(<[u8]>::to_vec));
    }

    fn end_row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    fn bytes_written(&self) -> usize {
        self.bytes
    }
}
