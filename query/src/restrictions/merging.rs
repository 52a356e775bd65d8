//! Conditions on the same columns, in the order of the statement: which may stand together.

use super::is_slice;
use crate::ast::Operator;
use crate::error::{CqlError, invalid};
use dodona_types::schema::{Column, ColumnKind};

/// What the conditions on some columns amount to so far.
#[derive(Clone, Debug)]
struct Merged {
    columns: Vec<Column>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Equal,
    In,
    Slice { start: bool, end: bool },
    Contains,
}

impl Form {
    const fn of(operator: Operator) -> Self {
        match operator {
            Operator::In => Self::In,
            Operator::Greater | Operator::GreaterOrEqual => Self::Slice { start: true, end: false },
            Operator::Less | Operator::LessOrEqual => Self::Slice { start: false, end: true },
            Operator::Contains | Operator::ContainsKey => Self::Contains,
            _ => Self::Equal,
        }
    }

    const fn is_slice(self) -> bool {
        matches!(self, Self::Slice { .. })
    }
}

/// Takes the conditions of a statement one by one.
#[derive(Debug)]
pub(super) struct Merging {
    merged: Vec<Merged>,
    /// Rows are filtered, so that conditions on clustering columns need not lie side by side.
    allow_filtering: bool,
}

impl Merging {
    pub(super) const fn new(allow_filtering: bool) -> Self {
        Self { merged: Vec::new(), allow_filtering }
    }

    /// Takes a condition on an element of a collection.
    pub(super) fn add_element(&mut self, column: &Column) -> Result<(), CqlError> {
        self.add_form(std::slice::from_ref(column), Form::Contains)
    }

    /// Takes a condition on columns.
    pub(super) fn add(&mut self, columns: &[Column], operator: Operator) -> Result<(), CqlError> {
        let last = self.last_clustering().cloned();
        self.add_form(columns, Form::of(operator))?;
        let (Some(last), Some(first)) = (last, columns.first()) else {
            return Ok(());
        };
        if first.kind != ColumnKind::Clustering || self.allow_filtering {
            return Ok(());
        }
        let Some(last_start) = last.columns.first() else {
            return Ok(());
        };
        if last.form.is_slice() && first.position > last_start.position {
            return invalid(format!(
                "Clustering column \"{}\" cannot be restricted (preceding column \"{}\" is restricted by a non-EQ relation)",
                first.name, last_start.name
            ));
        }
        if first.position < last_start.position && is_slice(operator) {
            let after = self.clustering().filter(|column| column.position > first.position);
            let next = after.min_by_key(|column| column.position);
            return invalid(format!(
                "PRIMARY KEY column \"{}\" cannot be restricted (preceding column \"{}\" is restricted by a non-EQ relation)",
                next.map_or("", |column| &column.name),
                first.name
            ));
        }
        Ok(())
    }

    fn clustering(&self) -> impl Iterator<Item = &Column> {
        let columns = self.merged.iter().flat_map(|merged| &merged.columns);
        columns.filter(|column| column.kind == ColumnKind::Clustering)
    }

    /// The conditions on the last of the clustering columns that have any.
    fn last_clustering(&self) -> Option<&Merged> {
        let last = self.clustering().map(|column| column.position).max()?;
        self.merged.iter().find(|merged| {
            merged
                .columns
                .iter()
                .any(|column| column.kind == ColumnKind::Clustering && column.position == last)
        })
    }

    fn add_form(&mut self, columns: &[Column], form: Form) -> Result<(), CqlError> {
        let mut new = Merged { columns: columns.to_vec(), form };
        let (mut same, others): (Vec<Merged>, Vec<Merged>) =
            std::mem::take(&mut self.merged).into_iter().partition(|merged| {
                merged.columns.iter().any(|column| columns.iter().any(|other| other.id == column.id))
            });
        self.merged = others;
        same.sort_by_key(|merged| merged.columns.first().map(|column| column.position));
        for merged in same {
            new = merge(merged, new)?;
        }
        self.merged.push(new);
        Ok(())
    }
}

fn merge(before: Merged, new: Merged) -> Result<Merged, CqlError> {
    let is_common = |column: &&Column| new.columns.iter().any(|other| other.id == column.id);
    let common = before.columns.iter().filter(is_common);
    let names = common.map(|column| &*column.name).collect::<Vec<_>>().join(" ,");
    let more_than_one = |what: &str| {
        invalid(format!("{names} cannot be restricted by more than one relation if it includes {what}"))
    };
    match (before.form, new.form) {
        (Form::Equal, _) => more_than_one("an Equal"),
        (Form::In, _) => more_than_one("a IN"),
        (Form::Contains, Form::Contains) => Ok(before),
        (Form::Contains, _) => invalid(format!(
            "Collection column {names} can only be restricted by CONTAINS, CONTAINS KEY, or map-entry equality"
        )),
        (Form::Slice { start, end }, Form::Slice { start: new_start, end: new_end }) => {
            if before.columns.first().map(|column| column.id) != new.columns.first().map(|column| column.id) {
                let name = names.split(' ').next().unwrap_or_default();
                return invalid(format!(
                    "Column \"{name}\" cannot be restricted by two inequalities not starting with the same column"
                ));
            }
            for (bound, both) in [("start", start && new_start), ("end", end && new_end)] {
                if both {
                    return invalid(format!(
                        "More than one restriction was found for the {bound} bound on {names}"
                    ));
                }
            }
            let columns =
                if before.columns.len() >= new.columns.len() { before.columns } else { new.columns };
            Ok(Merged { columns, form: Form::Slice { start: start || new_start, end: end || new_end } })
        }
        (Form::Slice { .. }, _) => invalid(format!(
            "Column \"{names}\" cannot be restricted by both an equality and an inequality relation"
        )),
    }
}
