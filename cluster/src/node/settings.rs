//! What a node is told, and what it tells of itself.

use crate::coordinator::Timeouts;
use crate::disk_usage::DiskUsageBounds;
use crate::hints::HintSettings;
use crate::identity::Identity;
use crate::ring::{Member, Status, even_tokens};
use crate::snapshots::{AutoSnapshot, Describe};
use crate::transport::tls::InternodeTls;
use dodona_storage::EngineSettings;
use dodona_storage::engine::restore::RestoreSettings;
use dodona_types::schema::{Keyspace, Schema};
use dodona_types::{TableId, Token};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Settings of a node: plain data.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The cluster's name.
    pub cluster_name: String,
    /// The node's data centre.
    pub data_center: String,
    /// The node's rack.
    pub rack: String,
    /// Where clients reach the node.
    pub native: SocketAddr,
    /// Where other nodes reach the node.
    pub internode: SocketAddr,
    /// Tokens of a node.
    pub num_tokens: usize,
    /// Where nodes of the cluster may be found by a node that is new. A node whose own address is the
    /// first begins a cluster if no other knows one; one without seeds begins a cluster at once.
    pub seeds: Vec<SocketAddr>,
    /// The member whose place a new node takes, which is down: its host id or its address.
    pub replace: Option<String>,
    /// There is no cluster yet: the first seed need not listen whether members of one look for it.
    pub new_cluster: bool,
    /// This member goes on with the metadata log alone, without those who voted on it, most of whom are lost for good.
    pub recover_metadata: bool,
    /// The members to begin a cluster with, this node among them (known by its `internode` address);
    /// empty to begin it alone, and for others to join.
    pub members: Vec<Member>,
    /// The engine's settings.
    pub engine: EngineSettings,
    /// How long a coordinator waits.
    pub timeouts: Timeouts,
    /// What is kept for members that miss writes.
    pub hints: HintSettings,
    /// Bytes a second that are streamed to other nodes; 0 for no limit.
    pub stream_bytes_per_second: u64,
    /// Files of so many bytes that hold nothing but what is fetched come as they are, others row by row.
    pub stream_files_of_bytes: u64,
    /// What the node holds is repaired without anyone asking.
    pub automatic_repair: bool,
    /// Only what is not repaired yet is compared for that.
    pub automatic_repair_incremental: bool,
    /// A member that was down for longer than tombstones are kept does not start.
    pub check_data_resurrection: bool,
    /// A node whose clock is further from those of most others does not start; zero for any.
    pub max_clock_offset: Duration,
    /// Snapshots before tables are truncated or dropped.
    pub auto_snapshot: AutoSnapshot,
    /// From where on its disk is stuffed or full.
    pub disk_usage: DiskUsageBounds,
    /// What is restored of archived commit logs.
    pub restore: RestoreSettings,
    /// How connections between nodes are encrypted, if they are: all of a cluster's nodes alike.
    pub internode_tls: Option<Arc<InternodeTls>>,
}

impl Default for NodeSettings {
    /// A node that is alone on this machine, with the names and ports of Cassandra's defaults.
    fn default() -> Self {
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            cluster_name: "Test Cluster".into(),
            data_center: "datacenter1".into(),
            rack: "rack1".into(),
            native: address(9042),
            internode: address(7000),
            num_tokens: 16,
            seeds: Vec::new(),
            replace: None,
            new_cluster: false,
            recover_metadata: false,
            members: Vec::new(),
            engine: EngineSettings::default(),
            timeouts: Timeouts::default(),
            hints: HintSettings::default(),
            stream_bytes_per_second: 24 << 20,
            stream_files_of_bytes: 1 << 20,
            automatic_repair: true,
            automatic_repair_incremental: false,
            check_data_resurrection: true,
            max_clock_offset: Duration::from_secs(60),
            auto_snapshot: AutoSnapshot { enabled: true, ttl: None },
            disk_usage: DiskUsageBounds::default(),
            restore: RestoreSettings::default(),
            internode_tls: None,
        }
    }
}

impl NodeSettings {
    /// This node as the first member of a cluster.
    pub(crate) fn first_member(&self, identity: &Identity) -> Member {
        let tokens = even_tokens(1, 0, self.num_tokens);
        Member { status: Status::Normal, ..self.member(identity.host, tokens) }
    }

    /// This node as a member that is new.
    pub(crate) fn member(&self, host: Uuid, tokens: Vec<Token>) -> Member {
        Member {
            host,
            status: Status::Joining,
            data_center: self.data_center.clone(),
            rack: self.rack.clone(),
            internode: self.internode,
            native: self.native,
            tokens,
            other_tokens: Vec::new(),
        }
    }

    /// Where peers are listened to; not at all without an address for it.
    pub(super) fn listens_to_peers(&self) -> Option<SocketAddr> {
        (self.internode.port() != 0).then_some(self.internode)
    }
}

/// What the node tells of itself.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Who it is.
    pub identity: Identity,
    /// The cluster's name.
    pub cluster_name: String,
    /// It as a member of the ring.
    pub member: Member,
}

/// Keyspaces that every node has without anyone having created them.
#[derive(Clone, Debug, Default)]
pub struct Builtin {
    /// Their definitions.
    pub keyspaces: Vec<Keyspace>,
    /// Tables kept in memory alone: their content is made anew by each start.
    pub volatile: BTreeSet<TableId>,
    /// Writes the statements that make a table again, for snapshots.
    pub describe: Option<Describe>,
}

impl Builtin {
    /// A schema with the keyspaces that every node has. What the log says of one of these is its
    /// replication: operators alter that.
    pub(super) fn with(&self, schema: &Schema) -> Schema {
        let mut schema = schema.clone();
        for keyspace in &self.keyspaces {
            let mut keyspace = keyspace.clone();
            if let Some(altered) = schema.keyspaces.get(&keyspace.name) {
                keyspace.replication = altered.replication.clone();
                keyspace.durable_writes = altered.durable_writes;
            }
            schema.keyspaces.insert(keyspace.name.clone(), Arc::new(keyspace));
        }
        schema
    }
}
