//! RESULT of kind Rows, as a client reads it.

use super::metadata::{flag, read_columns};
use super::{ColumnSpec, ResultMetadata};
use crate::error::DecodeError;
use crate::primitives::Reader;
use crate::version::Version;

/// The least bytes of a value: its length.
const MIN_CELL_BYTES: usize = 4;

/// Metadata of a page of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsMetadata<'a> {
    /// How many columns each row has.
    pub column_count: usize,
    /// The columns, unless the client asked to skip them.
    pub columns: Option<ResultMetadata>,
    /// There are more pages, after this position.
    pub paging_state: Option<&'a [u8]>,
    /// The metadata is not what the client said it has; its id now (version 5).
    pub new_metadata_id: Option<&'a [u8]>,
}

impl<'a> RowsMetadata<'a> {
    /// Decodes the metadata.
    ///
    /// # Errors
    /// If it is malformed.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let flags = reader.int()?;
        let column_count = reader.length()?;
        let paging_state = if flags & flag::HAS_MORE_PAGES == 0 { None } else { reader.bytes()? };
        let changed = version >= Version::V5 && flags & flag::METADATA_CHANGED != 0;
        let new_metadata_id = if changed { Some(reader.short_bytes()?) } else { None };
        let columns = if flags & flag::NO_METADATA == 0 {
            Some(Self::columns(reader, column_count, flags)?)
        } else {
            None
        };
        Ok(Self { column_count, columns, paging_state, new_metadata_id })
    }

    fn columns(reader: &mut Reader<'a>, count: usize, flags: i32) -> Result<ResultMetadata, DecodeError> {
        let columns: Vec<ColumnSpec> = read_columns(reader, count, flags & flag::GLOBAL_TABLES_SPEC != 0)?;
        Ok(ResultMetadata { columns })
    }
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<'a> {
    /// What the columns are, and where the next page starts.
    pub metadata: RowsMetadata<'a>,
    /// How many rows there are.
    pub row_count: usize,
    /// The values, row after row.
    content: &'a [u8],
}

impl<'a> Rows<'a> {
    /// Decodes the page. The values are left as they are.
    ///
    /// # Errors
    /// If it is malformed.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let metadata = RowsMetadata::decode(reader, version)?;
        let row_count = reader.length()?;
        reader.expect_elements(row_count.saturating_mul(metadata.column_count), MIN_CELL_BYTES)?;
        Ok(Self { metadata, row_count, content: reader.rest() })
    }

    /// All values, row after row.
    #[must_use]
    pub const fn cells(&self) -> Cells<'a> {
        Cells {
            reader: Reader::new(self.content),
            left: self.row_count.saturating_mul(self.metadata.column_count),
        }
    }
}

/// Iterator over the values of a page, row after row; `None` is null. Ends after an error.
#[derive(Clone, Debug)]
pub struct Cells<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for Cells<'a> {
    type Item = Result<Option<&'a [u8]>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let cell = self.reader.bytes();
        if cell.is_err() {
            self.left = 0;
        }
        Some(cell)
    }
}
