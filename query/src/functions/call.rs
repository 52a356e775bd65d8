//! A call of a native function: what it does, and with which types.

use super::aggregate::AggregateKind;
use super::mask::MaskKind;
use super::math::MathFunction;
use super::vector::Similarity;
use crate::ast::ArithmeticOperator;
use crate::receiver::Receiver;
use dodona_types::CqlType;
use std::fmt;
use std::sync::Arc;

/// What a native function does. The name it goes by and the types are the call's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    Uuid,
    Now,
    CurrentTimestamp,
    CurrentDate,
    CurrentTime,
    MinTimeuuid,
    MaxTimeuuid,
    ToDate,
    ToTimestamp,
    ToUnixTimestamp,
    Floor,
    Token,
    ToBlob,
    FromBlob,
    ToJson,
    FromJson,
    Cast,
    /// Two texts, one behind the other.
    Concat,
    Negate,
    Arithmetic(ArithmeticOperator),
    Math(MathFunction),
    MapKeys,
    MapValues,
    CollectionCount,
    CollectionMin,
    CollectionMax,
    CollectionSum,
    CollectionAvg,
    Similarity(Similarity),
    Mask(MaskKind),
    /// Not of one row but of many; a selection works it out.
    Aggregate(AggregateKind),
}

/// One signature of a function.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) native: Native,
    pub(crate) arguments: Vec<CqlType>,
    pub(crate) result: CqlType,
}

impl Signature {
    pub(crate) fn new(native: Native, arguments: impl Into<Vec<CqlType>>, result: CqlType) -> Self {
        Self { native, arguments: arguments.into(), result }
    }

    /// The signature as messages show it.
    pub(crate) fn shown<'s>(&'s self, name: &'s str) -> impl fmt::Display + 's {
        struct Shown<'s>(&'s Signature, &'s str);
        impl fmt::Display for Shown<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let types: Vec<String> = self.0.arguments.iter().map(ToString::to_string).collect();
                let name = dodona_types::cql_type::quote_identifier(self.1);
                write!(f, "system.{name} : ({}) -> {}", types.join(", "), self.0.result)
            }
        }
        Shown(self, name)
    }
}

/// A call of a native function with these types of arguments.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The name it was called by.
    pub(crate) name: Arc<str>,
    pub(crate) signature: Signature,
}

/// The call of `current_timestamp()`.
pub(crate) fn current_timestamp() -> Call {
    let signature = Signature::new(Native::CurrentTimestamp, [], CqlType::Timestamp);
    Call { name: "current_timestamp".into(), signature }
}

impl Call {
    /// What receives the argument at a place.
    pub(crate) fn receiver(&self, index: usize) -> Receiver {
        let ty = self.signature.arguments.get(index).cloned().unwrap_or(CqlType::Blob);
        Receiver::new(format!("arg{index}(system.{})", self.name), ty)
    }
}
