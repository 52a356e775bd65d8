//! Requests to a node's administration service.

use super::NodetoolError;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// The query of a URL.
pub(super) fn query(parts: &[(&str, Option<&str>)]) -> String {
    let mut text = String::new();
    for (name, value) in parts {
        if let Some(value) = value {
            let separator = if text.is_empty() { '?' } else { '&' };
            let _ = write!(text, "{separator}{name}={}", escaped(value));
        }
    }
    text
}

/// Escapes what has a meaning in the query of a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// One request over a connection of its own, which the node closes after its answer.
pub(crate) fn call(
    host: &str,
    port: u16,
    patience: Duration,
    method: &str,
    path: &str,
) -> Result<Value, NodetoolError> {
    let address = format!("{host}:{port}");
    let failed = |error| NodetoolError::Connect(address.clone(), error);
    let mut stream = TcpStream::connect((host, port)).map_err(failed)?;
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    let request = format!("{method} /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let malformed = || NodetoolError::Malformed(address.clone());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).ok_or_else(malformed)?;
    let body: Value = serde_json::from_str(body).map_err(|_| malformed())?;
    if status == "200" {
        Ok(body)
    } else {
        Err(NodetoolError::Refused(body["error"].as_str().unwrap_or(status).to_owned()))
    }
}
