//! What happens before statements, and to clients that break the protocol.

mod common;

use common::{Client, Server};
use dodona_protocol::request::{AuthResponse, EventType, Options, Register};
use dodona_protocol::{Compression, ErrorCode, Request, Response, Version};

#[test]
fn a_client_of_any_version_and_compression_gets_through() {
    let server = Server::start();
    for version in Version::ALL {
        for compression in [Compression::None, Compression::Lz4, Compression::Snappy] {
            if version == Version::V5 && compression == Compression::Snappy {
                continue;
            }
            let mut client = Client::connect(server.native, version, compression);
            let answer = client.call(&Request::Options(Options));
            let Response::Supported(supported) = answer.response() else { panic!("{answer:?}") };
            assert!(supported.options.contains(&("CQL_VERSION", vec!["3.4.7"])));
            assert!(supported.options.contains(&("COMPRESSION", vec!["snappy", "lz4"])));
            let register = Register { event_types: EventType::ALL.to_vec() };
            assert_eq!(client.call(&Request::Register(register)).response(), Response::Ready);
            let credentials = AuthResponse { token: Some(b"\0cassandra\0cassandra") };
            assert_eq!(client.call(&Request::AuthResponse(credentials)).response(), Response::Ready);
            let (code, _) = client.query("SELECT nonsense").error().unwrap();
            assert_eq!(code, ErrorCode::SyntaxError);
        }
    }
    server.stop();
}

#[test]
fn a_version_that_nobody_speaks_is_refused_with_the_words_that_drivers_look_for() {
    let server = Server::start();
    for number in [1_u8, 2, 6, 66] {
        let mut client = Client::raw(server.native, Version::V5);
        // A header of version 1 or 2 is a byte shorter.
        let bytes: &[u8] = if number < 3 { &[0, 0, 5, 0, 0, 0, 0] } else { &[0, 0, 7, 5, 0, 0, 0, 0] };
        client.send_bytes(&[&[number], bytes].concat());
        let answer = client.receive().unwrap();
        let (code, message) = answer.error().unwrap();
        assert_eq!(code, ErrorCode::ProtocolError);
        assert_eq!(answer.header.version, Version::V5);
        let expected = if number == 6 {
            "Beta version of the protocol used (6/v6-beta), but USE_BETA flag is unset".to_owned()
        } else {
            format!(
                "Invalid or unsupported protocol version ({number}); supported versions are (3/v3, 4/v4, 5/v5)"
            )
        };
        assert_eq!(message, expected);
        assert!(client.receive().is_none(), "the connection is closed");
    }
    server.stop();
}

#[test]
fn a_malformed_frame_ends_its_connection_and_no_other() {
    let server = Server::start();
    let mut healthy = Client::connect(server.native, Version::V4, Compression::None);
    let cases: [&[u8]; 5] = [
        // An opcode that does not exist.
        &[4, 0, 0, 1, 0x77, 0, 0, 0, 0],
        // A response.
        &[0x84, 0, 0, 1, 2, 0, 0, 0, 0],
        // A body of 2 GiB.
        &[4, 0, 0, 1, 7, 0x7F, 0xFF, 0xFF, 0xFF],
        // QUERY whose text reaches past the end.
        &[4, 0, 0, 1, 7, 0, 0, 0, 4, 0, 0, 0, 9],
        // Another version than before.
        &[3, 0, 0, 1, 5, 0, 0, 0, 0],
    ];
    for bytes in cases {
        let mut client = Client::connect(server.native, Version::V4, Compression::None);
        client.send_bytes(bytes);
        let answer = client.receive().unwrap();
        assert_eq!(answer.header.stream, 1, "{bytes:?}");
        assert_eq!(answer.error().unwrap().0, ErrorCode::ProtocolError, "{bytes:?}");
        assert!(client.receive().is_none(), "{bytes:?}");
    }
    let mut damaged = Client::connect(server.native, Version::V5, Compression::None);
    damaged.send_bytes(&[0x55; 64]);
    assert_eq!(damaged.receive().unwrap().error().unwrap().0, ErrorCode::ProtocolError);
    assert!(damaged.receive().is_none());
    assert!(matches!(healthy.call(&Request::Options(Options)).response(), Response::Supported(_)));
    let metrics = server.http("GET", "/metrics");
    assert!(metrics.contains("dodona_protocol_errors_total 6"), "{metrics}");
    server.stop();
}

#[test]
fn a_statement_before_startup_and_a_second_startup_are_refused() {
    let server = Server::start();
    let mut early = Client::raw(server.native, Version::V4);
    let (code, message) = early.query("SELECT 1").error().unwrap();
    assert_eq!(code, ErrorCode::ProtocolError);
    assert_eq!(message, "Unexpected message QUERY, expecting STARTUP or OPTIONS");
    let mut twice = Client::connect(server.native, Version::V4, Compression::None);
    assert_eq!(twice.startup(Compression::None, &[]).error().unwrap().0, ErrorCode::ProtocolError);
    server.stop();
}

#[test]
fn requests_that_come_in_pieces_are_answered() {
    let server = Server::start();
    let mut client = Client::connect(server.native, Version::V4, Compression::None);
    for byte in [4_u8, 0, 0, 9, 5, 0, 0, 0, 0] {
        client.send_bytes(&[byte]);
        std::thread::yield_now();
    }
    assert_eq!(client.receive().unwrap().header.stream, 9);
    server.stop();
}

#[test]
fn operators_are_served() {
    let server = Server::start();
    assert!(server.http("GET", "/health").contains("serving"));
    assert!(server.http("GET", "/api/v1/status").contains("datacenter1"));
    assert!(server.http("GET", "/api/v1/version").contains("5.0.6"));
    assert!(server.http("POST", "/api/v1/flush?keyspace=none").starts_with("HTTP/1.1 404"));
    server.stop();
}

#[test]
fn a_drained_server_serves_operators_alone() {
    let server = Server::start();
    let mut client = Client::connect(server.native, Version::V4, Compression::None);
    assert!(matches!(client.call(&Request::Options(Options)).response(), Response::Supported(_)));
    assert!(server.http("POST", "/api/v1/drain").starts_with("HTTP/1.1 200"));
    assert!(client.receive().is_none(), "the connection is closed");
    assert!(common::is_refused(server.native));
    assert!(server.http("GET", "/health").contains("drained"));
    assert!(server.http("POST", "/api/v1/drain").starts_with("HTTP/1.1 200"));
    server.stop();
}
