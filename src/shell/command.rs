//! The shell's own commands: what the node never sees.

use dodona_types::Consistency;

/// What HELP prints.
pub(super) const HELP: &str = "\
Statements of CQL end with a semicolon and may take several lines.
  CONSISTENCY [level]          level of statements
  SERIAL CONSISTENCY [level]   level of conditional statements
  PAGING [ON | OFF | rows]     pages of rows
  EXPAND [ON | OFF]            a line for each value
  TRACING [ON | OFF]           trace statements
  SOURCE 'file'                run the statements of a file
  CLEAR                        clear the screen
  EXIT                         end
";

/// Whether the shell goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Continue,
    End,
}

/// A command of the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Set(Setting),
    Source(String),
    Help,
    Clear,
    Exit,
}

/// A setting to show (`None`) or to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Consistency(Option<Consistency>),
    SerialConsistency(Option<Consistency>),
    /// Rows of a page; the inner `None` is no paging.
    Paging(Option<Option<i32>>),
    Expand(Option<bool>),
    Tracing(Option<bool>),
}

/// Words that begin a line which needs no semicolon.
const LINE_COMMANDS: [&str; 13] = [
    "CONSISTENCY",
    "SERIAL",
    "PAGING",
    "EXPAND",
    "TRACING",
    "SOURCE",
    "HELP",
    "?",
    "CLEAR",
    "CLS",
    "EXIT",
    "QUIT",
    "DESC",
];

/// True if a line that begins with this word is complete without a semicolon.
pub(super) fn is_line_command(word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    word == "DESCRIBE" || LINE_COMMANDS.contains(&word.as_str())
}

/// The command, if the text is one and not a statement; what is wrong with it if something is.
pub(super) fn parse(text: &str) -> Option<Result<Command, String>> {
    let words: Vec<&str> = text.trim().trim_end_matches(';').split_whitespace().collect();
    let upper: Vec<String> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
    let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
    let set = |setting: Result<Setting, String>| Some(setting.map(Command::Set));
    match *upper.as_slice() {
        ["EXIT" | "QUIT"] => Some(Ok(Command::Exit)),
        ["HELP" | "?", ..] => Some(Ok(Command::Help)),
        ["CLEAR" | "CLS"] => Some(Ok(Command::Clear)),
        ["SOURCE", _] => Some(Ok(Command::Source(words[1].trim_matches('\'').to_owned()))),
        ["CONSISTENCY"] => set(Ok(Setting::Consistency(None))),
        ["CONSISTENCY", level] => set(level.parse().map(|level| Setting::Consistency(Some(level)))),
        ["SERIAL", "CONSISTENCY"] => set(Ok(Setting::SerialConsistency(None))),
        ["SERIAL", "CONSISTENCY", level] => set(serial(level)),
        ["PAGING"] => set(Ok(Setting::Paging(None))),
        ["PAGING", argument] => set(paging(argument)),
        ["EXPAND"] => set(Ok(Setting::Expand(None))),
        ["EXPAND", argument] => set(on_or_off(argument).map(|on| Setting::Expand(Some(on)))),
        ["TRACING"] => set(Ok(Setting::Tracing(None))),
        ["TRACING", argument] => set(on_or_off(argument).map(|on| Setting::Tracing(Some(on)))),
        ["SOURCE" | "CONSISTENCY" | "SERIAL" | "PAGING" | "EXPAND" | "TRACING", ..] => {
            Some(Err(format!("Improper {} command: see HELP", upper[0])))
        }
        _ => None,
    }
}

fn serial(level: &str) -> Result<Setting, String> {
    let level: Consistency = level.parse()?;
    if level.is_serial() {
        Ok(Setting::SerialConsistency(Some(level)))
    } else {
        Err(format!("{level} is not a serial consistency level: SERIAL or LOCAL_SERIAL"))
    }
}

fn paging(argument: &str) -> Result<Setting, String> {
    match argument {
        "ON" => Ok(Setting::Paging(Some(Some(super::PAGE_ROWS)))),
        "OFF" => Ok(Setting::Paging(Some(None))),
        rows => match rows.parse() {
            Ok(rows @ 1..) => Ok(Setting::Paging(Some(Some(rows)))),
            _ => Err("Improper PAGING command: ON, OFF or a number of rows".into()),
        },
    }
}

fn on_or_off(argument: &str) -> Result<bool, String> {
    match argument {
        "ON" => Ok(true),
        "OFF" => Ok(false),
        other => Err(format!("{other} is neither ON nor OFF")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_statements() {
        let quorum = Setting::Consistency(Some(Consistency::Quorum));
        assert_eq!(parse("consistency quorum;"), Some(Ok(Command::Set(quorum))));
        assert_eq!(parse("PAGING 5"), Some(Ok(Command::Set(Setting::Paging(Some(Some(5)))))));
        assert_eq!(parse("SOURCE 'A.cql'"), Some(Ok(Command::Source("A.cql".into()))));
        assert_eq!(parse("exit"), Some(Ok(Command::Exit)));
        assert!(parse("PAGING maybe").unwrap().is_err());
        assert!(parse("SERIAL CONSISTENCY ONE").unwrap().is_err());
        assert_eq!(parse("SELECT * FROM t"), None);
        assert_eq!(parse("DESCRIBE TABLES"), None);
    }
}
