//! The first words on a connection, in both directions: who speaks.

use super::wire::{Reading, Writing, read_message, write_message};
use crate::error::ClusterError;
use crate::message::{Body, VERSION};
use dodona_env::Env;
use dodona_types::codec::Reader;
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

/// How long a connection may take to open, with both introductions.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Who speaks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The cluster; nil for a node that does not know it yet.
    pub cluster: Uuid,
    /// The node.
    pub host: Uuid,
}

impl Introduction {
    fn encode(self) -> Body {
        let mut out = Vec::with_capacity(36);
        out.extend_from_slice(self.cluster.as_bytes());
        out.extend_from_slice(self.host.as_bytes());
        // The oldest and the newest version that is spoken.
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        Body::Hello(out)
    }

    fn decode(body: &Body) -> Result<Self, ClusterError> {
        let bytes = match body {
            Body::Hello(bytes) => bytes,
            Body::Failed(reason) => return Err(ClusterError::Peer(reason.clone())),
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
        if !(oldest..=newest).contains(&VERSION) {
            return Err(ClusterError::Peer(format!(
                "it speaks the versions {oldest} to {newest} of the protocol between nodes, this node \
                 {VERSION}: upgrade the older of the two by way of a version that speaks both"
            )));
        }
        Ok(Self { cluster, host })
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
}

/// Connects, and exchanges introductions.
pub(super) async fn open(
    env: &Env,
    peer: SocketAddr,
    introduction: Introduction,
) -> Result<(Reading, Writing), ClusterError> {
    let broke = |error: std::io::Error| ClusterError::Peer(error.to_string());
    let (mut reader, mut writer) = tokio::io::split(env.net.connect(peer).await.map_err(broke)?);
    write_message(&mut writer, introduction.encode()).await.map_err(broke)?;
    let theirs = Introduction::decode(&read_message(&mut reader).await?.body)?;
    if !introduction.cluster.is_nil() && theirs.cluster != introduction.cluster {
        return Err(ClusterError::Peer(format!("{peer} is of another cluster, {}", theirs.cluster)));
    }
    Ok((reader, writer))
}

/// The host id of the node that listens at an address. None if none answers in time.
pub async fn who_is_at(env: &Env, address: SocketAddr, introduction: Introduction) -> Option<Uuid> {
    let meet = async {
        let (mut reader, mut writer) = tokio::io::split(env.net.connect(address).await.ok()?);
        write_message(&mut writer, introduction.encode()).await.ok()?;
        let theirs = Introduction::decode(&read_message(&mut reader).await.ok()?.body).ok()?;
        Some(theirs.host)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, meet).await.ok().flatten()
}

/// Reads a peer's introduction, and answers with this node's, or why it is not listened to.
pub(super) async fn meet(
    reader: &mut Reading,
    writer: &mut Writing,
    own: Introduction,
) -> Result<Peer, ClusterError> {
    let theirs = Introduction::decode(&read_message(reader).await?.body).and_then(|theirs| {
        let is_of_this_cluster = theirs.cluster == own.cluster;
        if !is_of_this_cluster && !theirs.cluster.is_nil() {
            return Err(ClusterError::Peer(format!(
                "this is the cluster {}, not {}: correct the seeds",
                own.cluster, theirs.cluster
            )));
        }
        if theirs.host == own.host {
            return Err(ClusterError::Peer(format!(
                "both nodes are {}: a data directory was copied; start one of them with an empty one",
                own.host
            )));
        }
        Ok(Peer { host: theirs.host, is_of_this_cluster, members: 0 })
    });
    let answer = theirs.as_ref().map_or_else(|error| Body::Failed(error.to_string()), |_| own.encode());
    write_message(writer, answer).await.map_err(|error| ClusterError::Peer(error.to_string()))?;
    theirs
}
