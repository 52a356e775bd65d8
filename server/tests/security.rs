//! Logging in, and TLS.

mod common;

use common::{Client, Server};
use dodona_protocol::request::AuthResponse;
use dodona_protocol::response::Authenticate;
use dodona_protocol::{Compression, ErrorCode, Request, Response, Version};
use dodona_server::settings::AuthenticatorKind;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::sync::Arc;

fn log_in(client: &mut Client, token: &[u8]) -> common::Answer {
    let answer = client.startup(Compression::None, &[]);
    let authenticator = Authenticate::PASSWORD_AUTHENTICATOR;
    assert_eq!(answer.response(), Response::Authenticate(Authenticate { authenticator }));
    client.call(&Request::AuthResponse(AuthResponse { token: Some(token) }))
}

#[test]
fn only_who_knows_the_password_gets_in() {
    let server = Server::with(|settings| settings.authenticator = AuthenticatorKind::Password);
    for version in Version::ALL {
        let mut client = Client::raw(server.native, version);
        let answer = log_in(&mut client, b"\0cassandra\0cassandra");
        assert!(matches!(answer.response(), Response::AuthSuccess(_)), "{answer:?}");
        assert_eq!(client.run("SELECT role FROM system_auth.roles").values(), [Some(b"cassandra".to_vec())]);
        for wrong in [&b"\0cassandra\0wrong"[..], b"\0nobody\0cassandra", b"nonsense"] {
            let mut client = Client::raw(server.native, version);
            let (code, message) = log_in(&mut client, wrong).error().unwrap();
            assert_eq!(code, ErrorCode::BadCredentials);
            assert!(!message.contains("not exist"), "{message}");
            assert_eq!(
                client.query("SELECT * FROM system.local").error().unwrap().0,
                ErrorCode::ProtocolError
            );
        }
    }
    let server = Server::open(server.stop(), |settings| {
        settings.authenticator = AuthenticatorKind::Password;
    });
    let mut client = Client::raw(server.native, Version::V5);
    let answer = log_in(&mut client, b"\0cassandra\0cassandra");
    assert!(matches!(answer.response(), Response::AuthSuccess(_)), "after a restart: {answer:?}");
    server.stop();
}

#[test]
fn clients_connect_by_tls() {
    let files = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
    common::write_file(&certificate, &made.cert.pem());
    common::write_file(&key, &made.signing_key.serialize_pem());
    let server = Server::with(|settings| {
        settings.tls_certificate = Some(certificate);
        settings.tls_key = Some(key);
    });
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let connection = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let stream = StreamOwned::new(connection, common::tcp(server.native));
    let mut client = Client::over(Box::new(stream), Version::V5);
    assert_eq!(client.startup(Compression::Lz4, &[]).response(), Response::Ready);
    assert_eq!(client.run("SELECT key FROM system.local").values(), [Some(b"local".to_vec())]);
    let mut plain = Client::raw(server.native, Version::V4);
    plain.send_bytes(&[4, 0, 0, 1, 5, 0, 0, 0, 0]);
    // A TLS alert is no frame; then the connection is closed.
    assert!(plain.closes());
    server.stop();
}
