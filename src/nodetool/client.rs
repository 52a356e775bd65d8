//! Requests to a node's administration service.

use super::{NodetoolArgs, NodetoolError};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long to wait for an answer: compactions take their time.
const PATIENCE: Duration = Duration::from_secs(3_600);

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
pub(super) fn call(args: &NodetoolArgs, method: &str, path: &str) -> Result<Value, NodetoolError> {
    let address = format!("{}:{}", args.host, args.port);
    let failed = |error| NodetoolError::Connect(address.clone(), error);
    let mut stream = TcpStream::connect((args.host.as_str(), args.port)).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
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
