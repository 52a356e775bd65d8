//! Lists: where their elements are, and where new ones go.

use super::{Cells, Parts, winner};
use crate::binding::Val;
use crate::error::{CqlError, invalid};
use crate::functions;
use crate::statement::existing::ListElement;
use crate::term::Expression;
use dodona_types::CqlType;
use dodona_types::comparable;
use dodona_types::schema::Column;
use std::collections::BTreeMap;

impl Cells<'_, '_> {
    /// A list's elements as they are behind the changes that come before in the statement.
    pub(super) fn present(&self, column: &Column, parts: &Parts) -> Vec<ListElement> {
        let read = self.lists.and_then(|lists| lists.get(&column.id)).map_or(&[][..], Vec::as_slice);
        let timestamp_micros = self.times.timestamp_micros;
        let deleted_up_to = parts.deletion.map_or(i64::MIN, |deletion| deletion.timestamp_micros);
        let mut present: Vec<ListElement> =
            read.iter().filter(|element| element.timestamp_micros > deleted_up_to).cloned().collect();
        let mut changes: BTreeMap<&[u8], Option<Vec<u8>>> = BTreeMap::new();
        for (path, value) in &parts.cells {
            let change = match changes.remove(&**path) {
                Some(before) => winner(before, value.clone()),
                None => value.clone(),
            };
            changes.insert(path, change);
        }
        for (path, value) in changes {
            let place = present.binary_search_by(|element| element.path.as_slice().cmp(path));
            match (place, value) {
                (Ok(at), _) if present[at].timestamp_micros > timestamp_micros => {}
                (Ok(at), None) => {
                    present.remove(at);
                }
                (Ok(at), Some(value)) => {
                    let is_tie = present[at].timestamp_micros == timestamp_micros;
                    if !is_tie || value > present[at].value {
                        present[at].value = value;
                    }
                    present[at].timestamp_micros = timestamp_micros;
                }
                (Err(at), Some(value)) => {
                    present.insert(at, ListElement { path: path.to_vec(), value, timestamp_micros });
                }
                (Err(_), None) => {}
            }
        }
        present
    }

    /// The path of a list's element at an index; none if the index is not set.
    pub(super) fn path_at(
        &self,
        column: &Column,
        index: &Expression,
        attempt: &str,
        parts: &Parts,
    ) -> Result<Option<Vec<u8>>, CqlError> {
        let index = match index.evaluate(self.binding)? {
            Val::Bytes(bytes) => bytes.as_ref().try_into().map_or(0, i32::from_be_bytes),
            Val::Null => return invalid("Invalid null value for list index"),
            Val::Unset => return Ok(None),
        };
        let present = self.present(column, parts);
        if present.is_empty() {
            return invalid(format!("Attempted to {attempt} a list which is null"));
        }
        match usize::try_from(index).ok().and_then(|index| present.get(index)) {
            Some(element) => Ok(Some(element.path.clone())),
            None => invalid(format!("List index {index} out of bound, list has size {}", present.len())),
        }
    }

    /// The path of a list's next element: a timeuuid in comparable order. What is added by one
    /// statement has one time, and its number behind the time. Before the start of a list, times and
    /// numbers run backwards from far in the past, so that what is prepended later comes first
    /// (Cassandra `Lists.Prepender`).
    pub(super) fn list_path(&self, prepend: bool) -> Result<Vec<u8>, CqlError> {
        /// 2010-01-01, as in Cassandra.
        const REFERENCE_MICROS: i64 = 1_262_304_000_000_000;
        /// Numbers have the bits that a UUID's variant leaves of four bytes.
        const NUMBERS: u32 = 1 << 30;
        let number = self.binding.next_list_element() % NUMBERS;
        let (micros, number) = if prepend {
            (2 * REFERENCE_MICROS - self.binding.now_micros, NUMBERS - 1 - number)
        } else {
            (self.binding.now_micros, number)
        };
        // The bytes behind the time are ordered as signed ones.
        let [first, second, third, fourth] = number.to_be_bytes();
        let mut tail = [first, second ^ 0x80, third ^ 0x80, fourth ^ 0x80, 0, 0, 0, 0];
        self.binding.random.fill(&mut tail[4..]);
        let uuid = functions::timeuuid_with(micros, 0, tail);
        let mut path = Vec::with_capacity(20);
        comparable::encode_component(&CqlType::Timeuuid, false, Some(uuid.as_bytes()), &mut path)?;
        Ok(path)
    }
}
