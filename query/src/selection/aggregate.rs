//! Aggregates: count, min, max, sum, avg.

use super::Selector;
use crate::binding::Binding;
use crate::error::{CqlError, invalid};
use crate::functions::{Number, is_number, number};
use crate::row_values::RowValues;
use dodona_types::CqlType;
use dodona_types::value::{self, Decimal};
use num_bigint::BigInt;

/// The aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    CountRows,
    Count,
    Min,
    Max,
    Sum,
    Avg,
}

impl Kind {
    /// The aggregate of this name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "count" => Self::Count,
            "min" => Self::Min,
            "max" => Self::Max,
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            _ => return None,
        })
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CountRows | Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
            Self::Avg => "avg",
        }
    }
}

/// An aggregate over a selection.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    kind: Kind,
    argument: Option<Box<Selector>>,
    cql_type: CqlType,
}

impl Aggregate {
    /// `count(*)`
    pub(crate) const fn count_rows() -> Self {
        Self { kind: Kind::CountRows, argument: None, cql_type: CqlType::Bigint }
    }

    /// An aggregate of values of a type.
    pub(crate) fn new(kind: Kind, argument: Selector, cql_type: &CqlType) -> Result<Self, CqlError> {
        if matches!(kind, Kind::Sum | Kind::Avg) && !is_number(cql_type) {
            return invalid(format!(
                "Invalid call to function {}, none of its type signatures match ({cql_type})",
                kind.name()
            ));
        }
        Ok(Self { kind, argument: Some(Box::new(argument)), cql_type: cql_type.clone() })
    }

    /// The type of the result.
    pub(crate) fn result_type(&self) -> CqlType {
        match self.kind {
            Kind::CountRows | Kind::Count => CqlType::Bigint,
            Kind::Sum | Kind::Avg if self.cql_type == CqlType::Counter => CqlType::Bigint,
            _ => self.cql_type.clone(),
        }
    }
}

/// An aggregate that is being worked out.
#[derive(Clone, Debug, Default)]
pub(crate) struct AggregateState {
    count: u64,
    best: Option<Vec<u8>>,
    whole: BigInt,
    real: f64,
    exact: Option<Decimal>,
}

impl AggregateState {
    /// Takes the present row.
    pub(crate) fn take(
        &mut self,
        aggregate: &Aggregate,
        row: &RowValues<'_>,
        binding: &Binding<'_>,
    ) -> Result<(), CqlError> {
        let Some(argument) = &aggregate.argument else {
            self.count += 1;
            return Ok(());
        };
        let Some(bytes) = argument.value(row, &[], binding)? else {
            return Ok(());
        };
        self.count += 1;
        match aggregate.kind {
            Kind::CountRows | Kind::Count => {}
            Kind::Min | Kind::Max => {
                let better = self.best.as_ref().is_none_or(|best| {
                    let order = value::compare(&aggregate.cql_type, &bytes, best);
                    if aggregate.kind == Kind::Min { order.is_lt() } else { order.is_gt() }
                });
                if better {
                    self.best = Some(bytes);
                }
            }
            Kind::Sum | Kind::Avg => match number(&aggregate.cql_type, &bytes)? {
                Number::Whole(n) => self.whole += n,
                Number::Real(n) => self.real += n,
                Number::Exact(n) => self.add_exact(n),
            },
        }
        Ok(())
    }

    fn add_exact(&mut self, n: Decimal) {
        self.exact = Some(match self.exact.take() {
            None => n,
            Some(sum) => {
                let scale = sum.scale.max(n.scale);
                let scaled = |d: &Decimal| {
                    &d.unscaled
                        * BigInt::from(10)
                            .pow(u32::try_from(i64::from(scale) - i64::from(d.scale)).unwrap_or(0))
                };
                Decimal::new(scaled(&sum) + scaled(&n), scale)
            }
        });
    }

    /// The result.
    pub(crate) fn finish(self, aggregate: &Aggregate) -> Result<Option<Vec<u8>>, CqlError> {
        let result = aggregate.result_type();
        let count = self.count;
        let total = match (&aggregate.cql_type, aggregate.kind) {
            (_, Kind::CountRows | Kind::Count) => {
                return Ok(Some(count.cast_signed().to_be_bytes().to_vec()));
            }
            (_, Kind::Min | Kind::Max) => return Ok(self.best),
            (CqlType::Float | CqlType::Double, Kind::Sum) => Number::Real(self.real),
            (CqlType::Float | CqlType::Double, _) => {
                Number::Real(if count == 0 { 0.0 } else { self.real / count as f64 })
            }
            (CqlType::Decimal, Kind::Sum) => {
                Number::Exact(self.exact.unwrap_or_else(|| Decimal::new(BigInt::ZERO, 0)))
            }
            (CqlType::Decimal, _) => Number::Exact(match self.exact {
                None => Decimal::new(BigInt::ZERO, 0),
                // As Cassandra: the scale of the sum, rounded half to even.
                Some(sum) => Decimal::new(divide_half_even(&sum.unscaled, count), sum.scale),
            }),
            (_, Kind::Sum) => Number::Whole(self.whole),
            (_, _) => Number::Whole(if count == 0 { BigInt::ZERO } else { self.whole / BigInt::from(count) }),
        };
        let mut out = Vec::new();
        value::encode(&result, &total.convert(&result), &mut out)?;
        Ok(Some(out))
    }
}

fn divide_half_even(sum: &BigInt, count: u64) -> BigInt {
    let count = BigInt::from(count);
    let (quotient, remainder) = (sum / &count, sum % &count);
    let twice = &remainder * BigInt::from(2);
    let magnitude = BigInt::from(twice.magnitude().clone());
    let odd = quotient.bit(0);
    let away = magnitude > count || (magnitude == count && odd);
    if !away {
        return quotient;
    }
    if sum.sign() == num_bigint::Sign::Minus { quotient - 1 } else { quotient + 1 }
}
