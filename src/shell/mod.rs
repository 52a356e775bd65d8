//! `dodona shell`: CQL at a prompt.
//!
//! `input` finds statements in what is typed, `command` knows the shell's own commands,
//! `client` talks to the node, `format` makes tables of rows, `trace` shows what nodes did for a statement.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the outermost layer of the binary: it talks to a real socket and reads real files"
)]

mod client;
mod command;
mod format;
mod input;
mod trace;

use crate::output::print;
use clap::Args;
use client::{Client, ClientError, Page};
use command::{Command, Outcome, Setting};
use dodona_protocol::ErrorCode;
use dodona_protocol::request::QueryParameters;
use dodona_types::Consistency;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use thiserror::Error;
use uuid::Uuid;

/// Rows of a page, unless PAGING says otherwise.
const PAGE_ROWS: i32 = 100;
/// Where what was typed is kept, in the home directory.
const HISTORY_FILE: &str = ".dodona_history";

/// Arguments of `dodona shell`.
#[derive(Clone, Debug, Args)]
pub struct ShellArgs {
    /// Address of a node
    #[arg(default_value = "127.0.0.1")]
    host: String,
    /// Port of the node
    #[arg(default_value_t = 9042)]
    port: u16,
    /// Run these statements and end
    #[arg(short, long)]
    execute: Option<String>,
    /// Run the statements of a file and end
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// Keyspace to use
    #[arg(short, long)]
    keyspace: Option<String>,
    /// Role to log in as, if the node asks
    #[arg(short, long, default_value = "cassandra")]
    username: String,
    /// Password of the role
    #[arg(short, long, default_value = "cassandra")]
    password: String,
}

/// Why a shell ended.
#[derive(Debug, Error)]
pub enum ShellError {
    /// The node does not answer, or refuses the login.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The terminal cannot be used.
    #[error("{0}")]
    Terminal(#[from] ReadlineError),
    /// Statements of a script failed; what went wrong has been printed.
    #[error("{0} of the statements failed")]
    Failed(usize),
}

/// Runs a shell until its input ends.
///
/// # Errors
/// The node does not answer, or statements of a script failed.
pub fn run(args: &ShellArgs) -> Result<(), ShellError> {
    let client = Client::connect(&args.host, args.port, &args.username, &args.password)?;
    let mut shell = Shell {
        client,
        consistency: Consistency::One,
        serial_consistency: Consistency::Serial,
        page_rows: Some(PAGE_ROWS),
        expand: false,
        tracing: false,
        keyspace: None,
        interactive: false,
        failed: 0,
    };
    if let Some(keyspace) = &args.keyspace {
        shell.statement(&format!("USE {keyspace}"))?;
    }
    let script = match (&args.execute, &args.file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(path)) => Some(read(path)?),
        (None, None) if !std::io::stdin().is_terminal() => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| ShellError::File("standard input".into(), error))?;
            Some(text)
        }
        (None, None) => None,
    };
    match script {
        Some(script) => {
            shell.script(&script)?;
            if shell.failed > 0 { Err(ShellError::Failed(shell.failed)) } else { Ok(()) }
        }
        None => shell.interact(args),
    }
}

fn read(path: &std::path::Path) -> Result<String, ShellError> {
    std::fs::read_to_string(path).map_err(|error| ShellError::File(path.display().to_string(), error))
}

struct Shell {
    client: Client,
    consistency: Consistency,
    serial_consistency: Consistency,
    /// None for all rows at once.
    page_rows: Option<i32>,
    expand: bool,
    tracing: bool,
    keyspace: Option<String>,
    interactive: bool,
    failed: usize,
}

impl Shell {
    fn interact(&mut self, args: &ShellArgs) -> Result<(), ShellError> {
        self.interactive = true;
        let mut editor = DefaultEditor::new()?;
        let history = std::env::home_dir().map(|home| home.join(HISTORY_FILE));
        if let Some(history) = &history {
            // There is none the first time.
            let _ = editor.load_history(history);
        }
        print(&format!("Connected to {}:{}. HELP lists the commands; EXIT ends.\n", args.host, args.port));
        let mut typed = String::new();
        loop {
            match editor.readline(&self.prompt(typed.is_empty())) {
                Ok(line) => {
                    typed.push_str(&line);
                    typed.push('\n');
                }
                Err(ReadlineError::Interrupted) => typed.clear(),
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(error.into()),
            }
            let complete = input::split(&typed);
            if complete.statements.is_empty() {
                continue;
            }
            // A line of history that cannot be kept is no reason to stop.
            let _ = editor.add_history_entry(typed.trim());
            let statements: Vec<String> = complete.statements.iter().map(|text| (*text).to_owned()).collect();
            typed = complete.rest.trim_start().to_owned();
            let mut end = false;
            for statement in statements {
                end |= self.input(&statement)? == Outcome::End;
            }
            if end {
                break;
            }
        }
        if let Some(history) = &history {
            let _ = editor.save_history(history);
        }
        Ok(())
    }

    fn prompt(&self, begins: bool) -> String {
        let name =
            self.keyspace.as_ref().map_or_else(|| "dodona".into(), |keyspace| format!("dodona:{keyspace}"));
        if begins { format!("{name}> ") } else { format!("{:>width$} ", "...", width = name.len() + 1) }
    }

    fn script(&mut self, text: &str) -> Result<(), ShellError> {
        let complete = input::split(text);
        let last = Some(complete.rest).filter(|rest| !input::is_blank(rest));
        for statement in complete.statements.into_iter().chain(last) {
            if self.input(statement)? == Outcome::End {
                break;
            }
        }
        Ok(())
    }

    /// Runs a command of the shell or a statement.
    fn input(&mut self, text: &str) -> Result<Outcome, ShellError> {
        match command::parse(text) {
            None => self.statement(text)?,
            Some(Err(message)) => self.complain(&message),
            Some(Ok(Command::Exit)) => return Ok(Outcome::End),
            Some(Ok(Command::Help)) => print(command::HELP),
            Some(Ok(Command::Clear)) => print("\x1B[2J\x1B[H"),
            Some(Ok(Command::Source(path))) => {
                match std::fs::read_to_string(&path) {
                    Ok(script) => self.script(&script)?,
                    Err(error) => self.complain(&format!("{path}: {error}")),
                };
            }
            Some(Ok(Command::Set(setting))) => self.set(setting),
        }
        Ok(Outcome::Continue)
    }

    fn complain(&mut self, message: &str) {
        self.failed += 1;
        eprintln!("{message}");
    }

    fn set(&mut self, setting: Setting) {
        let on = |on: bool| if on { "ON" } else { "OFF" };
        match setting {
            Setting::Consistency(level) => {
                self.consistency = level.unwrap_or(self.consistency);
                let verb = if level.is_some() { "set to" } else { "is" };
                print(&format!("Consistency level {verb} {}.\n", self.consistency));
            }
            Setting::SerialConsistency(level) => {
                self.serial_consistency = level.unwrap_or(self.serial_consistency);
                print(&format!("Serial consistency level is {}.\n", self.serial_consistency));
            }
            Setting::Paging(rows) => {
                self.page_rows = rows.unwrap_or(self.page_rows);
                match self.page_rows {
                    Some(rows) => print(&format!("Query paging is ON, with pages of {rows} rows.\n")),
                    None => print("Query paging is OFF.\n"),
                }
            }
            Setting::Expand(expand) => {
                self.expand = expand.unwrap_or(self.expand);
                print(&format!("Expanded output is {}.\n", on(self.expand)));
            }
            Setting::Tracing(tracing) => {
                self.tracing = tracing.unwrap_or(self.tracing);
                print(&format!("Tracing is {}.\n", on(self.tracing)));
            }
        }
    }

    /// Runs a statement and prints all of its pages.
    fn statement(&mut self, text: &str) -> Result<(), ShellError> {
        let (mut state, mut rows): (Option<Vec<u8>>, usize) = (None, 0);
        loop {
            let mut parameters = QueryParameters::new(self.consistency);
            parameters.serial_consistency = Some(self.serial_consistency);
            parameters.page_size = self.page_rows;
            parameters.paging_state = state.as_deref();
            let answer = match self.client.query(text, parameters, self.tracing) {
                Ok(answer) => answer,
                Err(ClientError::Refused { code, message }) => {
                    self.complain(&explain(code, &message));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            answer.warnings.iter().for_each(|warning| eprintln!("Warning: {warning}"));
            if let Some(keyspace) = answer.keyspace {
                self.keyspace = Some(keyspace);
            }
            let Some(page) = answer.page else { return self.trace(answer.tracing_id) };
            print(&self.page(&page, rows));
            rows += page.rows.len();
            state.clone_from(&page.paging_state);
            let ends = state.is_none() || !self.wants_more();
            if ends && !format::is_text(&page) {
                print(&format!("\n({rows} rows)\n\n"));
            }
            self.trace(answer.tracing_id)?;
            if ends {
                return Ok(());
            }
        }
    }

    /// Shows what the nodes did for a request that was traced.
    fn trace(&mut self, id: Option<Uuid>) -> Result<(), ShellError> {
        let Some(id) = id else { return Ok(()) };
        print(&format!("Tracing session: {id}\n"));
        match trace::of_session(&mut self.client, id) {
            Ok(Some(page)) => print(&(self.page(&page, 0) + "\n")),
            Ok(None) => self.complain("the trace was not written in time: look into system_traces later"),
            Err(ClientError::Refused { code, message }) => self.complain(&explain(code, &message)),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn page(&self, page: &Page, rows_before: usize) -> String {
        if format::is_text(page) {
            format::text(page)
        } else if self.expand {
            format::vertical(page, rows_before)
        } else {
            format::table(page)
        }
    }

    fn wants_more(&self) -> bool {
        if !self.interactive {
            return true;
        }
        print("\n---MORE--- (Enter for the next page, q to stop)\n");
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .is_ok_and(|read| read > 0 && !line.trim().eq_ignore_ascii_case("q"))
    }
}

/// An error of the node, as cqlsh words it.
fn explain(code: ErrorCode, message: &str) -> String {
    match code {
        ErrorCode::SyntaxError => format!("SyntaxException: {message}"),
        ErrorCode::Invalid => {
            format!("InvalidRequest: Error from server: code=2200 [Invalid query] message=\"{message}\"")
        }
        ErrorCode::AlreadyExists => format!("AlreadyExists: {message}"),
        ErrorCode::Unauthorized => {
            format!("Unauthorized: Error from server: code=2100 [Unauthorized] message=\"{message}\"")
        }
        ErrorCode::ConfigError => format!("ConfigurationException: {message}"),
        code => format!("{code:?}: Error from server: code={:04x} message=\"{message}\"", code.code()),
    }
}
