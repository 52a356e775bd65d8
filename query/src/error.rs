//! Why a statement was refused or failed, by the protocol's classes of errors.

use dodona_cluster::ClusterError;
use dodona_types::value::ValueError;
use thiserror::Error;

/// An error of a statement.
#[derive(Clone, Debug, Error)]
pub enum CqlError {
    /// The text is not CQL.
    #[error("{0}")]
    Syntax(String),
    /// The statement is CQL but makes no sense here.
    #[error("{0}")]
    Invalid(String),
    /// An option is not valid.
    #[error("{0}")]
    Config(String),
    /// The client may not do this.
    #[error("{0}")]
    Unauthorized(String),
    /// The keyspace, or the table or type in it, exists.
    #[error("{}", already_exists(.keyspace, .table))]
    AlreadyExists {
        /// The keyspace.
        keyspace: String,
        /// The table or type; empty for a keyspace.
        table: String,
    },
    /// A function failed on its arguments.
    #[error("{message}")]
    FunctionFailure {
        /// The function's keyspace.
        keyspace: String,
        /// Its name.
        name: String,
        /// Types of its arguments, as CQL writes them.
        arguments: Vec<String>,
        /// What happened.
        message: String,
    },
    /// No such prepared statement here: prepare it again.
    #[error("Prepared query with ID {} not found (either the query was not prepared on this host (maybe the host has been restarted?) or you have prepared too many queries and it has been evicted from the internal cache)", hex(.0))]
    Unprepared(Vec<u8>),
    /// The table could not be truncated.
    #[error("{0}")]
    Truncate(String),
    /// The cluster could not serve the request.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A defect of the server.
    #[error("{0}")]
    Server(String),
}

fn already_exists(keyspace: &str, table: &str) -> String {
    if table.is_empty() {
        format!("Cannot add existing keyspace \"{keyspace}\"")
    } else {
        format!("Cannot add already existing table \"{table}\" to keyspace \"{keyspace}\"")
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<ValueError> for CqlError {
    fn from(error: ValueError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<dodona_types::codec::DecodeError> for CqlError {
    fn from(error: dodona_types::codec::DecodeError) -> Self {
        Self::Server(error.to_string())
    }
}

/// Shorthand for an invalid request.
pub(crate) fn invalid<T>(message: impl Into<String>) -> Result<T, CqlError> {
    Err(CqlError::Invalid(message.into()))
}
