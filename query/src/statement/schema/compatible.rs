//! With which types a dropped column may come back: what it held before is read as the new type.

use dodona_types::CqlType;

/// True if a column may come back with a type, whose values were of the old one (Cassandra
/// `isSerializationCompatibleWith`). The old one is as [`expand_user_types`] gives it.
pub(super) fn holds_values_of(new: &CqlType, old: &CqlType) -> bool {
    new == old || (is_laid_out_alike(new, old) && reads_values_of(new, old))
}

fn is_laid_out_alike(new: &CqlType, old: &CqlType) -> bool {
    new.fixed_value_length() == old.fixed_value_length() && new.is_multi_cell() == old.is_multi_cell()
}

/// True if the bytes of a value of the old type are one of the new type (Cassandra `isValueCompatibleWith`).
fn reads_values_of(new: &CqlType, old: &CqlType) -> bool {
    match (new, old) {
        _ if new == old => true,
        (CqlType::Blob, _) => !old.is_multi_cell(),
        (CqlType::Text, CqlType::Ascii)
        | (CqlType::Uuid, CqlType::Timeuuid)
        | (CqlType::Timestamp, CqlType::Bigint)
        | (CqlType::Bigint, CqlType::Timestamp) => true,
        (CqlType::List { element: new, .. }, CqlType::List { element: old, .. }) => holds_values_of(new, old),
        (CqlType::Set { element: new, .. }, CqlType::Set { element: old, .. }) => is_ordered_alike(new, old),
        (CqlType::Map { key, value, .. }, CqlType::Map { key: old_key, value: old_value, .. }) => {
            is_ordered_alike(key, old_key) && holds_values_of(value, old_value)
        }
        (CqlType::Tuple(new), CqlType::Tuple(old)) => {
            old.len() <= new.len() && new.iter().zip(old.iter()).all(|(new, old)| reads_values_of(new, old))
        }
        _ => false,
    }
}

/// True if values of the old type have the same order as values of the new type (Cassandra `isCompatibleWith`).
fn is_ordered_alike(new: &CqlType, old: &CqlType) -> bool {
    match (new, old) {
        _ if new == old => true,
        (CqlType::Blob, CqlType::Text | CqlType::Ascii) | (CqlType::Text, CqlType::Ascii) => true,
        (CqlType::List { element: new, .. }, CqlType::List { element: old, .. })
        | (CqlType::Set { element: new, .. }, CqlType::Set { element: old, .. }) => {
            is_ordered_alike(new, old)
        }
        (CqlType::Tuple(new), CqlType::Tuple(old)) => {
            old.len() <= new.len() && new.iter().zip(old.iter()).all(|(new, old)| is_ordered_alike(new, old))
        }
        (CqlType::UserDefined { .. }, CqlType::Tuple(_)) => is_ordered_alike(&expand_user_types(new), old),
        _ => false,
    }
}

/// The type with every user-defined type in it as the tuple of its fields, as a dropped column
/// keeps it: the type may be dropped too.
pub(super) fn expand_user_types(cql_type: &CqlType) -> CqlType {
    match cql_type {
        CqlType::UserDefined { definition, .. } => {
            CqlType::Tuple(definition.fields.iter().map(|(_, ty)| expand_user_types(ty).freeze()).collect())
        }
        CqlType::List { element, frozen } => CqlType::list(expand_user_types(element), *frozen),
        CqlType::Set { element, frozen } => CqlType::set(expand_user_types(element), *frozen),
        CqlType::Map { key, value, frozen } => {
            CqlType::map(expand_user_types(key), expand_user_types(value), *frozen)
        }
        CqlType::Tuple(fields) => CqlType::Tuple(fields.iter().map(expand_user_types).collect()),
        CqlType::Vector { element, dimensions } => CqlType::vector(expand_user_types(element), *dimensions),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_holds_values_that_it_can_read_in_the_same_order() {
        let set = |element: CqlType| CqlType::set(element, false);
        let tuple = |fields: &[CqlType]| CqlType::Tuple(fields.into());
        let compatible = [
            (CqlType::Blob, CqlType::Varint),
            (CqlType::Text, CqlType::Ascii),
            (set(CqlType::Blob), set(CqlType::Text)),
            (tuple(&[CqlType::Blob, CqlType::Int]), tuple(&[CqlType::Bigint])),
        ];
        for (new, old) in &compatible {
            assert!(holds_values_of(new, old), "{new} of {old}");
            assert!(!holds_values_of(old, new), "{old} of {new}");
        }
        let others = [
            (CqlType::Blob, CqlType::Bigint),
            (set(CqlType::Uuid), set(CqlType::Timeuuid)),
            (set(CqlType::Text), CqlType::set(CqlType::Text, true)),
            (CqlType::vector(CqlType::Blob, 2), CqlType::vector(CqlType::Text, 2)),
        ];
        for (new, old) in &others {
            assert!(!holds_values_of(new, old), "{new} of {old}");
        }
    }
}
