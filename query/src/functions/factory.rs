//! Functions whose signature follows from their arguments.

use super::aggregate::AggregateKind;
use super::argument::{Argument, type_error};
use super::assignment::{self, Assignment};
use super::call::{Native, Signature};
use super::mask::MaskKind;
use super::number::is_number;
use super::vector::Similarity;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use dodona_types::CqlType;

/// Makes signatures of arguments.
#[derive(Clone, Debug)]
pub(crate) enum Factory {
    /// `min` and `max` of any type.
    Aggregate(AggregateKind),
    ToJson,
    FromJson,
    /// A function of one collection.
    Collection(Native),
    Similarity(Similarity),
    Mask(MaskKind),
}

/// A parameter of a factory: what it takes, as messages show it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Any,
    Text,
    Int,
    Texts,
}

impl Parameter {
    const fn shown(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Text => "text",
            Self::Int => "int",
            Self::Texts => "[text|varchar|ascii]",
        }
    }
}

/// The call that a factory is asked to make a signature for.
struct Request<'r> {
    context: &'r Context<'r>,
    name: &'r str,
    parameters: String,
    arguments: &'r [&'r dyn Argument],
    receiver: Option<&'r CqlType>,
}

impl Request<'_> {
    fn wrong_count<T>(&self) -> Result<T, CqlError> {
        invalid(format!("Invalid number of arguments for function system.{}({})", self.name, self.parameters))
    }

    /// The argument's type, which must be known.
    fn known_type(&self, index: usize) -> Result<CqlType, CqlError> {
        let argument = self.arguments[index];
        argument.likely_type(self.context)?.ok_or_else(|| {
            CqlError::Invalid(format!(
                "Cannot infer type of argument {} in call to function system.{}({}): use type casts to disambiguate",
                argument.text(),
                self.name,
                self.parameters
            ))
        })
    }

    /// The argument's type, or if that is not known the one of what receives the value.
    fn type_or_receiver(&self, index: usize) -> Result<CqlType, CqlError> {
        match (self.known_type(index), self.receiver) {
            (Err(_), Some(receiver)) => Ok(receiver.clone()),
            (known, _) => known,
        }
    }

    fn wrong_type<T>(&self, index: usize, wanted: &str, found: &CqlType) -> Result<T, CqlError> {
        let article = if wanted.starts_with("argument") { "an" } else { "a" };
        invalid(format!(
            "Function system.{} requires {article} {wanted}, but found argument {} of type {found}",
            self.name,
            self.arguments[index].text()
        ))
    }

    /// The type of an argument for a parameter.
    fn parameter_type(&self, index: usize, parameter: Parameter) -> Result<CqlType, CqlError> {
        let wanted = match parameter {
            Parameter::Any => return self.known_type(index),
            Parameter::Texts | Parameter::Text => CqlType::Text,
            Parameter::Int => CqlType::Int,
        };
        // What is wrong with an argument of no known type is said when it is looked at itself.
        let Some(found) = self.arguments[index].likely_type(self.context)? else {
            return Ok(wanted);
        };
        if assignment::of_type(&found, &wanted) == Assignment::Not {
            return self.wrong_type(index, &format!("argument of type {}", parameter.shown()), &found);
        }
        Ok(if parameter == Parameter::Texts { found } else { wanted })
    }
}

impl Factory {
    /// The signature for these arguments.
    pub(crate) fn signature(
        &self,
        context: &Context<'_>,
        name: &str,
        arguments: &[&dyn Argument],
        receiver: Option<&CqlType>,
    ) -> Result<Signature, CqlError> {
        let request =
            |parameters: &str| Request { context, name, parameters: parameters.into(), arguments, receiver };
        match self {
            Self::Aggregate(kind) => aggregate(*kind, &request("any")),
            Self::ToJson => to_json(&request("any")),
            Self::FromJson => from_json(&request("text")),
            Self::Collection(native) => collection(native, &request(collection_parameter(native))),
            Self::Similarity(kind) => similarity(*kind, &request("vector<float, n>, vector<float, n>")),
            Self::Mask(kind) => mask(*kind, request("")),
        }
    }
}

fn aggregate(kind: AggregateKind, request: &Request<'_>) -> Result<Signature, CqlError> {
    if request.arguments.len() != 1 {
        return request.wrong_count();
    }
    let ty = request.type_or_receiver(0)?;
    Ok(Signature { native: Native::Aggregate(kind), arguments: vec![ty.clone()], result: ty })
}

fn to_json(request: &Request<'_>) -> Result<Signature, CqlError> {
    if request.arguments.len() != 1 {
        return request.wrong_count();
    }
    Ok(Signature { native: Native::ToJson, arguments: vec![request.known_type(0)?], result: CqlType::Text })
}

fn from_json(request: &Request<'_>) -> Result<Signature, CqlError> {
    if request.arguments.len() != 1 {
        return request.wrong_count();
    }
    let Some(receiver) = request.receiver else {
        return invalid(format!(
            "{}() cannot be used in the selection clause of a SELECT statement",
            request.name
        ));
    };
    let text = request.parameter_type(0, Parameter::Text)?;
    Ok(Signature { native: Native::FromJson, arguments: vec![text], result: receiver.clone() })
}

const fn collection_parameter(native: &Native) -> &'static str {
    match native {
        Native::MapKeys | Native::MapValues => "map",
        Native::CollectionCount => "collection",
        Native::CollectionMin | Native::CollectionMax => "set or list",
        _ => "numeric_set_or_list",
    }
}

fn collection(native: &Native, request: &Request<'_>) -> Result<Signature, CqlError> {
    if request.arguments.len() != 1 {
        return request.wrong_count();
    }
    let ty = request.known_type(0)?;
    let result = match (native, &ty) {
        (Native::MapKeys, CqlType::Map { key, .. }) => CqlType::set(CqlType::clone(key), true),
        (Native::MapValues, CqlType::Map { value, .. }) => CqlType::list(CqlType::clone(value), true),
        (Native::MapKeys | Native::MapValues, _) => return request.wrong_type(0, "map argument", &ty),
        (Native::CollectionCount, ty) if ty.is_collection() => CqlType::Int,
        (Native::CollectionCount, _) => return request.wrong_type(0, "collection argument", &ty),
        (
            Native::CollectionMin | Native::CollectionMax,
            CqlType::List { element, .. } | CqlType::Set { element, .. },
        ) => CqlType::clone(element),
        (Native::CollectionMin | Native::CollectionMax, _) => {
            return request.wrong_type(0, "set or list argument", &ty);
        }
        (_, CqlType::List { element, .. } | CqlType::Set { element, .. }) if is_number(element) => {
            CqlType::clone(element)
        }
        _ => return request.wrong_type(0, "numeric set/list argument", &ty),
    };
    Ok(Signature { native: native.clone(), arguments: vec![ty], result })
}

fn similarity(kind: Similarity, request: &Request<'_>) -> Result<Signature, CqlError> {
    if request.arguments.len() != 2 {
        return request.wrong_count();
    }
    let mut types = Vec::with_capacity(2);
    for argument in request.arguments {
        let of_list = argument.list_length().and_then(|length| u16::try_from(length).ok());
        types.push(match of_list {
            Some(length @ 1..) => Some(CqlType::vector(CqlType::Float, length)),
            _ => argument.likely_type(request.context)?,
        });
    }
    // What is not known is as the other.
    let (first, second) = (types[0].clone().or(types[1].clone()), types[1].clone().or(types[0].clone()));
    let (Some(first), Some(second)) = (first, second) else {
        request.known_type(0)?;
        return request.wrong_count();
    };
    for (index, ty) in [&first, &second].into_iter().enumerate() {
        if !matches!(ty, CqlType::Vector { element, .. } if **element == CqlType::Float) {
            return request.wrong_type(index, "float vector argument", ty);
        }
    }
    if first != second {
        return invalid("All arguments must have the same vector dimensions");
    }
    for (index, argument) in request.arguments.iter().enumerate() {
        if argument.assignment(request.context, &first) == Assignment::Not {
            return invalid(type_error(*argument, index, request.name, &first));
        }
    }
    Ok(Signature { native: Native::Similarity(kind), arguments: vec![first, second], result: CqlType::Float })
}

fn mask(kind: MaskKind, mut request: Request<'_>) -> Result<Signature, CqlError> {
    let (parameters, optional): (&[Parameter], Option<Parameter>) = match kind {
        MaskKind::Null | MaskKind::Default => (&[Parameter::Any], None),
        MaskKind::Replace => (&[Parameter::Any, Parameter::Any], None),
        MaskKind::Inner | MaskKind::Outer => {
            (&[Parameter::Texts, Parameter::Int, Parameter::Int], Some(Parameter::Text))
        }
        MaskKind::Hash => (&[Parameter::Any], Some(Parameter::Text)),
    };
    let mut shown: Vec<String> = parameters.iter().map(|parameter| parameter.shown().to_owned()).collect();
    shown.extend(optional.map(|parameter| format!("[{}]", parameter.shown())));
    request.parameters = shown.join(", ");
    let given = request.arguments.len();
    if given < parameters.len() || given > parameters.len() + usize::from(optional.is_some()) {
        return request.wrong_count();
    }
    let mut types = Vec::with_capacity(given);
    for (index, parameter) in parameters.iter().copied().chain(optional).take(given).enumerate() {
        if kind == MaskKind::Replace && index == 1 {
            let ty = &types[0];
            if request.arguments[1].assignment(request.context, ty) == Assignment::Not {
                return invalid(type_error(request.arguments[1], 1, request.name, ty));
            }
            types.push(CqlType::clone(ty));
            continue;
        }
        types.push(request.parameter_type(index, parameter)?);
    }
    let result = if kind == MaskKind::Hash { CqlType::Blob } else { types[0].clone() };
    Ok(Signature { native: Native::Mask(kind), arguments: types, result })
}
