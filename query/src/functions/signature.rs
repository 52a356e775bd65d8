//! Which functions there are, by name: those with fixed signatures, and those that fit any
//! arguments of some kind.

use super::aggregate::AggregateKind;
use super::call::{Native, Signature};
use super::factory::Factory;
use super::mask::MaskKind;
use super::math::MathFunction;
use super::number::NUMBERS;
use super::vector::Similarity;
use crate::ast::ArithmeticOperator;
use dodona_types::CqlType;

/// The functions of one name.
pub(crate) enum Family {
    /// One of these signatures must fit.
    Overloads(Vec<Signature>),
    /// Makes a signature of the arguments.
    Factory(Factory),
}

/// The functions of a name, which is in lower case as names without quotes are.
pub(crate) fn family(name: &str, partition_key: &[CqlType]) -> Option<Family> {
    let one = |native, arguments: &[CqlType], result| {
        Some(Family::Overloads(vec![Signature::new(native, arguments, result)]))
    };
    match name {
        "uuid" => one(Native::Uuid, &[], CqlType::Uuid),
        "now" | "current_timeuuid" | "currenttimeuuid" => one(Native::Now, &[], CqlType::Timeuuid),
        "current_timestamp" | "currenttimestamp" => one(Native::CurrentTimestamp, &[], CqlType::Timestamp),
        "current_date" | "currentdate" => one(Native::CurrentDate, &[], CqlType::Date),
        "current_time" | "currenttime" => one(Native::CurrentTime, &[], CqlType::Time),
        "min_timeuuid" | "mintimeuuid" => one(Native::MinTimeuuid, &[CqlType::Timestamp], CqlType::Timeuuid),
        "max_timeuuid" | "maxtimeuuid" => one(Native::MaxTimeuuid, &[CqlType::Timestamp], CqlType::Timeuuid),
        "token" => one(Native::Token, partition_key, CqlType::Bigint),
        "to_date" | "todate" => {
            each(&[CqlType::Timeuuid, CqlType::Timestamp], |_| CqlType::Date, Native::ToDate)
        }
        "to_timestamp" | "totimestamp" => {
            each(&[CqlType::Timeuuid, CqlType::Date], |_| CqlType::Timestamp, Native::ToTimestamp)
        }
        "to_unix_timestamp" | "tounixtimestamp" => each(
            &[CqlType::Timeuuid, CqlType::Timestamp, CqlType::Date],
            |_| CqlType::Bigint,
            Native::ToUnixTimestamp,
        ),
        "floor" => Some(Family::Overloads(floors())),
        // Whatever it is, its bytes are a blob.
        "count" => one(Native::Aggregate(AggregateKind::Count), &[CqlType::Blob], CqlType::Bigint),
        "min" => Some(Family::Factory(Factory::Aggregate(AggregateKind::Min))),
        "max" => Some(Family::Factory(Factory::Aggregate(AggregateKind::Max))),
        "sum" => each(&NUMBERS, CqlType::clone, Native::Aggregate(AggregateKind::Sum)),
        "avg" => each(&NUMBERS, CqlType::clone, Native::Aggregate(AggregateKind::Avg)),
        "to_json" | "tojson" => Some(Family::Factory(Factory::ToJson)),
        "from_json" | "fromjson" => Some(Family::Factory(Factory::FromJson)),
        "_negate" => each(&NUMBERS, CqlType::clone, Native::Negate),
        "abs" => each(&NUMBERS, CqlType::clone, Native::Math(MathFunction::Abs)),
        "exp" => each(&NUMBERS, CqlType::clone, Native::Math(MathFunction::Exp)),
        "log" => each(&NUMBERS, CqlType::clone, Native::Math(MathFunction::Log)),
        "log10" => each(&NUMBERS, CqlType::clone, Native::Math(MathFunction::Log10)),
        "round" => each(&NUMBERS, CqlType::clone, Native::Math(MathFunction::Round)),
        "map_keys" => Some(Family::Factory(Factory::Collection(Native::MapKeys))),
        "map_values" => Some(Family::Factory(Factory::Collection(Native::MapValues))),
        "collection_count" => Some(Family::Factory(Factory::Collection(Native::CollectionCount))),
        "collection_min" => Some(Family::Factory(Factory::Collection(Native::CollectionMin))),
        "collection_max" => Some(Family::Factory(Factory::Collection(Native::CollectionMax))),
        "collection_sum" => Some(Family::Factory(Factory::Collection(Native::CollectionSum))),
        "collection_avg" => Some(Family::Factory(Factory::Collection(Native::CollectionAvg))),
        "similarity_cosine" => Some(Family::Factory(Factory::Similarity(Similarity::Cosine))),
        "similarity_euclidean" => Some(Family::Factory(Factory::Similarity(Similarity::Euclidean))),
        "similarity_dot_product" => Some(Family::Factory(Factory::Similarity(Similarity::DotProduct))),
        "mask_null" => Some(Family::Factory(Factory::Mask(MaskKind::Null))),
        "mask_default" => Some(Family::Factory(Factory::Mask(MaskKind::Default))),
        "mask_replace" => Some(Family::Factory(Factory::Mask(MaskKind::Replace))),
        "mask_inner" => Some(Family::Factory(Factory::Mask(MaskKind::Inner))),
        "mask_outer" => Some(Family::Factory(Factory::Mask(MaskKind::Outer))),
        "mask_hash" => Some(Family::Factory(Factory::Mask(MaskKind::Hash))),
        other => operator_of(other)
            .map(|operator| Family::Overloads(arithmetic(operator)))
            .or_else(|| conversion(other)),
    }
}

/// A function of one argument for each of these types.
fn each(types: &[CqlType], result: impl Fn(&CqlType) -> CqlType, native: Native) -> Option<Family> {
    let signature = |ty: &CqlType| Signature::new(native.clone(), [ty.clone()], result(ty));
    Some(Family::Overloads(types.iter().map(signature).collect()))
}

fn floors() -> Vec<Signature> {
    let duration = || CqlType::Duration;
    let mut signatures = Vec::new();
    for (ty, result) in [
        (CqlType::Timeuuid, CqlType::Timestamp),
        (CqlType::Timestamp, CqlType::Timestamp),
        (CqlType::Date, CqlType::Date),
    ] {
        signatures.push(Signature::new(Native::Floor, [ty.clone(), duration()], result.clone()));
        signatures.push(Signature::new(Native::Floor, [ty, duration(), result.clone()], result));
    }
    signatures.push(Signature::new(Native::Floor, [CqlType::Time, duration()], CqlType::Time));
    signatures
}

/// `TYPE_as_blob`, `blob_as_TYPE`, `cast_as_TYPE` and the older names.
fn conversion(name: &str) -> Option<Family> {
    let native = |name: &str| CqlType::native(name).filter(|ty| *ty != CqlType::Blob);
    if let Some(ty) = name.strip_suffix("_as_blob").or(name.strip_suffix("asblob")).and_then(native) {
        return Some(Family::Overloads(vec![Signature::new(Native::ToBlob, [ty], CqlType::Blob)]));
    }
    if let Some(ty) = name.strip_prefix("blob_as_").or(name.strip_prefix("blobas")).and_then(native) {
        return Some(Family::Overloads(vec![Signature::new(Native::FromBlob, [CqlType::Blob], ty)]));
    }
    let target = name.strip_prefix("cast_as_").and_then(CqlType::native)?;
    let sources =
        CqlType::natives().filter(|source| *source != target && super::cast::can_cast(source, &target));
    let signatures: Vec<_> =
        sources.map(|source| Signature::new(Native::Cast, [source], target.clone())).collect();
    (!signatures.is_empty()).then_some(Family::Overloads(signatures))
}

/// The operator of an internal name.
pub(crate) fn operator_of(name: &str) -> Option<ArithmeticOperator> {
    [
        ArithmeticOperator::Add,
        ArithmeticOperator::Subtract,
        ArithmeticOperator::Multiply,
        ArithmeticOperator::Divide,
        ArithmeticOperator::Modulo,
    ]
    .into_iter()
    .find(|operator| operator.function_name() == name)
}

fn arithmetic(operator: ArithmeticOperator) -> Vec<Signature> {
    let native = || Native::Arithmetic(operator);
    let mut signatures = Vec::with_capacity(NUMBERS.len() * NUMBERS.len() + 4);
    for left in &NUMBERS {
        for right in &NUMBERS {
            let result = result_of(left, right);
            signatures.push(Signature::new(native(), [left.clone(), right.clone()], result));
        }
    }
    if operator == ArithmeticOperator::Add {
        for ty in [CqlType::Text, CqlType::Ascii] {
            signatures.push(Signature::new(Native::Concat, [ty.clone(), ty.clone()], ty));
        }
    }
    if matches!(operator, ArithmeticOperator::Add | ArithmeticOperator::Subtract) {
        for ty in [CqlType::Timestamp, CqlType::Date] {
            signatures.push(Signature::new(native(), [ty.clone(), CqlType::Duration], ty));
        }
    }
    signatures
}

/// The type of what comes of two numbers (CQL 3.4.7 "Number Arithmetic").
fn result_of(left: &CqlType, right: &CqlType) -> CqlType {
    let is_real = |ty: &CqlType| matches!(ty, CqlType::Float | CqlType::Double | CqlType::Decimal);
    let size = |ty: &CqlType| match ty {
        CqlType::Tinyint => 1,
        CqlType::Smallint => 2,
        CqlType::Int | CqlType::Float => 4,
        CqlType::Bigint | CqlType::Counter | CqlType::Double => 8,
        _ => 16,
    };
    match (is_real(left) || is_real(right), size(left).max(size(right))) {
        (true, ..=4) => CqlType::Float,
        (true, 8) => CqlType::Double,
        (true, _) => CqlType::Decimal,
        (false, 1) => CqlType::Tinyint,
        (false, 2) => CqlType::Smallint,
        (false, 4) => CqlType::Int,
        (false, 8) => CqlType::Bigint,
        (false, _) => CqlType::Varint,
    }
}
