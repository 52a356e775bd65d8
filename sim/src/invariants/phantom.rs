//! Nothing is read that nobody wrote.

use super::Seen;
use crate::model::{Action, Model, RowId};

/// What is read was attempted, with this timestamp and this value.
///
/// # Errors
/// The value that nobody wrote.
pub fn judge(model: &Model, row: RowId, seen: Seen) -> Result<(), String> {
    let Some((timestamp, value)) = seen else {
        return Ok(());
    };
    let written = model
        .attempts(row)
        .iter()
        .any(|attempt| attempt.timestamp == timestamp && attempt.action == Action::Put(value));
    if written {
        Ok(())
    } else {
        Err(format!("row {row:?} shows value {value} of timestamp {timestamp}, which nobody wrote"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_nobody_wrote_are_found() {
        let mut model = Model::default();
        model.attempt((1, 1), 5, Action::Put(50));
        assert!(judge(&model, (1, 1), Some((5, 50))).is_ok());
        assert!(judge(&model, (1, 1), Some((5, 51))).is_err());
        assert!(judge(&model, (1, 2), Some((5, 50))).is_err());
    }
}
