//! The native functions.

use crate::binding::Binding;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use dodona_types::value::{self, Decimal, Value, json_to_wire, parse_json, wire_to_json};
use dodona_types::{CqlType, Token};
use num_bigint::BigInt;
use num_traits::ToPrimitive;
use uuid::Uuid;

/// Microseconds between the start of UUID time (1582-10-15) and the epoch.
const UUID_EPOCH_MICROS: i64 = 12_219_292_800_000_000;

/// A native function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    /// `uuid()`
    Uuid,
    /// `now()`, `current_timeuuid()`: the name it was called by.
    Now(&'static str),
    /// `current_timestamp()`
    CurrentTimestamp,
    /// `current_date()`
    CurrentDate,
    /// `current_time()`
    CurrentTime,
    /// `min_timeuuid(timestamp)`
    MinTimeuuid,
    /// `max_timeuuid(timestamp)`
    MaxTimeuuid,
    /// `to_date(timeuuid | timestamp)`
    ToDate,
    /// `to_timestamp(timeuuid | date)`
    ToTimestamp,
    /// `to_unix_timestamp(timeuuid | timestamp | date)`
    ToUnixTimestamp,
    /// `token(partition key)`
    Token,
    /// `TYPE_as_blob(value)`
    ToBlob(CqlType),
    /// `blob_as_TYPE(blob)`
    FromBlob(CqlType),
    /// `to_json(value)`
    ToJson,
    /// `from_json(text)`
    FromJson,
    /// `CAST`
    Cast,
}

impl Native {
    /// The function of this name; Cassandra 5 has names with underscores, and the older ones.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        Some(match lower.as_str() {
            "uuid" => Self::Uuid,
            "now" => Self::Now("now"),
            "current_timeuuid" | "currenttimeuuid" => Self::Now("current_timeuuid"),
            "current_timestamp" | "currenttimestamp" => Self::CurrentTimestamp,
            "current_date" | "currentdate" => Self::CurrentDate,
            "current_time" | "currenttime" => Self::CurrentTime,
            "min_timeuuid" | "mintimeuuid" => Self::MinTimeuuid,
            "max_timeuuid" | "maxtimeuuid" => Self::MaxTimeuuid,
            "to_date" | "todate" => Self::ToDate,
            "to_timestamp" | "totimestamp" => Self::ToTimestamp,
            "to_unix_timestamp" | "tounixtimestamp" => Self::ToUnixTimestamp,
            "token" => Self::Token,
            "to_json" | "tojson" => Self::ToJson,
            "from_json" | "fromjson" => Self::FromJson,
            other => return Self::find_blob_conversion(other),
        })
    }

    fn find_blob_conversion(name: &str) -> Option<Self> {
        let native =
            |name: &str| CqlType::native(name).filter(|ty| *ty != CqlType::Counter || name == "counter");
        if let Some(ty) = name.strip_suffix("_as_blob").or(name.strip_suffix("asblob")) {
            return native(ty).map(Self::ToBlob);
        }
        name.strip_prefix("blob_as_").or(name.strip_prefix("blobas")).and_then(native).map(Self::FromBlob)
    }

    /// The name, as Cassandra 5 writes it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Uuid => "uuid".into(),
            Self::Now(name) => (*name).into(),
            Self::CurrentTimestamp => "current_timestamp".into(),
            Self::CurrentDate => "current_date".into(),
            Self::CurrentTime => "current_time".into(),
            Self::MinTimeuuid => "min_timeuuid".into(),
            Self::MaxTimeuuid => "max_timeuuid".into(),
            Self::ToDate => "to_date".into(),
            Self::ToTimestamp => "to_timestamp".into(),
            Self::ToUnixTimestamp => "to_unix_timestamp".into(),
            Self::Token => "token".into(),
            Self::ToBlob(ty) => format!("{ty}_as_blob"),
            Self::FromBlob(ty) => format!("blob_as_{ty}"),
            Self::ToJson => "to_json".into(),
            Self::FromJson => "from_json".into(),
            Self::Cast => "cast".into(),
        }
    }

    /// The types of arguments and result for arguments of these types.
    pub(crate) fn signature(
        &self,
        arguments: &[Option<CqlType>],
        context: &Context<'_>,
        receiver: Option<&CqlType>,
    ) -> Result<(Vec<CqlType>, CqlType), CqlError> {
        match self {
            Self::Uuid => self.fixed(arguments, &[], CqlType::Uuid),
            Self::Now(_) => self.fixed(arguments, &[], CqlType::Timeuuid),
            Self::CurrentTimestamp => self.fixed(arguments, &[], CqlType::Timestamp),
            Self::CurrentDate => self.fixed(arguments, &[], CqlType::Date),
            Self::CurrentTime => self.fixed(arguments, &[], CqlType::Time),
            Self::MinTimeuuid | Self::MaxTimeuuid => {
                self.fixed(arguments, &[&[CqlType::Timestamp]], CqlType::Timeuuid)
            }
            Self::ToDate => self.fixed(arguments, &[&[CqlType::Timeuuid, CqlType::Timestamp]], CqlType::Date),
            Self::ToTimestamp => {
                self.fixed(arguments, &[&[CqlType::Timeuuid, CqlType::Date]], CqlType::Timestamp)
            }
            Self::ToUnixTimestamp => self.fixed(
                arguments,
                &[&[CqlType::Timeuuid, CqlType::Timestamp, CqlType::Date]],
                CqlType::Bigint,
            ),
            Self::ToBlob(ty) => self.fixed(arguments, &[std::slice::from_ref(ty)], CqlType::Blob),
            Self::FromBlob(ty) => self.fixed(arguments, &[&[CqlType::Blob]], ty.clone()),
            Self::Token => {
                let Some(table) = &context.table else {
                    return invalid("token() outside of a table");
                };
                let keys: Vec<CqlType> =
                    table.partition_key().map(|column| column.cql_type.clone()).collect();
                let allowed: Vec<&[CqlType]> = keys.iter().map(std::slice::from_ref).collect();
                self.fixed(arguments, &allowed, CqlType::Bigint)
            }
            Self::ToJson => match arguments {
                [Some(ty)] => Ok((vec![ty.clone()], CqlType::Text)),
                _ => self.mismatch(arguments),
            },
            Self::FromJson => {
                let Some(receiver) = receiver else {
                    return invalid(
                        "from_json() cannot be used in the selection clause of a SELECT statement",
                    );
                };
                self.fixed(arguments, &[&[CqlType::Text]], receiver.clone())
            }
            Self::Cast => self.mismatch(arguments),
        }
    }

    fn mismatch<T>(&self, arguments: &[Option<CqlType>]) -> Result<T, CqlError> {
        let given: Vec<String> = arguments
            .iter()
            .map(|ty| ty.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string))
            .collect();
        invalid(format!(
            "Invalid call to function {}, none of its type signatures match ({})",
            self.name(),
            given.join(", ")
        ))
    }

    fn fixed(
        &self,
        arguments: &[Option<CqlType>],
        allowed: &[&[CqlType]],
        result: CqlType,
    ) -> Result<(Vec<CqlType>, CqlType), CqlError> {
        if arguments.len() != allowed.len() {
            return invalid(format!(
                "Invalid number of arguments in call to function {}: {} required but {} provided",
                self.name(),
                allowed.len(),
                arguments.len()
            ));
        }
        let mut chosen = Vec::with_capacity(allowed.len());
        for (argument, allowed) in arguments.iter().zip(allowed) {
            match argument {
                None if allowed.len() == 1 => chosen.push(allowed[0].clone()),
                None => {
                    return invalid(format!(
                        "Ambiguous call to function {} (can be matched by following signatures: {}): use type casts to disambiguate",
                        self.name(),
                        allowed
                            .iter()
                            .map(|ty| format!("{}({ty})", self.name()))
                            .collect::<Vec<_>>()
                            .join(", ")
                    ));
                }
                Some(ty) => match allowed.iter().find(|allowed| fits(ty, allowed)) {
                    Some(allowed) => chosen.push(allowed.clone()),
                    None => return self.mismatch(arguments),
                },
            }
        }
        Ok((chosen, result))
    }

    /// The value for these arguments.
    pub(crate) fn execute(
        &self,
        types: &[CqlType],
        result: &CqlType,
        arguments: &[Option<&[u8]>],
        binding: &Binding<'_>,
    ) -> Result<Option<Vec<u8>>, CqlError> {
        let now_millis = binding.now_micros.div_euclid(1_000);
        let first = arguments.first().copied().flatten();
        let is = |ty: &CqlType| types.first() == Some(ty);
        let millis = |bytes: &[u8]| {
            if is(&CqlType::Date) {
                date_millis(bytes)
            } else if is(&CqlType::Timeuuid) {
                timeuuid_millis(bytes)
            } else {
                bigint(bytes)
            }
        };
        Ok(match self {
            Self::Uuid => Some(binding.random.uuid_v4().as_bytes().to_vec()),
            Self::Now(_) => Some(timeuuid(binding).as_bytes().to_vec()),
            Self::CurrentTimestamp => Some(now_millis.to_be_bytes().to_vec()),
            Self::CurrentDate => Some(date_of_millis(now_millis)),
            Self::CurrentTime => Some(
                (binding.now_micros.rem_euclid(86_400_000_000) / 1_000 * 1_000_000).to_be_bytes().to_vec(),
            ),
            Self::Token => {
                let components: Option<Vec<&[u8]>> = arguments.iter().copied().collect();
                components.map(|components| {
                    Token::of_key(&crate::keys::partition_key(&components)).0.to_be_bytes().to_vec()
                })
            }
            Self::ToJson => {
                let mut out = String::new();
                wire_to_json(types.first().unwrap_or(&CqlType::Blob), first, &mut out)?;
                Some(out.into_bytes())
            }
            _ if first.is_none() => None,
            Self::MinTimeuuid => Some(bound_timeuuid(bigint(first.unwrap_or_default()).unwrap_or(0), false)),
            Self::MaxTimeuuid => Some(bound_timeuuid(bigint(first.unwrap_or_default()).unwrap_or(0), true)),
            Self::ToDate => first.and_then(millis).map(date_of_millis),
            Self::ToTimestamp | Self::ToUnixTimestamp => {
                first.and_then(millis).map(|millis| millis.to_be_bytes().to_vec())
            }
            Self::ToBlob(_) => first.map(<[u8]>::to_vec),
            Self::FromBlob(ty) => {
                let bytes = first.unwrap_or_default();
                value::validate(ty, bytes).map_err(|_| {
                    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    CqlError::Invalid(format!("In call to function {}, value 0x{hex} is not a valid binary representation for type {ty}", self.name()))
                })?;
                Some(bytes.to_vec())
            }
            Self::FromJson => self.value_of_json(result, first.unwrap_or_default())?,
            Self::Cast => cast_value(&types[0], result, first.unwrap_or_default())?,
        })
    }

    fn value_of_json(&self, result: &CqlType, text: &[u8]) -> Result<Option<Vec<u8>>, CqlError> {
        let text = String::from_utf8_lossy(text);
        let failure = |message: String| CqlError::FunctionFailure {
            keyspace: "system".into(),
            name: self.name(),
            arguments: vec!["text".into()],
            message: format!("Could not decode JSON string '{text}': {message}"),
        };
        let json = parse_json(&text).map_err(|error| failure(error.to_string()))?;
        if json == value::JsonValue::Null {
            return Ok(None);
        }
        let mut out = Vec::new();
        json_to_wire(result, &json, &mut out).map_err(|error| failure(error.to_string()))?;
        Ok(Some(out))
    }
}

fn fits(ty: &CqlType, allowed: &CqlType) -> bool {
    crate::term::assignable(ty, allowed)
        || matches!(
            (ty, allowed),
            (CqlType::Text, CqlType::Timestamp | CqlType::Date | CqlType::Inet | CqlType::Ascii)
        )
        || (is_number(ty) && (is_number(allowed) || *allowed == CqlType::Timestamp))
}

/// True for the types of numbers.
pub(crate) fn is_number(ty: &CqlType) -> bool {
    matches!(
        ty,
        CqlType::Tinyint
            | CqlType::Smallint
            | CqlType::Int
            | CqlType::Bigint
            | CqlType::Counter
            | CqlType::Varint
            | CqlType::Float
            | CqlType::Double
            | CqlType::Decimal
    )
}

fn bigint(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

fn date_millis(bytes: &[u8]) -> Option<i64> {
    let days = u32::from_be_bytes(bytes.try_into().ok()?);
    Some((i64::from(days) - (1 << 31)) * 86_400_000)
}

fn date_of_millis(millis: i64) -> Vec<u8> {
    let days = millis.div_euclid(86_400_000) + (1 << 31);
    (days as u32).to_be_bytes().to_vec()
}

fn timeuuid_millis(bytes: &[u8]) -> Option<i64> {
    let uuid = Uuid::from_slice(bytes).ok()?;
    let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
    Some(seconds.cast_signed() * 1_000 + i64::from(nanos / 1_000_000))
}

/// A timeuuid of the statement's time with random clock sequence and node: unique without
/// any state.
pub(crate) fn timeuuid(binding: &Binding<'_>) -> Uuid {
    let mut random = [0; 8];
    binding.random.fill(&mut random);
    // The multicast bit marks a node that is no machine's address.
    random[2] |= 1;
    timeuuid_with(binding.now_micros, 0, random)
}

/// A version 1 UUID of this time, and this clock sequence (two bytes) and node (six bytes).
pub(crate) fn timeuuid_with(micros: i64, hundreds_of_nanos: u64, mut tail: [u8; 8]) -> Uuid {
    let ticks = (micros.saturating_add(UUID_EPOCH_MICROS))
        .cast_unsigned()
        .wrapping_mul(10)
        .wrapping_add(hundreds_of_nanos);
    tail[0] = (tail[0] & 0x3f) | 0x80;
    Uuid::from_fields(ticks as u32, (ticks >> 32) as u16, ((ticks >> 48) as u16 & 0x0fff) | 0x1000, &tail)
}

fn bound_timeuuid(millis: i64, max: bool) -> Vec<u8> {
    let ticks = if max { 9_999 } else { 0 };
    let tail = if max { [0x7f; 8] } else { [0x80; 8] };
    let mut uuid = timeuuid_with(millis.saturating_mul(1_000), ticks, tail).into_bytes();
    // The order of these bytes is signed: 0x80 is the least and 0x7f the greatest.
    uuid[8] = tail[0];
    uuid.to_vec()
}

/// True if `CAST` goes from one type to the other.
pub(crate) fn can_cast(source: &CqlType, target: &CqlType) -> bool {
    if source == target {
        return true;
    }
    if matches!(target, CqlType::Text | CqlType::Ascii) {
        return !matches!(source, CqlType::Blob | CqlType::Duration) && (source.native_name().is_some());
    }
    let to_number = is_number(target) && *target != CqlType::Counter;
    (is_number(source) && to_number)
        || matches!(
            (source, target),
            (CqlType::Timeuuid | CqlType::Timestamp, CqlType::Date)
                | (CqlType::Timeuuid | CqlType::Date, CqlType::Timestamp)
        )
}

fn cast_value(source: &CqlType, target: &CqlType, bytes: &[u8]) -> Result<Option<Vec<u8>>, CqlError> {
    if source == target {
        return Ok(Some(bytes.to_vec()));
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let millis = match source {
        CqlType::Timeuuid => timeuuid_millis(bytes),
        CqlType::Date => date_millis(bytes),
        CqlType::Timestamp => bigint(bytes),
        _ => None,
    };
    match target {
        CqlType::Text | CqlType::Ascii => {
            let literal = value::wire_to_literal(source, Some(bytes))?;
            let text = literal
                .strip_prefix('\'')
                .and_then(|text| text.strip_suffix('\''))
                .map_or(literal.clone(), |text| text.replace("''", "'"));
            return Ok(Some(text.into_bytes()));
        }
        CqlType::Date => return Ok(millis.map(date_of_millis)),
        CqlType::Timestamp => return Ok(millis.map(|millis| millis.to_be_bytes().to_vec())),
        _ => {}
    }
    let number = number(source, bytes)?;
    let mut out = Vec::new();
    value::encode(target, &number.convert(target), &mut out)?;
    Ok(Some(out))
}

/// A number of any type.
pub(crate) enum Number {
    Whole(BigInt),
    Real(f64),
    Exact(Decimal),
}

/// The number in wire bytes of a numeric type.
pub(crate) fn number(ty: &CqlType, bytes: &[u8]) -> Result<Number, CqlError> {
    Ok(match value::decode(ty, bytes)? {
        Value::Tinyint(n) => Number::Whole(n.into()),
        Value::Smallint(n) => Number::Whole(n.into()),
        Value::Int(n) => Number::Whole(n.into()),
        Value::Bigint(n) | Value::Counter(n) => Number::Whole(n.into()),
        Value::Varint(n) => Number::Whole(n),
        Value::Float(n) => Number::Real(n.into()),
        Value::Double(n) => Number::Real(n),
        Value::Decimal(n) => Number::Exact(n),
        other => return invalid(format!("{other:?} is not a number")),
    })
}

impl Number {
    fn whole(&self) -> BigInt {
        match self {
            Self::Whole(n) => n.clone(),
            // As Java's conversion: towards zero, and saturating.
            Self::Real(n) => BigInt::from(*n as i64),
            Self::Exact(decimal) => {
                let plain = decimal.to_plain_string();
                plain.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or(BigInt::ZERO)
            }
        }
    }

    fn real(&self) -> f64 {
        match self {
            Self::Whole(n) => n.to_f64().unwrap_or(f64::NAN),
            Self::Real(n) => *n,
            Self::Exact(decimal) => decimal.to_plain_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// The number as a value of a numeric type, as Java's conversions give it.
    pub(crate) fn convert(&self, target: &CqlType) -> Value {
        let low_bits = |n: &BigInt| {
            n.iter_u64_digits().next().map_or(0, |digit| {
                let digit = digit.cast_signed();
                if n.sign() == num_bigint::Sign::Minus { digit.wrapping_neg() } else { digit }
            })
        };
        match target {
            CqlType::Tinyint => Value::Tinyint(low_bits(&self.whole()) as i8),
            CqlType::Smallint => Value::Smallint(low_bits(&self.whole()) as i16),
            CqlType::Int => match self {
                Self::Real(n) => Value::Int(*n as i32),
                _ => Value::Int(low_bits(&self.whole()) as i32),
            },
            CqlType::Bigint => Value::Bigint(low_bits(&self.whole())),
            CqlType::Counter => Value::Counter(low_bits(&self.whole())),
            CqlType::Varint => Value::Varint(self.whole()),
            CqlType::Float => Value::Float(self.real() as f32),
            CqlType::Double => Value::Double(self.real()),
            _ => Value::Decimal(match self {
                Self::Whole(n) => Decimal { unscaled: n.clone(), scale: 0 },
                Self::Real(n) => {
                    value::format_double(*n).parse().unwrap_or(Decimal { unscaled: BigInt::ZERO, scale: 0 })
                }
                Self::Exact(decimal) => decimal.clone(),
            }),
        }
    }
}
