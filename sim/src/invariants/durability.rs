//! Nothing acknowledged is lost, and no deleted row comes back.

use super::Seen;
use crate::model::{Action, Model, RowId};

/// What is read must be at least as new as the newest attempt that must survive.
///
/// # Errors
/// What was lost, or came back.
pub fn judge(model: &Model, row: RowId, seen: Seen) -> Result<(), String> {
    let attempts = model.attempts(row);
    let Some(newest) =
        attempts.iter().filter(|attempt| attempt.must_survive).max_by_key(|attempt| attempt.timestamp)
    else {
        return Ok(());
    };
    match seen {
        Some((timestamp, _)) if timestamp >= newest.timestamp => Ok(()),
        Some((timestamp, value)) => Err(format!(
            "row {row:?} shows value {value} of timestamp {timestamp}, although {:?} of timestamp {} was acknowledged",
            newest.action, newest.timestamp
        )),
        None => {
            let deleted = attempts
                .iter()
                .any(|attempt| attempt.action == Action::Delete && attempt.timestamp >= newest.timestamp);
            if deleted {
                return Ok(());
            }
            Err(format!(
                "row {row:?} is missing, although {:?} of timestamp {} was acknowledged",
                newest.action, newest.timestamp
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lost_writes_and_resurrected_rows_are_found() {
        let mut model = Model::default();
        let row = (1, 1);
        model.attempt(row, 5, Action::Put(50));
        assert!(judge(&model, row, None).is_ok(), "nothing was acknowledged");
        model.acknowledge(row, 5, Duration::from_secs(1));
        model.promise(Duration::from_secs(1));
        assert!(judge(&model, row, None).is_err());
        assert!(judge(&model, row, Some((5, 50))).is_ok());
        model.attempt(row, 7, Action::Delete);
        assert!(judge(&model, row, None).is_ok(), "a deletion that was not acknowledged may have happened");
        model.acknowledge(row, 7, Duration::from_secs(2));
        model.promise(Duration::from_secs(2));
        assert!(judge(&model, row, Some((5, 50))).is_err());
    }
}
