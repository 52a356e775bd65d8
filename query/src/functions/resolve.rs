//! Which signature of a function a call means.

use super::argument::{Argument, type_error};
use super::assignment::{self, Assignment};
use super::call::{Call, Signature};
use super::signature::{Family, family, operator_of};
use crate::ast::{ArithmeticOperator, FunctionName, Term, TermKind};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use dodona_types::CqlType;

/// The most operators in one term: each may be a level of what is evaluated.
const MAX_OPERATORS: usize = 128;
/// The most of all terms of a statement, squared: 64 terms of so many, or a million of one.
const MAX_OPERATOR_WORK: usize = 64 * MAX_OPERATORS * MAX_OPERATORS;

impl Argument for Term {
    fn exact_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError> {
        match &self.kind {
            TermKind::TypeHint(raw, _) => context.hinted_type(raw).map(Some),
            TermKind::Cast(_, target) => Ok(Some(target.clone())),
            TermKind::Function(..) | TermKind::Negation(_) | TermKind::Arithmetic(..) => {
                Ok(resolve_term(context, self, None).ok().flatten().map(|call| call.signature.result))
            }
            _ => Ok(None),
        }
    }

    fn likely_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError> {
        match &self.kind {
            TermKind::Literal(kind, text) => Ok(Some(kind.preferred_type(text))),
            _ => self.exact_type(context),
        }
    }

    fn assignment(&self, context: &Context<'_>, to: &CqlType) -> Assignment {
        context.remembered(self, 0, to, || of_term(context, self, to))
    }

    fn is_marker(&self) -> bool {
        matches!(self.kind, TermKind::Marker(_))
    }

    fn list_length(&self) -> Option<usize> {
        match &self.kind {
            TermKind::List(elements) => Some(elements.len()),
            _ => None,
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// The start of a chain of operators: its first operand and those behind it.
struct Prefix<'t>(&'t Term, &'t [(ArithmeticOperator, Term)]);

impl Prefix<'_> {
    fn resolve(&self, context: &Context<'_>, receiver: Option<&CqlType>) -> Result<Call, CqlError> {
        let Self(first, rest) = self;
        let Some(((operator, right), before)) = rest.split_last() else {
            return Err(CqlError::Server("an operator without operands".into()));
        };
        let name = system_name(operator.function_name());
        let call = if before.is_empty() {
            resolve(context, &name, &[*first as &dyn Argument, right], receiver)
        } else {
            resolve(context, &name, &[&Prefix(first, before) as &dyn Argument, right], receiver)
        };
        call?.ok_or_else(|| CqlError::Server("an operator without a function".into()))
    }
}

impl Argument for Prefix<'_> {
    fn exact_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError> {
        Ok(self.resolve(context, None).ok().map(|call| call.signature.result))
    }

    fn likely_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError> {
        self.exact_type(context)
    }

    fn assignment(&self, context: &Context<'_>, to: &CqlType) -> Assignment {
        context.remembered(self.0, self.1.len(), to, || match self.resolve(context, Some(to)) {
            Ok(call) => assignment::of_type(&call.signature.result, to),
            Err(_) => Assignment::Weak,
        })
    }

    fn list_length(&self) -> Option<usize> {
        None
    }

    fn text(&self) -> String {
        let names =
            self.1.iter().rev().map(|(operator, _)| format!("system.\"{}\"(", operator.function_name()));
        let rest = self.1.iter().map(|(_, term)| format!(", {term})"));
        names.chain([self.0.to_string()]).chain(rest).collect()
    }
}

/// The call that a function, a sign or a chain of operators makes.
pub(crate) fn resolve_term(
    context: &Context<'_>,
    term: &Term,
    receiver: Option<&CqlType>,
) -> Result<Option<Call>, CqlError> {
    match &term.kind {
        TermKind::Function(name, arguments) => {
            let arguments: Vec<&dyn Argument> = arguments.iter().map(|term| term as &dyn Argument).collect();
            resolve(context, name, &arguments, receiver)
        }
        TermKind::Negation(inner) => resolve(context, &system_name("_negate"), &[&**inner], receiver),
        TermKind::Arithmetic(first, rest) => Prefix(first, rest).resolve(context, receiver).map(Some),
        _ => Ok(None),
    }
}

/// The call of a chain's first `count` operators.
pub(crate) fn resolve_prefix(
    context: &Context<'_>,
    first: &Term,
    rest: &[(ArithmeticOperator, Term)],
    receiver: Option<&CqlType>,
) -> Result<Call, CqlError> {
    Prefix(first, rest).resolve(context, receiver)
}

/// Checks the number of operators in a term, before anything recurses over them. What a term takes grows with the
/// square of that; all terms of a statement together are bounded as well.
pub(crate) fn check_operators(context: &Context<'_>, operators: usize) -> Result<(), CqlError> {
    if operators > MAX_OPERATORS {
        return invalid(format!("More than {MAX_OPERATORS} operators in one term"));
    }
    if context.add_operator_work(operators * operators) > MAX_OPERATOR_WORK {
        return invalid("Too many operators in the terms of one statement");
    }
    Ok(())
}

/// The call of `CAST(term AS type)` outside of a selection.
pub(crate) fn resolve_cast(
    context: &Context<'_>,
    inner: &Term,
    target: &CqlType,
    receiver: Option<&CqlType>,
) -> Result<Call, CqlError> {
    let name = system_name(&format!("cast_as_{target}"));
    let call = resolve(context, &name, &[inner], receiver)?;
    call.ok_or_else(|| CqlError::Invalid(format!("Unknown function {name} called")))
}

/// The name of a native function.
pub(crate) fn system_name(name: &str) -> FunctionName {
    FunctionName { keyspace: Some("system".into()), name: name.into() }
}

/// The function of this name for these arguments; none if there is no such name. The receiver's
/// type, if known, decides between signatures that fit the arguments.
pub(crate) fn resolve(
    context: &Context<'_>,
    name: &FunctionName,
    arguments: &[&dyn Argument],
    receiver: Option<&CqlType>,
) -> Result<Option<Call>, CqlError> {
    if name.keyspace.as_deref().is_some_and(|keyspace| keyspace != "system") {
        return Ok(None);
    }
    let partition_key: Vec<CqlType> = match &context.table {
        Some(table) if name.name == "token" => {
            table.partition_key().map(|column| column.cql_type.clone()).collect()
        }
        _ => Vec::new(),
    };
    let signature = match family(&name.name, &partition_key) {
        None => return Ok(None),
        Some(Family::Factory(factory)) => factory.signature(context, &name.name, arguments, receiver)?,
        Some(Family::Overloads(mut signatures)) => match signatures.as_slice() {
            [only] => {
                check_only(context, name, only, arguments)?;
                signatures.swap_remove(0)
            }
            _ => best(context, name, &signatures, arguments, receiver)?.clone(),
        },
    };
    Ok(Some(Call { name: name.name.as_str().into(), signature }))
}

fn check_only(
    context: &Context<'_>,
    name: &FunctionName,
    signature: &Signature,
    arguments: &[&dyn Argument],
) -> Result<(), CqlError> {
    if arguments.len() != signature.arguments.len() {
        return invalid(format!(
            "Invalid number of arguments in call to function system.{}: {} required but {} provided",
            name.name,
            signature.arguments.len(),
            arguments.len()
        ));
    }
    for (index, (argument, ty)) in arguments.iter().zip(&signature.arguments).enumerate() {
        if argument.assignment(context, ty) == Assignment::Not {
            return invalid(type_error(*argument, index, &name.name, ty));
        }
    }
    Ok(())
}

fn best<'s>(
    context: &Context<'_>,
    name: &FunctionName,
    signatures: &'s [Signature],
    arguments: &[&dyn Argument],
    receiver: Option<&CqlType>,
) -> Result<&'s Signature, CqlError> {
    let mut weak: Vec<&Signature> = Vec::new();
    for signature in signatures {
        if receiver.is_some_and(|to| assignment::of_type(&signature.result, to) == Assignment::Not)
            || signature.arguments.len() != arguments.len()
        {
            continue;
        }
        let pairs = arguments.iter().zip(&signature.arguments);
        match assignment::all(pairs.map(|(argument, ty)| argument.assignment(context, ty))) {
            Assignment::Exact => return Ok(signature),
            Assignment::Weak => weak.push(signature),
            Assignment::Not => {}
        }
    }
    let operator = operator_of(&name.name);
    if let [only] = weak.as_slice() {
        return Ok(only);
    }
    if weak.is_empty() {
        return match operator {
            Some(operator) => invalid(format!(
                "the '{}' operation is not supported between {} and {}",
                operator.symbol(),
                arguments[0].text(),
                arguments[1].text()
            )),
            None => invalid(format!(
                "Invalid call to function {}, none of its type signatures match (known type signatures: {})",
                plain(name),
                listed(&name.name, signatures.iter())
            )),
        };
    }
    let Some(operator) = operator else {
        if name.name == "_negate" {
            return invalid("Ambiguous negation: use type casts to disambiguate");
        }
        return invalid(format!(
            "Ambiguous call to function {} (can be matched by following signatures: {}): use type casts to disambiguate",
            plain(name),
            listed(&name.name, weak.into_iter())
        ));
    };
    // Markers in what an argument is made of are looked at with it.
    let has_markers = arguments.iter().any(|argument| argument.is_marker());
    let same = weak
        .iter()
        .find(|signature| receiver.is_some_and(|to| signature.arguments.iter().all(|ty| ty == to)));
    match same {
        Some(signature) if !has_markers => Ok(signature),
        _ => invalid(format!(
            "Ambiguous '{}' operation with args {} and {}: use type hint to disambiguate, example '(int) ?'",
            operator.symbol(),
            arguments[0].text(),
            arguments[1].text()
        )),
    }
}

/// A function's name without quotes, as these messages show it.
fn plain(name: &FunctionName) -> String {
    match &name.keyspace {
        Some(keyspace) => format!("{keyspace}.{}", name.name),
        None => name.name.clone(),
    }
}

fn listed<'s>(name: &str, signatures: impl Iterator<Item = &'s Signature>) -> String {
    signatures.map(|signature| signature.shown(name).to_string()).collect::<Vec<_>>().join(", ")
}

/// Whether a term may be of a type.
pub(crate) fn of_term(context: &Context<'_>, term: &Term, to: &CqlType) -> Assignment {
    let each = |terms: &[Term], ty: &CqlType| {
        assignment::of_elements(context, terms.iter().map(|term| term as &dyn Argument), ty)
    };
    match (&term.kind, to) {
        (TermKind::Literal(kind, text), _) => kind.assignment(text, to),
        (TermKind::Null, CqlType::Counter) => Assignment::Not,
        (TermKind::Null | TermKind::Marker(_), _) => Assignment::Weak,
        (TermKind::List(terms), CqlType::Vector { element, dimensions })
            if terms.len() == usize::from(*dimensions) =>
        {
            each(terms, element)
        }
        (TermKind::List(terms), CqlType::List { element, .. }) => each(terms, element),
        (TermKind::Set(terms), CqlType::Set { element, .. }) => each(terms, element),
        (TermKind::Set(terms), CqlType::Map { .. }) if terms.is_empty() => Assignment::Weak,
        (TermKind::Map(entries), CqlType::Map { key, value, .. }) => assignment::all(
            entries.iter().flat_map(|(k, v)| [of_term(context, k, key), of_term(context, v, value)]),
        ),
        (TermKind::UserDefined(fields), CqlType::UserDefined { definition, .. }) => {
            let known = |name: &str| definition.field_position(name).map(|index| &definition.fields[index].1);
            // A field that there is not is reported when the literal is looked at itself.
            if fields.iter().all(|(name, field)| {
                known(name).is_none_or(|ty| of_term(context, field, ty) != Assignment::Not)
            }) {
                Assignment::Weak
            } else {
                Assignment::Not
            }
        }
        (TermKind::Tuple(terms), CqlType::Tuple(types)) => {
            let fits = terms.len() <= types.len()
                && terms
                    .iter()
                    .zip(types.iter())
                    .all(|(term, ty)| of_term(context, term, ty) != Assignment::Not);
            if fits { Assignment::Weak } else { Assignment::Not }
        }
        (TermKind::Tuple(terms), _) if terms.len() == 1 => of_term(context, &terms[0], to),
        (TermKind::TypeHint(raw, _), _) => {
            context.hinted_type(raw).map_or(Assignment::Not, |hinted| assignment::of_type(&hinted, to))
        }
        (TermKind::Cast(inner, target), _) => match resolve_cast(context, inner, target, Some(to)) {
            Ok(call) => assignment::of_type(&call.signature.result, to),
            Err(_) => Assignment::Weak,
        },
        (TermKind::Function(..) | TermKind::Negation(_) | TermKind::Arithmetic(..), _) => {
            match resolve_term(context, term, Some(to)) {
                Ok(Some(call)) => assignment::of_type(&call.signature.result, to),
                // What is wrong with the call is said when the call is looked at itself.
                _ => Assignment::Weak,
            }
        }
        _ => Assignment::Not,
    }
}
