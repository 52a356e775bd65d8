//! TLS for clients: certificates from PEM files.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// An acceptor of TLS connections, from the text of a certificate chain and its private key.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn acceptor(certificate: &[u8], key: &[u8]) -> Result<TlsAcceptor, String> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("tls_certificate: {error}"))?;
    if chain.is_empty() {
        return Err("tls_certificate holds no certificate in PEM".into());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("tls_key: {error}"))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("tls_certificate and tls_key: {error}"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
