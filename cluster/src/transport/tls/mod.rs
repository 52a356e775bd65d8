//! TLS between nodes: each side shows a certificate, and each has to be signed by an authority that
//! the other one trusts.
//!
//! Whoever connects also checks that the certificate names the address it meant to reach
//! ([`TlsSettings::verify_address`]); whoever accepts does not know which address a peer is to come
//! from. Sessions are not resumed: every connection checks certificates anew. `verify` has the
//! checks, `explain` says what is wrong where one fails.

mod explain;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use explain::{ENDED, SPEAKS_TLS, explain};

use arc_swap::ArcSwap;
use dodona_env::Clock;
use dodona_env::net::Stream;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use verify::{WallClock, provider, server_verifier};

/// How long a peer that is refused is listened to further, so that it reads why.
const LINGER: Duration = Duration::from_millis(500);
/// Bytes that are thrown away of what such a peer says.
const LINGER_BYTES: u64 = 64 << 10;
/// The first byte of a TLS connection: the type of a handshake record (RFC 8446 section 5.1). No
/// introduction is of a length that begins with it.
const HANDSHAKE: u8 = 0x16;

/// What a node shows and whom it trusts, as text in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The node's certificate, and those between it and the authority's.
    pub certificate: Vec<u8>,
    /// The certificate's private key.
    pub key: Vec<u8>,
    /// The certificates of the authorities whose signature is trusted.
    pub authority: Vec<u8>,
}

/// How strict a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The node's own address, which its certificate has to name.
    pub address: IpAddr,
    /// A certificate has to name the address of the node that shows it.
    pub verify_address: bool,
    /// Peers without TLS are listened to and spoken to as well.
    pub optional: bool,
}

/// TLS between nodes, with certificates that can be exchanged while it is used.
pub struct InternodeTls {
    settings: TlsSettings,
    clock: Arc<dyn Clock>,
    current: ArcSwap<Both>,
}

/// The two sides of connections.
struct Both {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for InternodeTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InternodeTls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl InternodeTls {
    /// Takes certificates into use.
    ///
    /// # Errors
    /// What is wrong with them, with the name of the setting: they are no PEM, do not belong together,
    /// or would be refused by a peer that trusts the same authority.
    pub fn new(pem: &Pem, settings: TlsSettings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(Both::of(pem, settings, &clock)?);
        Ok(Self { settings, clock, current })
    }

    /// Takes other certificates into use, for the connections from now on.
    ///
    /// # Errors
    /// As [`Self::new`]; those in use stay.
    pub fn replace(&self, pem: &Pem) -> Result<(), String> {
        self.current.store(Arc::new(Both::of(pem, self.settings, &self.clock)?));
        Ok(())
    }

    /// True if peers without TLS are spoken to as well.
    pub(super) const fn is_optional(&self) -> bool {
        self.settings.optional
    }

    /// Encrypts a connection to the node at `peer`.
    pub(super) async fn connect(&self, stream: Box<dyn Stream>, peer: IpAddr) -> io::Result<Box<dyn Stream>> {
        let connector = self.current.load().connector.clone();
        Ok(Box::new(connector.connect(name_of(peer), stream).await?))
    }

    /// Encrypts a connection that a peer has opened.
    pub(super) async fn accept(&self, mut stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        if self.settings.optional {
            let first = stream.read_u8().await?;
            let (reader, writer) = tokio::io::split(stream);
            stream = Box::new(tokio::io::join(io::Cursor::new([first]).chain(reader), writer));
            if first != HANDSHAKE {
                return Ok(stream);
            }
        }
        let acceptor = self.current.load().acceptor.clone();
        match acceptor.accept(stream).into_fallible().await {
            Ok(stream) => Ok(Box::new(stream)),
            Err((error, stream)) => {
                linger(stream).await;
                Err(error)
            }
        }
    }
}

/// Reads on for a moment: a connection that is closed before what came was read is reset, and the
/// peer then may not learn why.
async fn linger(mut stream: Box<dyn Stream>) {
    let read_on = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // The peer is refused, whatever it does now.
    let _ = tokio::time::timeout(LINGER, read_on).await;
}

fn name_of(address: IpAddr) -> ServerName<'static> {
    ServerName::IpAddress(address.to_canonical().into())
}

impl Both {
    fn of(pem: &Pem, settings: TlsSettings, clock: &Arc<dyn Clock>) -> Result<Self, String> {
        let chain = certificates("internode_tls_certificate", &pem.certificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| format!("internode_tls_key: {error}"))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates("internode_tls_authority", &pem.authority)? {
            roots.add(authority).map_err(|error| format!("internode_tls_authority: {error}"))?;
        }
        let roots = Arc::new(roots);
        let authority = |error: &dyn std::error::Error| format!("internode_tls_authority: {error}");
        let servers = server_verifier(&roots, settings.verify_address).map_err(|error| authority(&error))?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| authority(&error))?;
        let time = Arc::new(WallClock(Arc::clone(clock)));
        check_own(&chain, settings.address, &*servers, &*clients, time.now())?;
        let pair = |error| format!("internode_tls_certificate and internode_tls_key: {error}");
        let mut connects = ClientConfig::builder_with_details(provider(), time.clone())
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .dangerous()
            .with_custom_certificate_verifier(servers)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(pair)?;
        connects.resumption = Resumption::disabled();
        let mut accepts = ServerConfig::builder_with_details(provider(), time)
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(pair)?;
        accepts.session_storage = Arc::new(NoServerSessionStorage {});
        accepts.send_tls13_tickets = 0;
        let connector = TlsConnector::from(Arc::new(connects));
        Ok(Self { connector, acceptor: TlsAcceptor::from(Arc::new(accepts)) })
    }
}

/// The certificates in a text in PEM.
///
/// # Errors
/// What is wrong with it, with the name of the setting.
pub fn certificates(setting: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{setting}: {error}"))?;
    if chain.is_empty() { Err(format!("{setting} holds no certificate in PEM")) } else { Ok(chain) }
}

/// A node whose certificate no peer would take is better told so at its start.
fn check_own(
    chain: &[CertificateDer<'static>],
    address: IpAddr,
    servers: &dyn ServerCertVerifier,
    clients: &dyn ClientCertVerifier,
    now: rustls::pki_types::UnixTime,
) -> Result<(), String> {
    let (own, between) = (&chain[0], &chain[1..]);
    let as_server = servers.verify_server_cert(own, between, &name_of(address), &[], now).map(drop);
    let as_client = clients.verify_client_cert(own, between, now).map(drop);
    as_server.and(as_client).map_err(|error| {
        format!("peers would refuse internode_tls_certificate: it {}", explain::fault(&error))
    })
}
