//! `dodona certificates`: an authority and certificates signed by it, for TLS between nodes and for
//! clients.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the outermost layer of the binary: it reads and writes files where it is told to"
)]

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

/// The authority's certificate, in its directory.
pub(crate) const AUTHORITY: &str = "authority.pem";
const AUTHORITY_KEY: &str = "authority.key";
/// Days for which the authority is valid: some ten years.
const AUTHORITY_DAYS: u32 = 3_650;
/// Files that others may read, and those that they may not.
const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// Arguments of `dodona certificates`.
#[derive(Clone, Debug, Args)]
pub struct CertificatesArgs {
    /// Directory of the files; an authority that is there is used
    dir: PathBuf,
    /// Address or name that a certificate is for; once for each
    #[arg(long = "host", required = true)]
    hosts: Vec<String>,
    /// Days for which the certificates are valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=AUTHORITY_DAYS as i64))]
    days: u32,
}

/// Why certificates were not made, and what to do about it.
#[derive(Debug, Error)]
pub enum CertificatesError {
    /// The operating system refuses.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// A file is there.
    #[error("{0} exists already and is not written over: remove it, or choose another directory")]
    Exists(String),
    /// What is asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// A certificate cannot be made or read.
    #[error("{0}: {1}")]
    Certificate(String, rcgen::Error),
}

/// Makes certificates and says where they are.
///
/// # Errors
/// They cannot be made; what to do about it.
pub fn run(args: &CertificatesArgs) -> Result<(), CertificatesError> {
    make(&args.dir, &args.hosts, args.days)?;
    let names: Vec<String> = args.hosts.iter().map(|host| format!("{host}.pem, {host}.key")).collect();
    crate::output::print(&format!(
        "{} holds {AUTHORITY}, which nodes trust, and {}\nKeep {AUTHORITY_KEY} where no node is: it signs further ones.\n",
        args.dir.display(),
        names.join(", ")
    ));
    Ok(())
}

/// Makes a certificate and a key for each host, signed by the authority of a directory, which is made
/// if there is none.
///
/// # Errors
/// A file exists, or cannot be written; a host is no address and no name.
pub(crate) fn make(dir: &Path, hosts: &[String], days: u32) -> Result<(), CertificatesError> {
    for host in hosts {
        check(host)?;
        if let Some(file) = files_of(dir, host).into_iter().find(|file| file.exists()) {
            return Err(CertificatesError::Exists(file.display().to_string()));
        }
    }
    std::fs::create_dir_all(dir).map_err(|error| CertificatesError::Io(dir.display().to_string(), error))?;
    let authority = authority(dir)?;
    for host in hosts {
        let failed = |error| CertificatesError::Certificate(host.clone(), error);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(CertificateParams::new([host.clone()]).map_err(failed)?, host, days);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &authority).map_err(failed)?;
        let [certificate_file, key_file] = files_of(dir, host);
        write(&key_file, SECRET, &key.serialize_pem())?;
        write(&certificate_file, PUBLIC, &certificate.pem())?;
    }
    Ok(())
}

/// Certificate and key of a host.
pub(crate) fn files_of(dir: &Path, host: &str) -> [PathBuf; 2] {
    [dir.join(format!("{host}.pem")), dir.join(format!("{host}.key"))]
}

/// A host names files, too.
fn check(host: &str) -> Result<(), CertificatesError> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let is_label = |label: &str| !label.is_empty() && label.chars().all(is_letter);
    if host.parse::<IpAddr>().is_ok() || (host != "authority" && host.split('.').all(is_label)) {
        return Ok(());
    }
    Err(CertificatesError::Refused(format!("--host: `{host}` is no address and no name of a host")))
}

/// What is the same for all certificates.
fn params(mut params: CertificateParams, name: &str, days: u32) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Clocks differ.
    params.not_before = now - Duration::DAY;
    params.not_after = now + Duration::days(days.into());
    params
}

/// The authority of a directory.
fn authority(dir: &Path) -> Result<Issuer<'static, KeyPair>, CertificatesError> {
    let [certificate, key] = [dir.join(AUTHORITY), dir.join(AUTHORITY_KEY)];
    let name = certificate.display().to_string();
    let failed = |error| CertificatesError::Certificate(name.clone(), error);
    if !certificate.exists() && !key.exists() {
        let mut params = params(CertificateParams::default(), "Dodona authority", AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pair = KeyPair::generate().map_err(failed)?;
        let made = CertifiedIssuer::self_signed(params, pair).map_err(failed)?;
        write(&key, SECRET, &made.key().serialize_pem())?;
        write(&certificate, PUBLIC, &made.pem())?;
    }
    let pair = KeyPair::from_pem(&read(&key)?)
        .map_err(|error| CertificatesError::Certificate(key.display().to_string(), error))?;
    Issuer::from_ca_cert_pem(&read(&certificate)?, pair).map_err(failed)
}

fn read(file: &Path) -> Result<String, CertificatesError> {
    std::fs::read_to_string(file).map_err(|error| CertificatesError::Io(file.display().to_string(), error))
}

/// Writes a file that is new.
fn write(file: &Path, mode: u32, text: &str) -> Result<(), CertificatesError> {
    let name = file.display().to_string();
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CertificatesError::Exists(name),
        _ => CertificatesError::Io(name, error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_cluster::transport::tls::{InternodeTls, Pem, TlsSettings};
    use std::os::unix::fs::PermissionsExt;

    /// What a node says of the certificate that was made for `host`.
    fn used(dir: &Path, host: &str, address: &str) -> Result<(), String> {
        let [certificate, key] = files_of(dir, host);
        let pem = [certificate, key, dir.join(AUTHORITY)].map(|file| std::fs::read(file).unwrap());
        let [certificate, key, authority] = pem;
        let verify_address = host == address;
        let settings = TlsSettings { address: address.parse().unwrap(), verify_address, optional: false };
        let clock = dodona_env::os::env(dir).unwrap().clock;
        InternodeTls::new(&Pem { certificate, key, authority }, settings, clock).map(drop)
    }

    #[test]
    fn nodes_take_what_is_made_also_when_the_authority_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("c");
        make(&dir, &["127.0.0.1".into(), "node1.example".into()], 1).unwrap();
        let authority = read(&dir.join(AUTHORITY)).unwrap();
        make(&dir, &["::1".into()], 1).unwrap();
        assert_eq!(read(&dir.join(AUTHORITY)).unwrap(), authority);
        for (host, address) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("node1.example", "127.0.0.1")] {
            assert_eq!(used(&dir, host, address), Ok(()));
            let mode = std::fs::metadata(&files_of(&dir, host)[1]).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, SECRET);
        }
        let mode = std::fs::metadata(dir.join(AUTHORITY_KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SECRET);
    }

    #[test]
    fn nothing_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path();
        make(dir, &["a".into()], 1).unwrap();
        let before = read(&dir.join("a.pem")).unwrap();
        let refused = make(dir, &["b".into(), "a".into()], 1).unwrap_err().to_string();
        assert!(refused.contains("a.pem exists already"), "{refused}");
        assert!(!dir.join("b.pem").exists());
        assert_eq!(read(&dir.join("a.pem")).unwrap(), before);
        std::fs::remove_file(dir.join(AUTHORITY_KEY)).unwrap();
        let lacking = make(dir, &["b".into()], 1).unwrap_err().to_string();
        assert!(lacking.contains(AUTHORITY_KEY), "{lacking}");
        for host in ["", "a/b", "..", "a b", "authority"] {
            assert!(make(dir, &[host.into()], 1).is_err(), "{host}");
        }
    }
}
