//! OPTIONS: what does the server support?

/// OPTIONS (native_protocol_v5 section 4.1.3). Its body is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options;
