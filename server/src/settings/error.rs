//! What can be wrong with a `dodona.toml`, said with the line, and the key that was meant.

use thiserror::Error;

/// What is wrong with the settings, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// The text is no TOML, or a value is not of its type.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line, from 1 on.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// There is no such key.
    #[error("line {line}: there is no setting `{name}`{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// The line, from 1 on.
        line: usize,
        /// The key.
        name: String,
        /// A key that is spelled nearly so.
        nearest: Option<String>,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Conflict(String),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

pub(super) fn explain(text: &str, error: &toml::de::Error) -> SettingsError {
    let offset = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
    let message = error.message();
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return SettingsError::Syntax { line, message: message.to_owned() };
    };
    // serde: unknown field `x`, expected one of `a`, `b`, …
    let mut names = rest.split('`').step_by(2);
    let name = names.next().unwrap_or_default().to_owned();
    let nearest = rest
        .split('`')
        .skip(2)
        .step_by(2)
        .map(|known| (edit_distance(&name, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 2 + name.len() / 3)
        .map(|(_, known)| known.to_owned());
    SettingsError::Unknown { line, name, nearest }
}

/// How many letters to insert, remove or replace to make one word of the other (Levenshtein).
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (index, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *against);
            diagonal = row[index + 1];
            row[index + 1] = replaced.min(row[index] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
