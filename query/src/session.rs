//! What a statement is executed with: the client's session, and the parameters of one request.

use dodona_types::Consistency;
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A client's session: what lasts from one request of a connection to the next.
#[derive(Debug)]
pub struct Session {
    keyspace: Mutex<Option<Arc<str>>>,
    /// The role that logged in; none without authentication.
    pub role: Mutex<Option<Arc<str>>>,
    /// Where the client is.
    pub client: SocketAddr,
    /// The server itself asks: guardrails are for clients.
    is_of_server: bool,
}

impl Session {
    /// A session without a keyspace.
    #[must_use]
    pub const fn new(client: SocketAddr) -> Self {
        Self { keyspace: Mutex::new(None), role: Mutex::new(None), client, is_of_server: false }
    }

    /// A session of the server itself.
    #[must_use]
    pub fn of_server() -> Self {
        let client = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self { is_of_server: true, ..Self::new(client) }
    }

    /// True for a session of the server itself.
    pub(crate) const fn is_of_server(&self) -> bool {
        self.is_of_server
    }

    /// The keyspace that `USE` chose.
    #[must_use]
    pub fn keyspace(&self) -> Option<Arc<str>> {
        self.keyspace.lock().clone()
    }

    /// Chooses a keyspace.
    pub fn set_keyspace(&self, keyspace: Arc<str>) {
        *self.keyspace.lock() = Some(keyspace);
    }
}

/// A value that a client bound to a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundValue<'a> {
    /// Null.
    Null,
    /// Not set: what it would change stays as it is.
    Unset,
    /// A value's wire bytes.
    Bytes(&'a [u8]),
}

/// The parameters of one request.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    /// Values in the order of the markers.
    pub values: &'a [BoundValue<'a>],
    /// The values' names, where the client gave names: one for each value.
    pub names: Option<&'a [&'a str]>,
    /// The consistency level.
    pub consistency: Consistency,
    /// The level of conditional statements.
    pub serial_consistency: Consistency,
    /// Rows of a page; `None` for all rows at once.
    pub page_size: Option<u32>,
    /// Where the page before ended.
    pub paging_state: Option<&'a [u8]>,
    /// The client's timestamp, in microseconds since the epoch.
    pub timestamp_micros: Option<i64>,
    /// The client's idea of now, in seconds since the epoch.
    pub now_seconds: Option<i64>,
    /// The protocol's version: 3, 4 or 5.
    pub protocol_version: u8,
}

impl Parameters<'_> {
    /// Parameters without values at level ONE.
    #[must_use]
    pub const fn new() -> Self {
        Parameters {
            values: &[],
            names: None,
            consistency: Consistency::One,
            serial_consistency: Consistency::Serial,
            page_size: None,
            paging_state: None,
            timestamp_micros: None,
            now_seconds: None,
            protocol_version: 5,
        }
    }
}

impl Default for Parameters<'_> {
    fn default() -> Self {
        Self::new()
    }
}
