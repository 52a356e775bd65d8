//! What native functions do.

use super::call::{Call, Native};
use super::time::{bigint, bound_timeuuid, date_of_millis, floor, millis_of, timeuuid};
use super::{arithmetic, cast, collection, mask, math, vector};
use crate::binding::Binding;
use crate::error::CqlError;
use dodona_types::value::{self, json_to_wire, parse_json, wire_to_json};
use dodona_types::{CqlType, Token};

impl Call {
    /// The call's value for these arguments.
    pub(crate) fn execute(
        &self,
        arguments: &[Option<&[u8]>],
        binding: &Binding<'_>,
    ) -> Result<Option<Vec<u8>>, CqlError> {
        let types = &self.signature.arguments;
        match &self.signature.native {
            Native::ToJson => {
                let mut out = String::new();
                let ty = types.first().unwrap_or(&CqlType::Blob);
                let is_value = matches!(
                    ty,
                    CqlType::Text | CqlType::Ascii | CqlType::Blob | CqlType::UserDefined { .. }
                );
                // An empty value of a type whose values otherwise have bytes is as good as null.
                let first =
                    arguments.first().copied().flatten().filter(|bytes| is_value || !bytes.is_empty());
                wire_to_json(ty, first, &mut out)?;
                Ok(Some(out.into_bytes()))
            }
            Native::Mask(kind) => mask::execute(*kind, &self.name, &types[0], arguments),
            _ => match arguments.iter().copied().collect::<Option<Vec<&[u8]>>>() {
                Some(arguments) => self.of_values(&arguments, binding),
                None => Ok(None),
            },
        }
    }

    /// The value of a function that is null wherever an argument is.
    fn of_values(&self, arguments: &[&[u8]], binding: &Binding<'_>) -> Result<Option<Vec<u8>>, CqlError> {
        let types = &self.signature.arguments;
        let now_millis = binding.now_micros.div_euclid(1_000);
        let first = arguments.first().copied().unwrap_or_default();
        let millis = || millis_of(&types[0], first);
        Ok(match &self.signature.native {
            Native::Uuid => Some(binding.random.uuid_v4().as_bytes().to_vec()),
            Native::Now => Some(timeuuid(binding).as_bytes().to_vec()),
            Native::CurrentTimestamp => Some(now_millis.to_be_bytes().to_vec()),
            Native::CurrentDate => Some(date_of_millis(now_millis)),
            Native::CurrentTime => Some(
                (binding.now_micros.rem_euclid(86_400_000_000) / 1_000 * 1_000_000).to_be_bytes().to_vec(),
            ),
            Native::Token => {
                Some(Token::of_key(&crate::keys::partition_key(arguments)).0.to_be_bytes().to_vec())
            }
            Native::MinTimeuuid => bigint(first).map(|millis| bound_timeuuid(millis, false)),
            Native::MaxTimeuuid => bigint(first).map(|millis| bound_timeuuid(millis, true)),
            Native::ToDate => millis().map(date_of_millis),
            Native::ToTimestamp | Native::ToUnixTimestamp => {
                millis().map(|millis| millis.to_be_bytes().to_vec())
            }
            Native::Floor => return floor(types, first, arguments[1], arguments.get(2).copied()),
            Native::ToBlob => Some(first.to_vec()),
            Native::FromBlob => Some(self.value_of_blob(first)?),
            Native::FromJson => self.value_of_json(first)?,
            Native::Cast => return cast::execute(&types[0], &self.signature.result, first),
            Native::Concat => Some([first, arguments[1]].concat()),
            Native::Negate => return arithmetic::negate(&types[0], first),
            Native::Arithmetic(operator) => {
                return arithmetic::execute(*operator, &self.signature, first, arguments[1]);
            }
            Native::Math(function) => return math::execute(*function, &types[0], first),
            Native::Similarity(kind) => Some(vector::execute(*kind, &self.name, first, arguments[1])?),
            Native::ToJson | Native::Mask(_) | Native::Aggregate(_) => None,
            function => return collection::execute(function, &types[0], first),
        })
    }

    fn value_of_blob(&self, bytes: &[u8]) -> Result<Vec<u8>, CqlError> {
        let ty = &self.signature.result;
        value::validate(ty, bytes).map_err(|_| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            CqlError::Invalid(format!(
                "In call to function system.{}, value 0x{hex} is not a valid binary representation for type {ty}",
                self.name
            ))
        })?;
        Ok(bytes.to_vec())
    }

    fn value_of_json(&self, text: &[u8]) -> Result<Option<Vec<u8>>, CqlError> {
        let text = String::from_utf8_lossy(text);
        let failure = |message: String| CqlError::FunctionFailure {
            keyspace: "system".into(),
            name: self.name.to_string(),
            arguments: vec!["text".into()],
            message,
        };
        let json = parse_json(&text)
            .map_err(|error| failure(format!("Could not decode JSON string '{text}': {error}")))?;
        if json == value::JsonValue::Null {
            return Ok(None);
        }
        let mut out = Vec::new();
        json_to_wire(&self.signature.result, &json, &mut out).map_err(|error| {
            // A string that is no duration is reported as such, as in Cassandra.
            if self.signature.result == CqlType::Duration && matches!(json, value::JsonValue::String(_)) {
                return CqlError::Invalid(error.to_string());
            }
            failure(format!("org.apache.cassandra.serializers.MarshalException: {error}"))
        })?;
        Ok(Some(out))
    }
}
