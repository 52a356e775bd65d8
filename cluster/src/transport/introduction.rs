//! The first words on a connection, in both directions: who speaks.

use super::tls::{ENDED, InternodeTls, explain};
use super::traffic::Traffic;
use super::wire::{Reading, Writing, broke, read_first_message, split, write_message};
use crate::error::ClusterError;
use crate::message::{Body, NEWEST, OLDEST};
use dodona_env::net::Stream;
use dodona_env::{Env, watch};
use dodona_types::codec::Reader;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a connection may take to open, with TLS and both introductions.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait after the operating system had no room for another connection.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Which versions of the protocol between nodes are spoken: all from the oldest to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl Versions {
    /// Those that this release speaks.
    pub const SPOKEN: Self = Self { oldest: OLDEST, newest: NEWEST };

    /// The newest that both sides of a connection speak; both come to the same.
    fn agreed(self, theirs: Self) -> Result<u16, ClusterError> {
        let newest = self.newest.min(theirs.newest);
        if newest < self.oldest.max(theirs.oldest) {
            return Err(ClusterError::Unwelcome(format!(
                "it speaks the versions {} to {} of the protocol between nodes, this node {} to {}: upgrade the older of \
                 the two by way of a version that speaks both",
                theirs.oldest, theirs.newest, self.oldest, self.newest
            )));
        }
        Ok(newest)
    }
}

/// Who speaks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The cluster; nil for a node that does not know it yet.
    pub cluster: Uuid,
    /// The node.
    pub host: Uuid,
    /// What it speaks.
    pub versions: Versions,
}

impl Introduction {
    /// A node of this release.
    #[must_use]
    pub const fn new(cluster: Uuid, host: Uuid) -> Self {
        Self { cluster, host, versions: Versions::SPOKEN }
    }

    pub(super) fn encode(self) -> Body {
        let mut out = Vec::with_capacity(36);
        out.extend_from_slice(self.cluster.as_bytes());
        out.extend_from_slice(self.host.as_bytes());
        out.extend_from_slice(&self.versions.oldest.to_le_bytes());
        out.extend_from_slice(&self.versions.newest.to_le_bytes());
        Body::Hello(out)
    }

    pub(crate) fn decode(body: &Body) -> Result<Self, ClusterError> {
        let bytes = match body {
            Body::Hello(bytes) => bytes,
            Body::Failed(reason) => return Err(ClusterError::Unwelcome(reason.clone())),
            _ => return Err(ClusterError::Peer("it did not introduce itself".into())),
        };
        let malformed = |error: dodona_types::codec::DecodeError| ClusterError::Peer(error.to_string());
        let mut reader = Reader::new(bytes);
        let mut uuid = || -> Result<Uuid, ClusterError> {
            let bytes = reader.bytes(16).map_err(malformed)?;
            Ok(Uuid::from_slice(bytes).unwrap_or_default())
        };
        let (cluster, host) = (uuid()?, uuid()?);
        let (oldest, newest) = (reader.u16().map_err(malformed)?, reader.u16().map_err(malformed)?);
        Ok(Self { cluster, host, versions: Versions { oldest, newest } })
    }
}

/// Whom a request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node.
    pub host: Uuid,
    /// False for a node that does not know a cluster yet.
    pub is_of_this_cluster: bool,
    /// The version of the members by which it chose this node; 0 where that does not matter.
    pub members: u64,
    /// How long it waits for the answer.
    pub patience: Duration,
}

/// What both sides of a connection have to know of this node.
#[derive(Clone)]
pub struct Link {
    /// The node's environment.
    pub env: Env,
    /// Who it is.
    pub introduction: Introduction,
    /// How connections are encrypted, if they are.
    pub tls: Option<Arc<InternodeTls>>,
    /// What goes over them.
    pub traffic: Arc<Traffic>,
    /// The last member of another cluster that took this node for one of its own.
    pub elsewhere: Arc<watch::Sender<Option<Introduction>>>,
}

impl Link {
    /// How a node connects that speaks so, by TLS if it has any.
    #[must_use]
    pub fn new(env: Env, introduction: Introduction, tls: Option<Arc<InternodeTls>>) -> Self {
        let elsewhere = Arc::new(watch::channel(None).0);
        Self { env, introduction, tls, traffic: Arc::default(), elsewhere }
    }

    /// Without TLS.
    #[must_use]
    pub fn plain(env: Env, introduction: Introduction) -> Self {
        Self::new(env, introduction, None)
    }

    /// Connects, and exchanges introductions. Gives the peer's, too.
    pub(super) async fn open(
        &self,
        peer: SocketAddr,
    ) -> Result<(Reading, Writing, Introduction), ClusterError> {
        let (mut reader, mut writer) = split(self.connect(peer).await?, &self.env.clock);
        write_message(&mut writer, self.introduction.encode()).await?;
        let theirs = Introduction::decode(&read_first_message(&mut reader).await?.body)?;
        let version = self.introduction.versions.agreed(theirs.versions)?;
        (reader.version, writer.version) = (version, version);
        Ok((reader, writer, theirs))
    }

    async fn connect(&self, peer: SocketAddr) -> Result<Box<dyn Stream>, ClusterError> {
        let stream = self.env.net.connect(peer).await.map_err(broke)?;
        let Some(tls) = &self.tls else { return Ok(stream) };
        let error = match tls.connect(stream, peer.ip()).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        match explain(&error) {
            Some(reason) => Err(ClusterError::Tls(reason)),
            // A node without TLS ends a connection that begins with it.
            None if tls.is_optional() => self.env.net.connect(peer).await.map_err(broke),
            None => Err(ClusterError::Tls(format!("{ENDED} ({error})"))),
        }
    }

    /// Reads a peer's introduction, and answers with this node's, or why it is not listened to.
    pub(super) async fn meet(
        &self,
        stream: Box<dyn Stream>,
    ) -> Result<(Reading, Writing, Peer), ClusterError> {
        let stream = match &self.tls {
            Some(tls) => tls.accept(stream).await.map_err(broke)?,
            None => stream,
        };
        let (mut reader, mut writer) = split(stream, &self.env.clock);
        let theirs = Introduction::decode(&read_first_message(&mut reader).await?.body);
        let admitted = theirs.and_then(|theirs| self.admit(theirs));
        let answer = admitted
            .as_ref()
            .map_or_else(|error| Body::Failed(error.to_string()), |_| self.introduction.encode());
        write_message(&mut writer, answer).await?;
        let (peer, version) = admitted?;
        (reader.version, writer.version) = (version, version);
        Ok((reader, writer, peer))
    }

    /// Whether somebody is listened to, and in which version.
    fn admit(&self, theirs: Introduction) -> Result<(Peer, u16), ClusterError> {
        let own = self.introduction;
        let version = own.versions.agreed(theirs.versions)?;
        let is_of_this_cluster = theirs.cluster == own.cluster;
        if !is_of_this_cluster && !theirs.cluster.is_nil() {
            self.elsewhere.send_replace(Some(theirs));
            return Err(ClusterError::Unwelcome(format!(
                "this is the cluster {}, not {}: correct the seeds",
                own.cluster, theirs.cluster
            )));
        }
        if theirs.host == own.host {
            return Err(ClusterError::Unwelcome(format!(
                "both nodes are {}: a data directory was copied; start one of them with an empty one",
                own.host
            )));
        }
        let peer = Peer { host: theirs.host, is_of_this_cluster, members: 0, patience: Duration::ZERO };
        Ok((peer, version))
    }

    /// Listens at an address for so long and answers nothing but introductions. Gives a member of another cluster that came.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn meets_another_cluster(
        &self,
        address: SocketAddr,
        lasts: Duration,
    ) -> io::Result<Option<Introduction>> {
        let listener = self.env.net.listen(address).await?;
        let mut elsewhere = self.elsewhere.subscribe();
        let listen = async {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    dodona_env::clock::sleep(ACCEPT_RETRY).await;
                    continue;
                };
                let link = self.clone();
                self.env.tasks.spawn_local(async move {
                    // Whoever it is comes again.
                    let _ = tokio::time::timeout(CONNECT_TIMEOUT, link.meet(stream)).await;
                });
            }
        };
        let met = async {
            tokio::select! {
                biased;
                met = elsewhere.wait_for(Option::is_some) => met.ok().and_then(|met| *met),
                never = listen => never,
            }
        };
        Ok(tokio::time::timeout(lasts, met).await.ok().flatten())
    }

    /// The host id of the node that listens at an address. None if none answers in time.
    pub async fn who_is_at(&self, address: SocketAddr) -> Option<Uuid> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, self.open(address)).await;
        opened.ok()?.ok().map(|(_, _, theirs)| theirs.host)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::message::{FIRST, Message};

    fn introduction() -> Introduction {
        Introduction::new(Uuid::from_u128(0xc1), Uuid::from_u128(0x05))
    }

    /// Of a node that speaks these versions.
    fn of_versions(oldest: u16, newest: u16) -> Introduction {
        Introduction { versions: Versions { oldest, newest }, ..introduction() }
    }

    /// A node of a later release, which has no version in common with this one.
    pub(crate) async fn of_later_release(env: &Env) -> SocketAddr {
        let listener = env.net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let (address, clock) = (listener.local_addr().unwrap(), Arc::clone(&env.clock));
        env.tasks.spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut reader, mut writer) = split(stream, &clock);
                read_first_message(&mut reader).await.unwrap();
                let later = of_versions(NEWEST + 1, NEWEST + 2).encode();
                write_message(&mut writer, later).await.unwrap();
            }
        });
        address
    }

    #[test]
    fn an_introduction_has_these_bytes_whatever_else_is_spoken() {
        let mut out = Vec::new();
        let body = introduction().encode();
        Message { id: 0, patience_micros: 0, members: 0, notes: None, body }.encode(FIRST, &mut out);
        let hex: String = out[8..].iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = [
            // Version, verb; request, patience and members.
            "0200",
            "11",
            "0000000000000000",
            "0000000000000000",
            "0000000000000000",
            // Cluster, host, the oldest version and the newest.
            "000000000000000000000000000000c1",
            "00000000000000000000000000000005",
            "0200",
            "0200",
        ];
        assert_eq!(hex, expected.concat());
    }

    #[test]
    fn the_newest_version_that_both_speak_is_agreed_on_and_who_has_none_in_common_is_told_what_to_do() {
        let agreed =
            |(oldest, newest), theirs: Introduction| Versions { oldest, newest }.agreed(theirs.versions);
        for (own, (oldest, newest), version) in [
            ((2, 2), (2, 2), 2),
            ((2, 2), (1, 7), 2),
            ((2, 3), (2, 2), 2),
            ((2, 3), (1, 3), 3),
            ((2, 9), (3, 4), 4),
            ((2, 4), (4, 9), 4),
        ] {
            let theirs = Introduction::decode(&of_versions(oldest, newest).encode()).unwrap();
            assert_eq!(theirs, of_versions(oldest, newest));
            assert_eq!(agreed(own, theirs).unwrap(), version);
            assert_eq!(agreed((oldest, newest), of_versions(own.0, own.1)).unwrap(), version);
        }
        // What a later version adds to it is passed over.
        let Body::Hello(mut longer) = introduction().encode() else { panic!("it is a greeting") };
        longer.extend_from_slice(b"more");
        assert_eq!(Introduction::decode(&Body::Hello(longer)).unwrap(), introduction());
        for (oldest, newest) in [(1, 1), (4, 7)] {
            let refused = agreed((2, 3), of_versions(oldest, newest)).unwrap_err();
            assert!(refused.is_for_operators());
            let refused = refused.to_string();
            assert!(
                refused.contains(&format!("{oldest} to {newest}"))
                    && refused.contains("2 to 3")
                    && refused.contains("upgrade"),
                "{refused}"
            );
        }
    }
}
