//! Requests to a node's administration service.

use super::NodetoolError;
use rustix::net::sockopt;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
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

/// Has the system notice within two minutes that the machine at the other end is gone, or the network.
fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(stream, 4)
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

/// One request over a connection of its own, which the node closes after its answer. Without `patience` that is waited for as
/// long as the connection lives.
pub(crate) fn call(
    host: &str,
    port: u16,
    patience: Option<Duration>,
    method: &str,
    path: &str,
) -> Result<Value, NodetoolError> {
    let address = format!("{host}:{port}");
    let failed = |error| NodetoolError::Connect(address.clone(), error);
    let mut stream = TcpStream::connect((host, port)).map_err(failed)?;
    stream.set_read_timeout(patience).map_err(failed)?;
    keep_alive(&stream).map_err(|error| failed(error.into()))?;
    let request = format!("{method} /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    let lost = |error| NodetoolError::Lost(address.clone(), error);
    stream.read_to_string(&mut answer).map_err(lost)?;
    if answer.is_empty() {
        return Err(lost(io::Error::from(io::ErrorKind::ConnectionAborted)));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a node that ends before it has answered")]
    fn a_node_that_ends_before_it_has_answered_is_told_from_one_that_is_not_there() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let ends = std::thread::spawn(move || {
            let (mut operator, _) = listener.accept().unwrap();
            let mut asked = [0; 64];
            assert!(operator.read(&mut asked).unwrap() > 0);
        });
        let lost = call("127.0.0.1", port, None, "POST", "compact").unwrap_err();
        assert!(matches!(lost, NodetoolError::Lost(..)), "{lost}");
        ends.join().unwrap();
        let nobody = call("127.0.0.1", port, None, "POST", "compact").unwrap_err();
        assert!(matches!(nobody, NodetoolError::Connect(..)), "{nobody}");
    }
}
