//! count, min, max, sum and avg: of rows, and of the elements of a collection.

use super::decimal;
use super::number::{Number, number, wire};
use crate::error::CqlError;
use dodona_types::CqlType;
use dodona_types::value::{self, Decimal};
use num_bigint::BigInt;

/// The aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateKind {
    CountRows,
    Count,
    Min,
    Max,
    Sum,
    Avg,
}

/// An aggregate that is being worked out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accumulator {
    count: u64,
    /// Values that are numbers: not empty.
    numbers: u64,
    best: Option<Vec<u8>>,
    whole: BigInt,
    real: f64,
    /// What rounding has added to `real`.
    lost: f64,
    /// The same sum without regard to rounding.
    plain: f64,
    exact: Option<Decimal>,
}

impl Accumulator {
    /// Takes a row without a value.
    pub(crate) const fn take_row(&mut self) {
        self.count += 1;
    }

    /// Takes a value of a type.
    pub(crate) fn take(&mut self, kind: AggregateKind, ty: &CqlType, bytes: &[u8]) -> Result<(), CqlError> {
        self.count += 1;
        match kind {
            AggregateKind::CountRows | AggregateKind::Count => {}
            AggregateKind::Min | AggregateKind::Max => {
                let better = self.best.as_ref().is_none_or(|best| {
                    let order = value::compare(ty, bytes, best);
                    if kind == AggregateKind::Min { order.is_lt() } else { order.is_gt() }
                });
                if better {
                    self.best = Some(bytes.to_vec());
                }
            }
            AggregateKind::Sum | AggregateKind::Avg => {
                let Some(number) = number(ty, bytes)? else { return Ok(()) };
                self.numbers += 1;
                match number {
                    Number::Whole(n) => self.whole += n,
                    Number::Real(n) => self.add_real(n),
                    Number::Exact(n) => self.add_exact(kind, n),
                }
            }
        }
        Ok(())
    }

    /// Adds to the sum, or brings the average on by the part that the number has in it, at the
    /// scale of the difference, as Cassandra does.
    fn add_exact(&mut self, kind: AggregateKind, n: Decimal) {
        self.exact = Some(match self.exact.take() {
            None => n,
            Some(average) if kind == AggregateKind::Avg => {
                let difference = decimal::subtract(&n, &average);
                let part = decimal::divide_half_even(&difference.unscaled, &self.numbers.into());
                decimal::add(&average, &Decimal::new(part, difference.scale))
            }
            Some(sum) => decimal::add(&sum, &n),
        });
    }

    /// Adds to a sum of doubles, by Kahan's summation, as Cassandra does. Where it leaves their range it goes on
    /// exactly, for the average.
    fn add_real(&mut self, n: f64) {
        self.plain += n;
        let part = n - self.lost;
        let sum = self.real + part;
        let exact = |n: f64| Number::Real(n).exact();
        let overflows = sum.is_infinite() && n.is_finite();
        let before = self.exact.take().or_else(|| if overflows { exact(self.real) } else { None });
        self.exact = before.zip(exact(n)).map(|(sum, n)| decimal::add(&sum, &n));
        self.lost = (sum - self.real) - part;
        self.real = sum;
    }

    /// The sum of doubles. Cassandra adds what rounding added once more, where Kahan takes it away.
    fn real_sum(&self) -> f64 {
        let sum = self.real + self.lost;
        if sum.is_nan() && self.plain.is_infinite() { self.plain } else { sum }
    }

    /// The result, for values of a type.
    pub(crate) fn finish(self, kind: AggregateKind, ty: &CqlType) -> Result<Option<Vec<u8>>, CqlError> {
        let count = self.numbers;
        let real = self.real_sum();
        let zero = || Decimal::new(BigInt::ZERO, 0);
        let total = match (ty, kind) {
            (_, AggregateKind::CountRows | AggregateKind::Count) => {
                return Ok(Some(self.count.cast_signed().to_be_bytes().to_vec()));
            }
            (_, AggregateKind::Min | AggregateKind::Max) => return Ok(self.best),
            (CqlType::Float | CqlType::Double, AggregateKind::Sum) => Number::Real(real),
            (CqlType::Float | CqlType::Double, _) => match self.exact {
                Some(sum) => {
                    let average = decimal::divide_half_even(&sum.unscaled, &count.into());
                    Number::Real(Number::Exact(Decimal::new(average, sum.scale)).real())
                }
                None => Number::Real(if count == 0 { 0.0 } else { real / count as f64 }),
            },
            (CqlType::Decimal, _) => Number::Exact(self.exact.unwrap_or_else(zero)),

            (_, AggregateKind::Sum) => Number::Whole(self.whole),
            (_, _) => Number::Whole(if count == 0 { BigInt::ZERO } else { self.whole / BigInt::from(count) }),
        };
        wire(ty, &total.convert(ty)).map(Some)
    }
}
