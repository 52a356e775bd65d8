//! WHERE: which of its conditions choose partitions and rows by their keys, and which must be
//! checked row by row.

mod column;
mod filter;
mod shown;
mod tuple;

pub(crate) use column::column_of;
pub(crate) use filter::Filter;

use crate::ast::{Operand, Operator, Relation, Subject};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::keys;
use crate::term::{Expression, Receiver};
use column::{check_combinations, column_condition};
use dodona_types::key::{ABOVE, BELOW};
use dodona_types::read_command::{ClusteringSelection, PartitionRange, RangeBound};
use dodona_types::schema::{Column, ColumnKind, Table};
use dodona_types::value::{self, elements};
use dodona_types::{ClusteringSlice, CqlType, PartitionKey, Token};
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tuple::{TupleCondition, check_tuples, tuple_condition};

/// The values on the right side of a condition.
#[derive(Clone, Debug)]
pub(crate) enum Operands {
    One(Expression),
    /// `IN (a, b)`
    Many(Vec<Expression>),
    /// `IN ?`: a list of this element type.
    ListOf(Expression),
}

/// The values of operands: nearly always one, where it lies.
pub(crate) type OperandValues<'a> = SmallVec<[Cow<'a, [u8]>; 1]>;
/// Raw partition keys: nearly always one.
pub(crate) type RawKeys = SmallVec<[Vec<u8>; 1]>;

impl Operands {
    /// The values; a null or unset one is an error that names the column.
    pub(crate) fn evaluate<'a>(
        &'a self,
        binding: &'a Binding<'_>,
        column: &str,
    ) -> Result<OperandValues<'a>, CqlError> {
        match self {
            Self::One(expression) => Ok(smallvec![expression.evaluate_set(binding, column)?]),
            Self::Many(expressions) => {
                expressions.iter().map(|expression| expression.evaluate_set(binding, column)).collect()
            }
            Self::ListOf(expression) => {
                let null =
                    || CqlError::Invalid(format!("Invalid null value in condition for column {column}"));
                if binding.has_null_element(expression.marker_index()) {
                    return Err(null());
                }
                let list = match expression.evaluate(binding)? {
                    Val::Bytes(bytes) => bytes,
                    Val::Null => return invalid(format!("Invalid null value for column {column}")),
                    Val::Unset => return invalid(format!("Invalid unset value for column {column}")),
                };
                elements(&list)
                    .map(|element| element.map(|element| Cow::Owned(element.to_vec())))
                    .collect::<Option<_>>()
                    .ok_or_else(null)
            }
        }
    }
}

/// A condition on one column.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) column: Column,
    pub(crate) operator: Operator,
    pub(crate) operands: Operands,
    /// `column[key]`
    pub(crate) element: Option<Expression>,
}

/// The conditions of a WHERE clause, by what they are good for.
#[derive(Clone, Debug)]
pub(crate) struct Restrictions {
    table: Arc<Table>,
    /// On every column of the partition key: = or IN.
    partition: Option<Vec<Condition>>,
    token: Vec<(Operator, Expression)>,
    /// = or IN on the first clustering columns.
    clustering: Vec<Condition>,
    /// <, <=, > or >= on the clustering column that follows them.
    clustering_slice: Vec<Condition>,
    tuples: Vec<TupleCondition>,
    /// Checked row by row.
    pub(crate) filters: Vec<Condition>,
}

/// What a WHERE clause is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Select {
        allow_filtering: bool,
    },
    /// Of a statement of this kind, as messages name it.
    Modify(&'static str),
}

impl Restrictions {
    /// Sorts the relations of a WHERE clause.
    pub(crate) fn prepare(
        context: &mut Context<'_>,
        table: &Arc<Table>,
        relations: &[Relation],
        purpose: Purpose,
    ) -> Result<Self, CqlError> {
        let mut all = Self {
            table: Arc::clone(table),
            partition: None,
            token: Vec::new(),
            clustering: Vec::new(),
            clustering_slice: Vec::new(),
            tuples: Vec::new(),
            filters: Vec::new(),
        };
        let mut by_column: BTreeMap<Arc<str>, Vec<Condition>> = BTreeMap::new();
        for relation in relations {
            if relation.operator == Operator::NotEqual {
                return invalid(format!("Unsupported \"!=\" relation: {}", shown::relation(relation)));
            }
            if let Purpose::Modify(kind) = purpose {
                if matches!(relation.operator, Operator::Contains | Operator::ContainsKey) {
                    return invalid(format!("Cannot use {kind} with {}", relation.operator.text()));
                }
                if matches!(relation.subject, Subject::Token(_)) {
                    return invalid(format!(
                        "The token function cannot be used in WHERE clauses for {kind} statements"
                    ));
                }
            }
            match &relation.subject {
                Subject::Column(name) => {
                    let condition = column_condition(context, table, relation, name, None)?;
                    by_column.entry(Arc::clone(&condition.column.name)).or_default().push(condition);
                }
                Subject::Element(name, key) => {
                    let condition = column_condition(context, table, relation, name, Some(key))?;
                    all.filters.push(condition);
                }
                Subject::Tuple(names) => all.tuples.push(tuple_condition(context, table, relation, names)?),
                Subject::Token(names) => all.token_condition(context, relation, names)?,
                Subject::Expression(_) => return invalid("Custom index expressions are not supported yet"),
            }
        }
        check_combinations(&by_column)?;
        check_tuples(&all.tuples)?;
        all.check_tokens()?;
        all.take_partition(&mut by_column)?;
        all.take_clustering(&mut by_column)?;
        all.filters.extend(by_column.into_values().flatten());
        all.check(purpose)?;
        Ok(all)
    }

    fn token_condition(
        &mut self,
        context: &mut Context<'_>,
        relation: &Relation,
        names: &[String],
    ) -> Result<(), CqlError> {
        let expected: Vec<&str> = self.table.partition_key().map(|column| &*column.name).collect();
        for name in names {
            if column_of(&self.table, name)?.kind != ColumnKind::PartitionKey && names.len() > expected.len()
            {
                return invalid("The token() function must contains only partition key components");
            }
        }
        if names.iter().map(String::as_str).ne(expected.iter().copied()) {
            let is_permutation = names.len() == expected.len()
                && expected.iter().all(|name| names.iter().any(|given| given == name));
            if is_permutation {
                return invalid(format!(
                    "The token function arguments must be in the partition key order: {}",
                    expected.join(", ")
                ));
            }
            return invalid(
                "The token() function must be applied to all partition key components or none of them",
            );
        }
        let Operand::One(term) = &relation.operand else {
            return invalid(format!("{} cannot be used with the token function", relation.operator.text()));
        };
        let receiver = Receiver::new("partition key token", CqlType::Bigint);
        let expression = Expression::prepare(context, term, &receiver)?;
        match relation.operator {
            Operator::Equal
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual => {
                self.token.push((relation.operator, expression));
                Ok(())
            }
            other => invalid(format!("{} cannot be used with the token function", other.text())),
        }
    }

    /// Refuses conditions on the token that cannot stand together.
    fn check_tokens(&self) -> Result<(), CqlError> {
        let [_, _, ..] = self.token.as_slice() else { return Ok(()) };
        let names = self.table.partition_key().map(|column| &*column.name).collect::<Vec<_>>().join(", ");
        let count =
            |test: fn(Operator) -> bool| self.token.iter().filter(|(operator, _)| test(*operator)).count();
        if count(|operator| operator == Operator::Equal) > 0 {
            return invalid(format!(
                "{names} cannot be restricted by more than one relation if it includes an Equal"
            ));
        }
        for (bound, test) in [
            (
                "start",
                (|operator| matches!(operator, Operator::Greater | Operator::GreaterOrEqual)) as fn(_) -> _,
            ),
            ("end", |operator| matches!(operator, Operator::Less | Operator::LessOrEqual)),
        ] {
            if count(test) > 1 {
                return invalid(format!(
                    "More than one restriction was found for the {bound} bound on {names}"
                ));
            }
        }
        Ok(())
    }

    fn take_partition(&mut self, by_column: &mut BTreeMap<Arc<str>, Vec<Condition>>) -> Result<(), CqlError> {
        let table = Arc::clone(&self.table);
        let exact = |column: &Column| {
            by_column.get(&column.name).is_some_and(|conditions| {
                matches!(conditions.as_slice(), [Condition { operator: Operator::Equal | Operator::In, .. }])
            })
        };
        if table.partition_key().all(exact) {
            let conditions = table.partition_key().filter_map(|column| by_column.remove(&column.name));
            self.partition = Some(conditions.flatten().collect());
        }
        Ok(())
    }

    fn take_clustering(
        &mut self,
        by_column: &mut BTreeMap<Arc<str>, Vec<Condition>>,
    ) -> Result<(), CqlError> {
        if let Some(tuple) = self.tuples.first() {
            // Conditions on the columns before the tuple's first are taken, and slices of the first.
            let first = tuple.columns.first().map_or(0, |column| column.position);
            let is_clash = |column: &&Column| {
                by_column.get(&column.name).is_some_and(|conditions| {
                    column.position > first
                        || (column.position == first
                            && !(is_slice(tuple.operator)
                                && conditions.iter().all(|condition| is_slice(condition.operator))))
                })
            };
            if let Some(column) = self.table.clustering_key().find(is_clash) {
                return invalid(format!(
                    "{} cannot be restricted by more than one relation if it includes an Equal",
                    column.name
                ));
            }
        }
        let table = Arc::clone(&self.table);
        for column in table.clustering_key() {
            let Some(conditions) = by_column.get(&column.name) else {
                break;
            };
            let exact =
                matches!(conditions.as_slice(), [Condition { operator: Operator::Equal | Operator::In, .. }]);
            let slice = conditions.iter().all(|condition| is_slice(condition.operator));
            if !exact && !slice {
                break;
            }
            let conditions = by_column.remove(&column.name).unwrap_or_default();
            if slice {
                self.clustering_slice = conditions;
                break;
            }
            self.clustering.extend(conditions);
        }
        if let Some(tuple) = self.tuples.first() {
            let first = tuple.columns.first().map_or(0, |column| usize::from(column.position));
            if first != self.clustering.len() {
                let missing = self.table.clustering_key().nth(self.clustering.len());
                return invalid(format!(
                    "PRIMARY KEY column \"{}\" cannot be restricted as preceding column \"{}\" is not restricted",
                    tuple.columns.first().map_or("", |column| &column.name),
                    missing.map_or("", |column| &column.name)
                ));
            }
        }
        Ok(())
    }

    fn check(&self, purpose: Purpose) -> Result<(), CqlError> {
        match purpose {
            Purpose::Modify(kind) => self.check_modify(kind),
            Purpose::Select { allow_filtering } => self.check_select(allow_filtering),
        }
    }

    fn check_modify(&self, kind: &str) -> Result<(), CqlError> {
        let missing: Vec<&str> = match &self.partition {
            Some(_) => Vec::new(),
            None => self
                .table
                .partition_key()
                .filter(|column| !self.filters.iter().any(|condition| condition.column.id == column.id))
                .map(|column| &*column.name)
                .collect(),
        };
        if !missing.is_empty() {
            return invalid(format!("Some partition key parts are missing: {}", missing.join(", ")));
        }
        if self.partition.is_none() {
            return invalid(format!(
                "Only EQ and IN relation are supported on the partition key (unless you use the token() function) for {kind} statements"
            ));
        }
        if let Some(filter) = self.filters.first() {
            if filter.column.kind == ColumnKind::Clustering {
                if kind != "DELETE" {
                    let missing: Vec<&str> = self
                        .table
                        .clustering_key()
                        .skip(self.clustering.len())
                        .filter(|column| !self.filters.iter().any(|filter| filter.column.id == column.id))
                        .map(|column| &*column.name)
                        .collect();
                    return invalid(format!("Some clustering keys are missing: {}", missing.join(", ")));
                }
                return self.not_contiguous(filter);
            }
            return invalid(format!(
                "Non PRIMARY KEY columns found in where clause: {} ",
                filter.column.name
            ));
        }
        Ok(())
    }

    fn check_select(&self, allow_filtering: bool) -> Result<(), CqlError> {
        const FILTERING: &str = "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING";
        let scans = self.partition.is_none()
            && (!self.clustering.is_empty() || !self.clustering_slice.is_empty() || !self.tuples.is_empty());
        if allow_filtering || (self.filters.is_empty() && !scans) {
            return Ok(());
        }
        if let Some(filter) = self.filters.iter().find(|filter| filter.column.kind == ColumnKind::Clustering)
            && self.partition.is_some()
        {
            let is_exact = |column: &Column| self.clustering.iter().any(|other| other.column.id == column.id);
            if self.table.clustering_key().any(|key| key.position < filter.column.position && !is_exact(key))
            {
                return self.not_contiguous(filter);
            }
        }
        invalid(FILTERING)
    }

    /// The error of a condition on a clustering column whose rows lie in several places.
    fn not_contiguous(&self, filter: &Condition) -> Result<(), CqlError> {
        let name = &filter.column.name;
        if let Some(slice) = self.clustering_slice.first() {
            return invalid(format!(
                "Clustering column \"{name}\" cannot be restricted (preceding column \"{}\" is restricted by a non-EQ relation)",
                slice.column.name
            ));
        }
        let missing = self.table.clustering_key().nth(self.clustering.len());
        invalid(format!(
            "PRIMARY KEY column \"{name}\" cannot be restricted as preceding column \"{}\" is not restricted",
            missing.map_or("", |column| &column.name)
        ))
    }

    /// The condition that names whole rows, together with those on single columns before it.
    fn exact_tuple(&self) -> Option<&TupleCondition> {
        let tuple = self.tuples.first()?;
        let names_rows = !is_slice(tuple.operator)
            && self.clustering.len() + tuple.columns.len() == self.table.clustering_key().count();
        names_rows.then_some(tuple)
    }

    /// True if one value is given for every column of the partition key.
    pub(crate) fn is_one_partition(&self) -> bool {
        self.partition
            .as_ref()
            .is_some_and(|partition| partition.iter().all(|condition| condition.operator == Operator::Equal))
    }

    /// True with a condition on the partition key's columns or their token.
    pub(crate) fn restricts_partition_key(&self) -> bool {
        self.partition.is_some()
            || !self.token.is_empty()
            || self.filters.iter().any(|filter| filter.column.kind == ColumnKind::PartitionKey)
    }

    /// True if a column of the partition key has IN.
    pub(crate) fn has_partition_in(&self) -> bool {
        self.partition.iter().flatten().any(|condition| condition.operator == Operator::In)
    }

    /// True if the partitions are given by their keys.
    pub(crate) const fn has_partition_keys(&self) -> bool {
        self.partition.is_some()
    }

    /// True without a condition on clustering columns.
    pub(crate) fn is_whole_partition(&self) -> bool {
        self.clustering.is_empty()
            && self.clustering_slice.is_empty()
            && self.tuples.is_empty()
            && !self.filters.iter().any(|filter| filter.column.kind == ColumnKind::Clustering)
    }

    /// True if every clustering column has = or IN.
    pub(crate) fn names_whole_clustering(&self) -> bool {
        self.clustering.len() == self.table.clustering_key().count() || self.exact_tuple().is_some()
    }

    /// True if a clustering column has <, <=, > or >=.
    pub(crate) const fn has_clustering_slice(&self) -> bool {
        !self.clustering_slice.is_empty() || !self.tuples.is_empty()
    }

    /// True with a condition on a clustering column that reads can use.
    pub(crate) const fn restricts_clustering(&self) -> bool {
        !self.clustering.is_empty() || self.has_clustering_slice()
    }

    /// The number of clustering columns with = or IN.
    pub(crate) const fn exact_clustering_columns(&self) -> usize {
        self.clustering.len()
    }

    /// True if a column has = with one value.
    pub(crate) fn is_fixed(&self, column: &Column) -> bool {
        let all = self.partition.iter().flatten().chain(&self.clustering);
        all.into_iter()
            .any(|condition| condition.column.id == column.id && condition.operator == Operator::Equal)
    }

    /// The places of the partition key's columns among the markers, if all are given by markers.
    pub(crate) fn partition_key_markers(&self) -> Option<Vec<u16>> {
        self.partition
            .as_ref()?
            .iter()
            .map(|condition| match &condition.operands {
                Operands::One(Expression::Marker(index, _)) => u16::try_from(*index).ok(),
                _ => None,
            })
            .collect()
    }

    /// The client's bytes of a clustering key that is given whole, where they must be kept.
    pub(crate) fn originals(&self, binding: &Binding<'_>) -> Result<Option<Vec<u8>>, CqlError> {
        let is_lossless = |column: &Column| dodona_types::comparable::is_lossless(&column.cql_type);
        if self.table.clustering_key().all(is_lossless) {
            return Ok(None);
        }
        if let Some(tuple) = self.exact_tuple() {
            return self.originals_of_tuple(tuple, binding);
        }
        let mut components = Vec::with_capacity(self.clustering.len());
        for condition in &self.clustering {
            components.push((
                &condition.column,
                condition.operands.evaluate(binding, &condition.column.name)?.swap_remove(0),
            ));
        }
        Ok(keys::originals(components.iter().map(|(column, wire)| (*column, &**wire))))
    }

    fn originals_of_tuple(
        &self,
        tuple: &TupleCondition,
        binding: &Binding<'_>,
    ) -> Result<Option<Vec<u8>>, CqlError> {
        let mut components: Vec<(&Column, Cow<'_, [u8]>)> = Vec::new();
        for condition in &self.clustering {
            let mut values = condition.operands.evaluate(binding, &condition.column.name)?;
            components.push((&condition.column, values.swap_remove(0)));
        }
        let values = tuple.values(binding)?;
        let parts = values.first().map_or(Ok(Vec::new()), |value| tuple.parts(value))?;
        components.extend(tuple.columns.iter().zip(parts.into_iter().map(Cow::Borrowed)));
        Ok(keys::originals(components.iter().map(|(column, wire)| (*column, &**wire))))
    }

    /// The raw keys of the partitions, where they are given; without repetition, in the order of
    /// their components.
    pub(crate) fn partition_keys(&self, binding: &Binding<'_>) -> Result<RawKeys, CqlError> {
        let Some(conditions) = &self.partition else {
            return Ok(RawKeys::new());
        };
        let is_alone = conditions.len() == 1;
        let mut keys: RawKeys = smallvec![Vec::new()];
        for condition in conditions {
            let mut values = condition.operands.evaluate(binding, &condition.column.name)?;
            if values.len() > 1 {
                let ty = &condition.column.cql_type;
                values.sort_by(|a, b| value::compare(ty, a, b));
                values.dedup_by(|a, b| value::compare(ty, a, b).is_eq());
            }
            keys = product(keys, &values, |value, key| {
                keys::put_key_component(value, is_alone, key);
                Ok(())
            })?;
        }
        keys.iter().try_for_each(|key| keys::check_partition_key(key))?;
        if !self.token.is_empty() {
            let range = self.partition_range(binding)?;
            keys.retain(|key| range.as_ref().is_some_and(|range| range_has(range, Token::of_key(key))));
        }
        Ok(keys)
    }

    /// The range of partitions, where keys are not given.
    pub(crate) fn partition_range(&self, binding: &Binding<'_>) -> Result<Option<PartitionRange>, CqlError> {
        let mut range = PartitionRange::all();
        for (operator, expression) in &self.token {
            let bytes = match expression.evaluate(binding)? {
                Val::Bytes(bytes) => bytes,
                Val::Null => return invalid("Invalid null token value"),
                Val::Unset => return invalid("Invalid unset token value"),
            };
            let token = Token(bytes.as_ref().try_into().map(i64::from_be_bytes).unwrap_or(i64::MIN));
            match operator {
                Operator::Equal => {
                    tighten_start(&mut range, token, true);
                    tighten_end(&mut range, token, true);
                }
                Operator::Greater => tighten_start(&mut range, token, false),
                Operator::GreaterOrEqual => tighten_start(&mut range, token, true),
                Operator::Less if token == Token::MIN => {}
                Operator::LessOrEqual if token == Token::MIN => {}
                Operator::Less => tighten_end(&mut range, token, false),
                _ => tighten_end(&mut range, token, true),
            }
        }
        let empty = matches!((&range.start, &range.end), (RangeBound::Token(start, _), RangeBound::Token(end, _)) if start > end);
        Ok((!empty).then_some(range))
    }

    /// The rows of each partition.
    pub(crate) fn clustering_selection(
        &self,
        binding: &Binding<'_>,
    ) -> Result<ClusteringSelection, CqlError> {
        let mut prefixes: RawKeys = smallvec![Vec::new()];
        for condition in &self.clustering {
            let values = condition.operands.evaluate(binding, &condition.column.name)?;
            prefixes = product(prefixes, &values, |value, prefix| {
                keys::put_component(&condition.column, value, prefix)
            })?;
            if prefixes.len() > MAX_COMBINATIONS {
                return invalid(too_many_combinations(prefixes.len()));
            }
        }
        if let Some(tuple) = self.exact_tuple() {
            let values = tuple.values(binding)?;
            let mut names = Vec::with_capacity(prefixes.len() * values.len());
            for prefix in &prefixes {
                for value in &values {
                    let mut name = tuple.encode(prefix, value)?;
                    keys::end_clustering(&mut name);
                    names.push(name);
                }
            }
            names.sort_unstable();
            names.dedup();
            return Ok(ClusteringSelection::Names(names));
        }
        if self.names_whole_clustering() && !self.clustering.is_empty() && self.tuples.is_empty() {
            prefixes.iter_mut().for_each(keys::end_clustering);
            prefixes.sort_unstable();
            prefixes.dedup();
            return Ok(ClusteringSelection::Names(prefixes.into_vec()));
        }
        let mut slices = Vec::with_capacity(prefixes.len());
        for prefix in prefixes {
            self.slices_of(&prefix, binding, &mut slices)?;
        }
        slices.sort_unstable();
        slices.dedup();
        Ok(ClusteringSelection::Slices(slices))
    }

    fn slices_of(
        &self,
        prefix: &[u8],
        binding: &Binding<'_>,
        out: &mut Vec<ClusteringSlice>,
    ) -> Result<(), CqlError> {
        let bound = |bytes: &[u8], end: u8| [bytes, &[end]].concat();
        if let Some(tuple) =
            self.tuples.iter().find(|tuple| matches!(tuple.operator, Operator::Equal | Operator::In))
        {
            for value in tuple.values(binding)? {
                let point = tuple.encode(prefix, &value)?;
                out.push(ClusteringSlice { start: bound(&point, BELOW), end: bound(&point, ABOVE) });
            }
            return Ok(());
        }
        let whole = if prefix.is_empty() {
            ClusteringSlice::all()
        } else {
            ClusteringSlice { start: bound(prefix, BELOW), end: bound(prefix, ABOVE) }
        };
        let mut slice = whole;
        for condition in &self.clustering_slice {
            let value = condition.operands.evaluate(binding, &condition.column.name)?.swap_remove(0);
            let mut point = prefix.to_vec();
            keys::put_component(&condition.column, &value, &mut point)?;
            narrow(&mut slice, &point, condition.operator, condition.column.descending);
        }
        let mut slices = vec![slice];
        for tuple in &self.tuples {
            let value = tuple.values(binding)?.swap_remove(0);
            slices = tuple.narrow(prefix, &value, &slices)?;
        }
        out.extend(slices.into_iter().filter(|slice| !slice.is_empty()));
        Ok(())
    }
}

const MAX_COMBINATIONS: usize = 100;

fn too_many_combinations(count: usize) -> String {
    format!(
        "The query cannot be completed because it selects {count} combinations of clustering columns - the maximum allowed is {MAX_COMBINATIONS}"
    )
}

/// Every prefix with every value behind it.
fn product(
    mut prefixes: RawKeys,
    values: &[Cow<'_, [u8]>],
    put: impl Fn(&[u8], &mut Vec<u8>) -> Result<(), CqlError>,
) -> Result<RawKeys, CqlError> {
    if let [value] = values {
        prefixes.iter_mut().try_for_each(|prefix| put(value, prefix))?;
        return Ok(prefixes);
    }
    let mut longer = RawKeys::with_capacity(prefixes.len() * values.len());
    for prefix in &prefixes {
        for value in values {
            let mut prefix = prefix.clone();
            put(value, &mut prefix)?;
            longer.push(prefix);
        }
    }
    Ok(longer)
}

const fn is_slice(operator: Operator) -> bool {
    matches!(operator, Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual)
}

fn narrow(slice: &mut ClusteringSlice, point: &[u8], operator: Operator, descending: bool) {
    let (ends, byte) = match (operator, descending) {
        (Operator::Greater, false) => (false, ABOVE),
        (Operator::GreaterOrEqual, false) => (false, BELOW),
        (Operator::Less, false) => (true, BELOW),
        (Operator::LessOrEqual, false) => (true, ABOVE),
        (Operator::Greater, true) => (true, BELOW),
        (Operator::GreaterOrEqual, true) => (true, ABOVE),
        (Operator::Less, true) => (false, ABOVE),
        _ => (false, BELOW),
    };
    let bound = [point, &[byte]].concat();
    if ends {
        slice.end = std::mem::take(&mut slice.end).min(bound);
    } else {
        slice.start = std::mem::take(&mut slice.start).max(bound);
    }
}

fn tighten_start(range: &mut PartitionRange, token: Token, inclusive: bool) {
    let tighter = match &range.start {
        RangeBound::Token(present, was_inclusive) => (token, !inclusive) > (*present, !*was_inclusive),
        _ => true,
    };
    if tighter {
        range.start = RangeBound::Token(token, inclusive);
    }
}

fn tighten_end(range: &mut PartitionRange, token: Token, inclusive: bool) {
    let tighter = match &range.end {
        RangeBound::Token(present, was_inclusive) => (token, inclusive) < (*present, *was_inclusive),
        _ => true,
    };
    if tighter {
        range.end = RangeBound::Token(token, inclusive);
    }
}

fn range_has(range: &PartitionRange, token: Token) -> bool {
    let after_start = match &range.start {
        RangeBound::Token(start, inclusive) => token > *start || (*inclusive && token == *start),
        _ => true,
    };
    let before_end = match &range.end {
        RangeBound::Token(end, inclusive) => token < *end || (*inclusive && token == *end),
        _ => true,
    };
    after_start && before_end
}

/// The partition key of raw bytes.
pub(crate) fn key_of(raw: Vec<u8>) -> PartitionKey {
    PartitionKey::new(raw.into())
}
