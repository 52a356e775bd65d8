//! TLS for clients and between nodes: certificates from PEM files, which are read again when they
//! change.

use crate::settings::Settings;
use arc_swap::ArcSwap;
use dodona_cluster::transport::tls::{InternodeTls, Pem, TlsSettings, certificates};
use dodona_env::{Disk, Env, Tasks};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// How often it is looked whether files have changed.
pub(crate) const LOOK_PERIOD: Duration = Duration::from_secs(60);

/// The certificates of a server.
pub(crate) struct Certificates {
    disk: Arc<dyn Disk>,
    clients: Option<Files<2, ArcSwap<TlsAcceptor>>>,
    nodes: Option<Files<3, Arc<InternodeTls>>>,
}

impl Certificates {
    /// Reads what the settings name.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub(crate) fn open(env: &Env, settings: &Settings) -> Result<Self, String> {
        let disk = Arc::clone(&env.disk);
        let clients = settings.client_files().map(|paths| {
            Files::open(&*disk, paths, |contents| acceptor(contents).map(ArcSwap::from_pointee))
        });
        let strictness = TlsSettings {
            address: settings.internode_address(),
            verify_address: settings.internode_tls_verify_address,
            optional: settings.internode_tls_optional,
        };
        let nodes = settings.internode_files().map(|paths| {
            let clock = Arc::clone(&env.clock);
            let tls = |contents: &_| InternodeTls::new(&pem(contents), strictness, clock).map(Arc::new);
            Files::open(&*disk, paths, tls)
        });
        Ok(Self { clients: clients.transpose()?, nodes: nodes.transpose()?, disk })
    }

    /// Accepts clients by TLS, if they are to connect by it.
    pub(crate) fn clients(&self) -> Option<TlsAcceptor> {
        self.clients.as_ref().map(|files| TlsAcceptor::clone(&files.used.load()))
    }

    /// TLS between nodes, if they are to speak by it.
    pub(crate) fn nodes(&self) -> Option<Arc<InternodeTls>> {
        self.nodes.as_ref().map(|files| Arc::clone(&files.used))
    }

    /// Takes files into use that have changed, for the connections from now on. It reads files.
    ///
    /// # Errors
    /// What is wrong with one; what was used before stays in use.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let clients = self.clients.as_ref().map_or(Ok(false), |files| {
            files.reload(&*self.disk, |contents| {
                files.used.store(Arc::new(acceptor(contents)?));
                Ok(())
            })
        });
        let nodes = self.nodes.as_ref().map_or(Ok(false), |files| {
            files.reload(&*self.disk, |contents| files.used.replace(&pem(contents)))
        });
        for (whom, taken) in [("clients", &clients), ("nodes", &nodes)] {
            if *taken == Ok(true) {
                tracing::info!(whom, "new certificates are used");
            }
        }
        clients.and(nodes).map(drop)
    }
}

/// Takes files into use that have changed, from time to time.
pub(crate) async fn follow_files(certificates: Arc<Certificates>, tasks: Tasks, period: Duration) {
    if certificates.clients.is_none() && certificates.nodes.is_none() {
        return;
    }
    loop {
        dodona_env::clock::sleep(period).await;
        let looked_at = Arc::clone(&certificates);
        if let Ok(Err(error)) = tasks.blocking(move || looked_at.reload()).await {
            tracing::warn!(%error, "new certificates cannot be used: the former ones stay in use");
        }
    }
}

/// Files, and what is made of their contents.
struct Files<const N: usize, T> {
    paths: [String; N],
    contents: Mutex<[Vec<u8>; N]>,
    used: T,
}

impl<const N: usize, T> Files<N, T> {
    fn open(
        disk: &dyn Disk,
        paths: [&PathBuf; N],
        make: impl FnOnce(&[Vec<u8>; N]) -> Result<T, String>,
    ) -> Result<Self, String> {
        let paths = paths.map(|path| path.to_string_lossy().into_owned());
        let contents = read(disk, &paths)?;
        Ok(Self { used: make(&contents)?, paths, contents: Mutex::new(contents) })
    }

    /// Uses what is in the files, if that is not what was in them. True if it is used.
    fn reload(
        &self,
        disk: &dyn Disk,
        take: impl FnOnce(&[Vec<u8>; N]) -> Result<(), String>,
    ) -> Result<bool, String> {
        let mut contents = self.contents.lock();
        let read = read(disk, &self.paths)?;
        if read == *contents {
            return Ok(false);
        }
        // Of files that are being exchanged one may be new and another not: they are looked at again.
        take(&read)?;
        *contents = read;
        Ok(true)
    }
}

fn read<const N: usize>(disk: &dyn Disk, paths: &[String; N]) -> Result<[Vec<u8>; N], String> {
    let mut contents = [const { Vec::new() }; N];
    for (path, content) in paths.iter().zip(&mut contents) {
        *content = disk.read(path).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(contents)
}

fn pem([certificate, key, authority]: &[Vec<u8>; 3]) -> Pem {
    Pem { certificate: certificate.clone(), key: key.clone(), authority: authority.clone() }
}

/// An acceptor of TLS connections, from the text of a certificate chain and its private key.
fn acceptor([certificate, key]: &[Vec<u8>; 2]) -> Result<TlsAcceptor, String> {
    let chain = certificates("tls_certificate", certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("tls_key: {error}"))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("tls_certificate and tls_key: {error}"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::generate_simple_self_signed;

    /// Writes a certificate that signs itself.
    fn write(disk: &dyn Disk) -> Vec<u8> {
        let made = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.pem().into_bytes();
        for (path, content) in
            [("c.pem", certificate.as_slice()), ("k.pem", made.signing_key.serialize_pem().as_bytes())]
        {
            let _ = disk.remove(path);
            disk.create(path).unwrap().append(content).unwrap();
        }
        certificate
    }

    #[test]
    fn files_that_change_are_used_and_faulty_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let env = dodona_env::os::env(folder.path()).unwrap();
        write(&*env.disk);
        let settings = Settings {
            tls_certificate: Some("c.pem".into()),
            tls_key: Some("k.pem".into()),
            internode_tls_certificate: Some("c.pem".into()),
            internode_tls_key: Some("k.pem".into()),
            internode_tls_authority: Some("c.pem".into()),
            ..Settings::default()
        };
        let certificates = Arc::new(Certificates::open(&env, &settings).unwrap());
        let clients = certificates.clients.as_ref().unwrap();
        let used = || Arc::as_ptr(certificates.clients().unwrap().config());
        let first = used();
        certificates.reload().unwrap();
        assert_eq!(used(), first, "nothing has changed");
        env.disk.remove("k.pem").unwrap();
        assert!(certificates.reload().unwrap_err().contains("k.pem: "));
        env.disk.create("k.pem").unwrap().append(b"half a key").unwrap();
        assert!(certificates.reload().unwrap_err().contains("tls_key: "));
        assert_eq!(used(), first);
        let second = write(&*env.disk);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            env.tasks.spawn_local(follow_files(
                Arc::clone(&certificates),
                env.tasks.clone(),
                Duration::from_millis(5),
            ));
            let taken = async {
                while clients.contents.lock()[0] != second || used() == first {
                    dodona_env::clock::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), taken).await.unwrap();
        });
        assert_eq!(certificates.nodes.as_ref().unwrap().contents.lock()[2], second);
    }
}
