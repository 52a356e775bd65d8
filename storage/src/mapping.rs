//! Columns of files and log segments that come from elsewhere, mapped to a table's by their names:
//! the same column may have another number there.

use crate::sstable::statistics::{DroppedColumn, StoredColumn};
use dodona_types::codec::DecodeError;
use dodona_types::mutation::Fragment;
use dodona_types::row::{RowBuilder, RowView};
use dodona_types::{ClusteringSlice, ColumnId, MutationBuilder, MutationView, RowItem, TableId};
use std::collections::BTreeMap;

/// The table that columns are mapped to.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Keyspace and name, for people.
    pub name: &'a str,
    /// Its columns.
    pub columns: &'a [StoredColumn],
    /// Columns that were dropped.
    pub dropped: &'a [DroppedColumn],
}

/// What becomes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    /// Its number in the table; none if the table has dropped it.
    column: Option<ColumnId>,
    /// What was written to it up to then, in microseconds, is left out.
    hidden_until: i64,
}

/// How columns from elsewhere become a table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    targets: BTreeMap<u32, Target>,
    is_identity: bool,
}

impl Mapping {
    /// Maps columns to those of a table. `same_table` says that they are of a table with the same id: a column
    /// of a key may have been renamed there since, and need not say what it is for.
    ///
    /// # Errors
    /// What does not fit, for people.
    pub fn new(from: &[StoredColumn], to: Known<'_>, same_table: bool) -> Result<Self, String> {
        let mut targets = BTreeMap::new();
        for column in from {
            targets.insert(column.id, target(column, from, to, same_table)?);
        }
        let is_missing = |key: &&StoredColumn| {
            is_key(key) && !targets.values().any(|target| target.column == Some(ColumnId(key.id)))
        };
        if let Some(missing) = to.columns.iter().find(is_missing) {
            return Err(format!(
                "{} has `{}` in its primary key, and what is imported has not",
                to.name, missing.name
            ));
        }
        let is_identity = targets
            .iter()
            .all(|(id, target)| target.column == Some(ColumnId(*id)) && target.hidden_until == i64::MIN);
        Ok(Self { targets, is_identity })
    }

    /// True if nothing has to be changed.
    #[must_use]
    pub const fn is_identity(&self) -> bool {
        self.is_identity
    }

    /// Appends a row as the table has it. False if nothing is left of it.
    ///
    /// # Errors
    /// The row is malformed, or has a column that was not told of.
    pub fn row(&self, row: &RowView<'_>, out: &mut Vec<u8>) -> Result<bool, DecodeError> {
        let mut items = Vec::new();
        for item in row.items() {
            let item = item?;
            let unknown = DecodeError { offset: 0, reason: "a column that its file does not name" };
            let target = self.targets.get(&item.column().0).ok_or(unknown)?;
            let Some(column) = target.column else { continue };
            let (item, timestamp) = match item {
                RowItem::ColumnDeletion(_, deletion) => {
                    (RowItem::ColumnDeletion(column, deletion), deletion.timestamp_micros)
                }
                RowItem::Cell(mut cell) => {
                    cell.column = column;
                    (RowItem::Cell(cell), cell.timestamp_micros)
                }
            };
            if timestamp > target.hidden_until {
                items.push(item);
            }
        }
        // What is of one column stays in its order.
        items.sort_by_key(RowItem::column);
        let mut mapped = RowBuilder::new(out, row.base_timestamp(), &row.header);
        items.iter().for_each(|item| mapped.push(item));
        Ok(row.header.liveness.is_some() || !row.header.deletion.is_none() || !items.is_empty())
    }

    /// Builds a mutation as one of the table. Nothing of it may be left.
    ///
    /// # Errors
    /// It is malformed, or has a column that was not told of.
    pub fn mutation(
        &self,
        mutation: &MutationView<'_>,
        to: TableId,
        out: &mut MutationBuilder,
    ) -> Result<(), DecodeError> {
        out.begin(to, mutation.epoch, mutation.key.bytes);
        let mut mapped = Vec::new();
        for fragment in mutation.fragments() {
            match fragment? {
                Fragment::PartitionDeletion(deletion) => out.partition_deletion(deletion),
                Fragment::RangeDeletion(start, end, deletion) => {
                    let slice = ClusteringSlice { start: start.to_vec(), end: end.to_vec() };
                    out.range_deletion(&slice, deletion);
                }
                Fragment::StaticRow(row) => {
                    mapped.clear();
                    if self.row(&RowView::parse(row)?, &mut mapped)? {
                        out.encoded_row(None, &mapped);
                    }
                }
                Fragment::Row(clustering, row) => {
                    mapped.clear();
                    if self.row(&RowView::parse(row)?, &mut mapped)? {
                        out.encoded_row(Some(clustering), &mapped);
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_key(column: &StoredColumn) -> bool {
    column.role.starts_with("partition key") || column.role.starts_with("clustering")
}

fn target(
    column: &StoredColumn,
    from: &[StoredColumn],
    to: Known<'_>,
    same_table: bool,
) -> Result<Target, String> {
    let StoredColumn { name, cql_type, .. } = column;
    let dropped = to.dropped.iter().find(|dropped| dropped.name == *name);
    let hidden_until = dropped.map_or(i64::MIN, |DroppedColumn { dropped_at_micros, .. }| *dropped_at_micros);
    let gone = Target { column: None, hidden_until: i64::MAX };
    // Of those that have had a name one after another, the last has it now.
    if from.iter().any(|other| other.name == *name && other.id > column.id) {
        return Ok(gone);
    }
    let named = to.columns.iter().find(|known| known.name == *name);
    let renamed = || {
        let by_number = to.columns.iter().find(|known| same_table && known.id == column.id && is_key(known));
        by_number.filter(|known| from.iter().all(|other| other.name != known.name))
    };
    let Some(known) = named.or_else(renamed) else {
        return match dropped {
            Some(_) => Ok(gone),
            None => Err(format!(
                "{} has no column `{name}`: add it with the type {cql_type}, import, and drop it again if it is \
                 not wanted",
                to.name
            )),
        };
    };
    // Dropped, and another one of its name since: what is of the first is hidden.
    let is_present_one = same_table && known.id == column.id;
    let hidden_until = if is_present_one { i64::MIN } else { hidden_until };
    if known.cql_type != *cql_type || !fields_fit(&column.fields, &known.fields) {
        return match dropped {
            Some(_) if !is_present_one => Ok(gone),
            _ => Err(format!(
                "`{name}` is of type {} in {}, and of type {cql_type} in what is imported{}",
                known.cql_type,
                to.name,
                if known.cql_type == *cql_type { ", with other fields" } else { "" }
            )),
        };
    }
    if column.role.is_empty() && !same_table {
        return Err(format!(
            "the file was written by a version that does not note what columns are for: it can be imported \
             into the table it is from alone, and `{name}` may be another one in {}",
            to.name
        ));
    }
    if !column.role.is_empty() && column.role != known.role {
        return Err(format!(
            "`{name}` is {} in {}, and {} in what is imported",
            known.role, to.name, column.role
        ));
    }
    Ok(Target { column: Some(ColumnId(known.id)), hidden_until })
}

/// True if later fields at most were added.
fn fields_fit(from: &[String], to: &[String]) -> bool {
    let fits = |(from, to): (&String, &String)| {
        to.strip_prefix(from.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(", "))
    };
    from.len() <= to.len() && from.iter().zip(to).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::mutation::live_cell;
    use dodona_types::row::RowHeader;
    use dodona_types::{Deletion, Liveness};

    fn column(id: u32, name: &str, role: &str) -> StoredColumn {
        StoredColumn {
            id,
            name: name.into(),
            cql_type: "int".into(),
            role: role.into(),
            ..StoredColumn::default()
        }
    }

    /// A table's columns, and those that it has dropped.
    struct Table(Vec<StoredColumn>, Vec<DroppedColumn>);

    impl Table {
        fn known(&self) -> Known<'_> {
            Known { name: "ks.t", columns: &self.0, dropped: &self.1 }
        }
    }

    fn table(columns: Vec<StoredColumn>, dropped: &[(&str, i64)]) -> Table {
        let dropped = dropped.iter();
        let dropped =
            dropped.map(|(name, at)| DroppedColumn { name: (*name).into(), dropped_at_micros: *at });
        Table(columns, dropped.collect())
    }

    fn cells(row: &[u8]) -> Vec<(u32, i64)> {
        let items = RowView::validate(row).unwrap().items();
        items
            .map(|item| match item.unwrap() {
                RowItem::Cell(cell) => (cell.column.0, cell.timestamp_micros),
                RowItem::ColumnDeletion(column, deletion) => (column.0, deletion.timestamp_micros),
            })
            .collect()
    }

    #[test]
    fn columns_are_found_by_name_and_come_in_the_order_of_their_new_numbers() {
        let from = [column(0, "k", "partition key 0"), column(1, "a", "regular"), column(2, "b", "regular")];
        let to = table(
            vec![column(4, "k", "partition key 0"), column(9, "a", "regular"), column(7, "b", "regular")],
            &[],
        );
        let mapping = Mapping::new(&from, to.known(), false).unwrap();
        assert!(!mapping.is_identity());
        let mut row = Vec::new();
        let header = RowHeader { liveness: Some(Liveness::new(5)), ..RowHeader::EMPTY };
        let mut builder = RowBuilder::new(&mut row, 5, &header);
        builder.push_column_deletion(ColumnId(1), Deletion { timestamp_micros: 3, deleted_at_seconds: 1 });
        builder.push_cell(&live_cell(ColumnId(1), 6, b"x"));
        builder.push_cell(&live_cell(ColumnId(2), 7, b"y"));
        let mut out = Vec::new();
        assert!(mapping.row(&RowView::parse(&row).unwrap(), &mut out).unwrap());
        assert_eq!(cells(&out), [(7, 7), (9, 3), (9, 6)]);
        assert_eq!(RowView::parse(&out).unwrap().header, header);
        assert!(Mapping::new(&to.0, to.known(), true).unwrap().is_identity());
    }

    #[test]
    fn what_was_dropped_stays_hidden() {
        let key = || column(0, "k", "partition key 0");
        let from = [key(), column(1, "gone", "regular"), column(2, "again", "regular")];
        let to = table(vec![key(), column(5, "again", "regular")], &[("gone", 10), ("again", 10)]);
        let mapping = Mapping::new(&from, to.known(), true).unwrap();
        let mut row = Vec::new();
        let mut builder = RowBuilder::new(&mut row, 5, &RowHeader::EMPTY);
        builder.push_cell(&live_cell(ColumnId(1), 20, b"x"));
        builder.push_cell(&live_cell(ColumnId(2), 10, b"x"));
        let mut out = Vec::new();
        assert!(!mapping.row(&RowView::parse(&row).unwrap(), &mut out).unwrap(), "nothing is left");
        let mut row = Vec::new();
        RowBuilder::new(&mut row, 5, &RowHeader::EMPTY).push_cell(&live_cell(ColumnId(2), 11, b"x"));
        out.clear();
        assert!(mapping.row(&RowView::parse(&row).unwrap(), &mut out).unwrap());
        assert_eq!(cells(&out), [(5, 11)]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let key = || column(0, "k", "partition key 0");
        let says = |from: &[StoredColumn], to: &Table, same_table: bool, text: &str| {
            let error = Mapping::new(from, to.known(), same_table).unwrap_err();
            assert!(error.contains(text), "{error}");
        };
        let one = table(vec![key(), column(1, "v", "regular")], &[]);
        says(&[key(), column(2, "w", "regular")], &one, false, "has no column `w`");
        let text = StoredColumn { cql_type: "text".into(), ..column(1, "v", "regular") };
        says(&[key(), text], &one, false, "is of type int");
        says(&[key(), column(1, "v", "static")], &one, false, "is regular in ks.t, and static");
        says(&[column(1, "v", "regular")], &one, false, "has `k` in its primary key");
        let ascending = table(vec![key(), column(1, "c", "clustering 0")], &[]);
        says(&[key(), column(1, "c", "clustering 0 desc")], &ascending, true, "clustering 0 desc");
        let fields = |fields: &str| StoredColumn { fields: vec![fields.into()], ..column(1, "v", "regular") };
        let typed = table(vec![key(), fields("a int, b int")], &[]);
        says(&[key(), fields("b int, a int")], &typed, false, "with other fields");
        assert!(Mapping::new(&[key(), fields("a int")], typed.known(), false).unwrap().is_identity());
        // Files of old.
        let old = [column(0, "k", ""), column(1, "v", "")];
        says(&old, &one, false, "does not note what columns are for");
        assert!(Mapping::new(&old, one.known(), true).unwrap().is_identity());
    }

    #[test]
    fn a_column_of_the_key_may_have_been_renamed_in_the_same_table() {
        let from = [column(0, "old", "partition key 0")];
        let to = table(vec![column(0, "new", "partition key 0")], &[]);
        assert!(Mapping::new(&from, to.known(), true).unwrap().is_identity());
        assert!(Mapping::new(&from, to.known(), false).is_err());
    }
}
