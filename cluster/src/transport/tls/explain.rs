//! What is wrong with a connection, in words that say what to do.

use rustls::{CertificateError, Error, InvalidMessage};
use std::io;

/// Why a peer that speaks TLS is not understood by a node without.
pub(in crate::transport) const SPEAKS_TLS: &str = "it speaks TLS, and this node does not: set internode_tls_certificate, \
     internode_tls_key and internode_tls_authority here";
/// Why a handshake may have no answer.
pub(in crate::transport) const ENDED: &str = "it closed the connection before TLS began: its log says why, if it is \
     a node and runs; it may lack internode_tls_certificate, internode_tls_key and internode_tls_authority";

/// What an error of a connection says of TLS. None if it is not of TLS.
pub(in crate::transport) fn explain(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it speaks without TLS, if it is a node at all: set internode_tls_certificate, internode_tls_key \
             and internode_tls_authority there, or internode_tls_optional = true here while a cluster goes \
             over to TLS"
                .into()
        }
        Error::NoCertificatesPresented => {
            "it shows no certificate: a node does, by internode_tls_certificate".into()
        }
        Error::InvalidCertificate(_) => format!("its certificate {}", fault(error)),
        Error::AlertReceived(alert) => {
            format!("it refuses this node's certificate ({alert:?}): its log says why")
        }
        other => format!("TLS fails: {other}"),
    })
}

/// What is wrong with a certificate, behind its name.
pub(super) fn fault(error: &Error) -> String {
    let Error::InvalidCertificate(certificate) = error else { return format!("cannot be used: {error}") };
    match certificate {
        // Where another authority has the same name it is the signature that does not fit.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not signed by an authority of internode_tls_authority".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("has expired: put a new one in its place ({certificate})")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "does not name the node's address: have one signed that does, or set \
             internode_tls_verify_address = false ({certificate})"
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => format!(
            "is not for this side of a connection: a node's has to be for servers and for clients ({certificate})"
        ),
        other => format!("cannot be used: {other}"),
    }
}
