//! The partitions and rows that conditions choose, once their values are known.

use super::{Exact, RawKeys, Restrictions, narrow};
use crate::ast::Operator;
use crate::binding::{Binding, Val};
use crate::error::{CqlError, invalid};
use crate::keys;
use dodona_types::key::{ABOVE, BELOW};
use dodona_types::read_command::{ClusteringSelection, PartitionRange, RangeBound};
use dodona_types::schema::Column;
use dodona_types::value;
use dodona_types::{ClusteringSlice, Token};
use smallvec::smallvec;
use std::borrow::Cow;

impl Restrictions {
    /// The client's bytes of a clustering key that is given whole, where they must be kept.
    pub(crate) fn originals(&self, binding: &Binding<'_>) -> Result<Option<Vec<u8>>, CqlError> {
        let is_lossless = |column: &Column| dodona_types::comparable::is_lossless(&column.cql_type);
        if self.table.clustering_key().all(is_lossless) {
            return Ok(None);
        }
        let mut components: Vec<(&Column, Cow<'_, [u8]>)> = Vec::new();
        for exact in &self.clustering {
            match exact {
                Exact::One(condition) => {
                    let mut values = condition.operands.evaluate(binding, &condition.column.name)?;
                    components.push((&condition.column, values.swap_remove(0)));
                }
                Exact::Tuple(tuple) => {
                    let value = tuple.values(binding)?.swap_remove(0);
                    let parts = tuple.parts(&value)?.into_iter();
                    let parts = parts.map(|part| Cow::Owned(part.to_vec()));
                    components.extend(tuple.columns.iter().zip(parts));
                }
            }
        }
        Ok(keys::originals(components.iter().map(|(column, wire)| (*column, &**wire))))
    }

    /// The raw keys of the partitions, where they are given; without repetition, in the order of
    /// their components.
    pub(crate) fn partition_keys(&self, binding: &Binding<'_>) -> Result<RawKeys, CqlError> {
        let keys = self.unchecked_partition_keys(binding)?;
        keys.iter().try_for_each(|key| keys::check_partition_key(key))?;
        Ok(keys)
    }

    /// The same, of which some may be empty or too long.
    pub(crate) fn unchecked_partition_keys(&self, binding: &Binding<'_>) -> Result<RawKeys, CqlError> {
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
        binding.guard.combinations("partition key", keys.len())?;
        if !self.token.is_empty() {
            let range = self.token_range(binding)?;
            keys.retain(|key| range_has(&range, Token::of_key(key)));
        }
        Ok(keys)
    }

    /// The range of partitions, where keys are not given; none if it begins behind its end.
    pub(crate) fn partition_range(&self, binding: &Binding<'_>) -> Result<Option<PartitionRange>, CqlError> {
        let range = self.token_range(binding)?;
        Ok(Some(range).filter(|range| !is_reversed(range)))
    }

    fn token_range(&self, binding: &Binding<'_>) -> Result<PartitionRange, CqlError> {
        let mut range = PartitionRange::all();
        for (operator, expression) in &self.token {
            let bytes = match expression.evaluate(binding)? {
                Val::Bytes(bytes) => bytes,
                Val::Null => return invalid("Invalid null token value"),
                Val::Unset => return invalid("Invalid unset token value"),
            };
            let Ok(token) = bytes.as_ref().try_into().map(i64::from_be_bytes).map(Token) else {
                return invalid("Invalid empty token value");
            };
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
        Ok(range)
    }

    /// The rows of each partition.
    pub(crate) fn clustering_selection(
        &self,
        binding: &Binding<'_>,
    ) -> Result<ClusteringSelection, CqlError> {
        let mut prefixes: RawKeys = smallvec![Vec::new()];
        for exact in &self.clustering {
            prefixes = match exact {
                Exact::One(condition) => {
                    let values = condition.operands.evaluate(binding, &condition.column.name)?;
                    let put = |value: &[u8], prefix: &mut Vec<u8>| {
                        keys::put_component(&condition.column, value, prefix)
                    };
                    product(prefixes, &values, put)?
                }
                Exact::Tuple(tuple) => {
                    let values = tuple.values(binding)?;
                    product(prefixes, &values, |value, prefix| tuple.put(value, prefix))?
                }
            };
        }
        binding.guard.combinations("clustering key", prefixes.len())?;
        if self.names_whole_clustering() && !self.clustering.is_empty() {
            prefixes.iter_mut().try_for_each(|name| self.end_name(name))?;
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

    /// Ends a row's name behind the clustering columns that have a value.
    fn end_name(&self, name: &mut Vec<u8>) -> Result<(), CqlError> {
        self.absent.iter().try_for_each(|column| keys::put_absent_component(column, name))?;
        keys::end_clustering(name);
        Ok(())
    }

    fn slices_of(
        &self,
        prefix: &[u8],
        binding: &Binding<'_>,
        out: &mut Vec<ClusteringSlice>,
    ) -> Result<(), CqlError> {
        let bound = |bytes: &[u8], end: u8| [bytes, &[end]].concat();
        let whole = if prefix.is_empty() {
            ClusteringSlice::all()
        } else {
            ClusteringSlice { start: bound(prefix, BELOW), end: bound(prefix, ABOVE) }
        };
        let mut slice = whole;
        for condition in &self.clustering_slice {
            condition.check_set(binding)?;
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

/// The most partitions, or places in them, that a statement names.
const MAX_COMBINATIONS: usize = 65_536;

fn too_many_combinations(count: usize) -> String {
    format!(
        "The query cannot be completed because it selects {count} combinations of keys - the maximum allowed is {MAX_COMBINATIONS}"
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
    let count = prefixes.len().saturating_mul(values.len());
    if count > MAX_COMBINATIONS {
        return invalid(too_many_combinations(count));
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

/// True if a token lies between the bounds. As in Cassandra, a range of tokens beside partition keys goes round the ring where
/// it begins behind its end.
fn range_has(range: &PartitionRange, token: Token) -> bool {
    let after_start = match &range.start {
        RangeBound::Token(start, inclusive) => token > *start || (*inclusive && token == *start),
        _ => true,
    };
    let before_end = match &range.end {
        RangeBound::Token(end, inclusive) => token < *end || (*inclusive && token == *end),
        _ => true,
    };
    if is_reversed(range) { after_start || before_end } else { after_start && before_end }
}

/// True if the range begins behind its end.
fn is_reversed(range: &PartitionRange) -> bool {
    matches!((&range.start, &range.end), (RangeBound::Token(start, _), RangeBound::Token(end, _)) if start > end)
}
