//! Native functions, and the calls of them.
//!
//! A function is found by its name and by the types of its arguments, as far as they are known.

mod native;

use crate::ast::{ArithmeticOperator, FunctionName, Term, TermKind};
use crate::binding::Binding;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::term::{Expression, Receiver, assignable};
use dodona_types::CqlType;
use dodona_types::value::LiteralKind;
pub(crate) use native::{Native, Number, is_number, number, timeuuid_with};

/// A call of a native function with these types of arguments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) function: Native,
    pub(crate) arguments: Vec<CqlType>,
    pub(crate) result: CqlType,
}

impl Call {
    /// The function's name, as CQL writes it.
    pub(crate) fn name(&self) -> String {
        self.function.name()
    }

    /// The call's value for these arguments.
    pub(crate) fn execute(
        &self,
        arguments: &[Option<&[u8]>],
        binding: &Binding<'_>,
    ) -> Result<Option<Vec<u8>>, CqlError> {
        self.function.execute(&self.arguments, &self.result, arguments, binding)
    }
}

/// The function of this name for arguments of these types (`None`: any type will do).
pub(crate) fn resolve(
    name: &FunctionName,
    arguments: &[Option<CqlType>],
    context: &Context<'_>,
    receiver: Option<&CqlType>,
) -> Result<Call, CqlError> {
    let known = name.keyspace.as_deref().is_none_or(|keyspace| keyspace == "system");
    let Some(function) = known.then(|| Native::find(&name.name)).flatten() else {
        return invalid(format!("Unknown function '{name}'"));
    };
    let (arguments, result) = function.signature(arguments, context, receiver)?;
    Ok(Call { function, arguments, result })
}

/// The type a term has by itself, if it has one.
pub(crate) fn type_of_term(context: &Context<'_>, term: &Term) -> Result<Option<CqlType>, CqlError> {
    Ok(match &term.kind {
        TermKind::Literal(LiteralKind::String, _) => Some(CqlType::Text),
        TermKind::Literal(kind, text) => Some(kind.preferred_type(text)),
        TermKind::Function(name, arguments) => {
            let types = arguments
                .iter()
                .map(|argument| type_of_term(context, argument))
                .collect::<Result<Vec<_>, _>>()?;
            Some(resolve(name, &types, context, None)?.result)
        }
        TermKind::Cast(_, target) => Some(target.clone()),
        TermKind::Negation(inner) => type_of_term(context, inner)?,
        TermKind::TypeHint(raw, _) => {
            let keyspace = context
                .table
                .as_ref()
                .map_or_else(|| "".into(), |table| std::sync::Arc::clone(&table.keyspace));
            Some(context.resolve_type(raw, &keyspace)?)
        }
        _ => None,
    })
}

/// Checks a call of a function whose value goes to a receiver.
pub(crate) fn prepare_call(
    context: &mut Context<'_>,
    name: &FunctionName,
    arguments: &[Term],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let types =
        arguments.iter().map(|argument| type_of_term(context, argument)).collect::<Result<Vec<_>, _>>()?;
    let call = resolve(name, &types, context, Some(&receiver.cql_type))?;
    if !assignable(&call.result, &receiver.cql_type) {
        return invalid(format!(
            "Type error: cannot assign result of function {} (type {}) to {} (type {})",
            call.name(),
            call.result,
            receiver.name,
            receiver.cql_type
        ));
    }
    let expressions = arguments
        .iter()
        .zip(&call.arguments)
        .enumerate()
        .map(|(index, (argument, ty))| {
            Expression::prepare(
                context,
                argument,
                &Receiver::new(format!("arg{index}({})", call.name()), ty.clone()),
            )
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression::Call(call, expressions))
}

/// Checks `CAST(term AS type)`.
pub(crate) fn prepare_cast(
    context: &mut Context<'_>,
    inner: &Term,
    target: &CqlType,
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let Some(source) = type_of_term(context, inner)? else {
        return invalid(format!("Cannot infer the type of {inner} in CAST"));
    };
    let call = cast(&source, target)?;
    if !assignable(target, &receiver.cql_type) {
        return invalid(format!(
            "Type error: cannot assign result of CAST (type {target}) to {} (type {})",
            receiver.name, receiver.cql_type
        ));
    }
    let argument = Expression::prepare(context, inner, &Receiver::new("arg0(cast)", source))?;
    Ok(Expression::Call(call, vec![argument]))
}

/// The conversion from one type to another.
pub(crate) fn cast(source: &CqlType, target: &CqlType) -> Result<Call, CqlError> {
    if !native::can_cast(source, target) {
        return invalid(format!("{source} cannot be cast to {target}"));
    }
    Ok(Call { function: Native::Cast, arguments: vec![source.clone()], result: target.clone() })
}

/// Checks `-term`.
pub(crate) fn prepare_negation(
    context: &mut Context<'_>,
    inner: &Term,
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let _ = (context, inner, receiver);
    invalid("Arithmetic on terms is not supported yet")
}

/// Checks `a + b`.
pub(crate) fn prepare_arithmetic(
    context: &mut Context<'_>,
    first: &Term,
    rest: &[(ArithmeticOperator, Term)],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let _ = (context, first, rest, receiver);
    invalid("Arithmetic on terms is not supported yet")
}
