//! A node: starts from an environment and settings, and holds what requests need.
//!
//! [`settings`] is what it is told, `opening` what it finds or begins in its data directory, `workers`
//! what goes on without being asked for, `service` what it answers to other nodes, `changes` which changes of members
//! it is at, `leaving` whether it may go, `handing` what it hands on then, `takeover` how it comes to hold what it is to hold,
//! `told` what it tells of itself by gossip.

mod changes;
mod disk;
mod handing;
mod leaving;
mod opening;
mod service;
pub mod settings;
mod takeover;
mod told;
mod traffic;
mod workers;

pub use changes::Attending;
pub use settings::{Builtin, NodeInfo, NodeSettings};
pub use told::RELEASE_VERSION;

use crate::batch_log;
use crate::coordinator::{Coordinator, Local, Others};
use crate::counter::Leader;
use crate::error::ClusterError;
use crate::gossip::state::Key;
use crate::gossip::worker::Gossiper;
use crate::heartbeat;
use crate::hints::Hints;
use crate::identity::Identity;
use crate::liveness::Liveness;
use crate::metadata::log::{ReplicatedLog, ask};
use crate::metadata::message::Request;
use crate::metadata::schema_change::alters_replication;
use crate::metadata::state::was_removed;
use crate::metadata::{Change, Metadata, MetadataLog, Outcome, SchemaChange};
use crate::on_engine::on_engine;
use crate::placement::Placement;
use crate::repair::Repairs;
use crate::repair::worker::Means;
use crate::replica::Replica;
use crate::replication::Replication;
use crate::ring::{Status, has_successor};
use crate::snapshots::{Reason, Snapshots};
use crate::streaming::Progress;
use crate::streaming::notes::Notes;
use crate::table_settings::table_settings;
use crate::timestamp::Timestamps;
use crate::transport::{Introduction, Link, Peers};
use arc_swap::ArcSwap;
use changes::Changes;
use dodona_env::{Env, watch};
use dodona_storage::compaction::throttle::Throttle;
use dodona_storage::{DirectoryLock, Engine, Recovered};
use dodona_types::TableId;
use dodona_types::schema::Schema;
use opening::{check_place, identity, lookup, open_store};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use takeover::Takeover;
use told::{gossiper, tell_of};

/// How long a change of the schema waits for the other nodes that are alive.
const AGREEMENT: Duration = Duration::from_secs(5);
/// How often a node that starts looks whether others are seen.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// A running node.
pub struct Node {
    /// The environment it runs in.
    pub env: Env,
    /// What it tells of itself.
    pub info: NodeInfo,
    /// Its engine.
    pub engine: Arc<Engine>,
    /// Coordinates requests.
    pub coordinator: Coordinator,
    /// Gives out server timestamps.
    pub timestamps: Arc<Timestamps>,
    /// How the start found the data directory.
    pub recovered: Recovered,
    /// Tells who is alive, and what members say of themselves.
    pub gossiper: Arc<Gossiper>,
    /// What other members have missed.
    pub hints: Hints,
    batches: Arc<batch_log::Store>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) metadata: Arc<ReplicatedLog>,
    placement: Arc<ArcSwap<Placement>>,
    builtin: Builtin,
    /// The version of the metadata that is applied to the engine.
    applied: parking_lot::Mutex<u64>,
    /// It was a member and is none any more, as it should be.
    has_left: AtomicBool,
    schema_epoch: watch::Sender<u64>,
    members_version: watch::Sender<u64>,
    failure: watch::Sender<Option<String>>,
    pub(crate) replica: Arc<Replica>,
    snapshots: Snapshots,
    /// What was fetched from others.
    pub streaming: Progress,
    pub(crate) takeover: Takeover,
    changes: Arc<Changes>,
    /// The furthest that another member's clock was off, in microseconds.
    pub(crate) clock_offset: AtomicU64,
    /// What was fetched of the change of members that is under way.
    notes: Arc<Notes>,
    /// Repairs of what it holds.
    pub repairs: Arc<Repairs>,
    pub(crate) settings: NodeSettings,
}

impl Node {
    /// Starts a node: reads who it is, its schema and its data; in a new data directory it begins a
    /// cluster (see [`crate::membership::enter`] for one that joins). [`Self::spawn_workers`] comes
    /// next.
    ///
    /// # Errors
    /// The data directory is in use, damaged or of a newer format; the operating system refuses.
    pub fn start(env: Env, settings: NodeSettings, builtin: Builtin) -> Result<Arc<Self>, ClusterError> {
        // Before anything is written: another process may be at work in there.
        let lock = DirectoryLock::take(&env)?;
        let identity = identity(&env, &settings)?;
        let store = Arc::new(open_store(&env, &settings, &identity)?);
        let metadata = store.metadata();
        let member = metadata.member(identity.host).cloned().ok_or_else(|| removed(&identity))?;
        check_place(&settings, &member)?;
        if settings.check_data_resurrection {
            heartbeat::refuse_stale(&env, &metadata, identity.host)?;
        }
        let schema = Arc::new(builtin.with(&metadata.schema));
        let tables = schema
            .tables()
            .map(|table| table_settings(table, builtin.volatile.contains(&table.id)))
            .collect::<Result<Vec<_>, _>>()?;
        let (engine, recovered) =
            Engine::open_locked(lock, env.clone(), settings.engine.clone(), identity.host, tables)?;
        let engine = Arc::new(engine);
        let placement = Placement::of(Arc::clone(&schema), &metadata, identity.host);
        let placement = Arc::new(ArcSwap::from_pointee(placement.ok_or_else(|| removed(&identity))?));
        let snapshots =
            Snapshots::new(env.clone(), Arc::clone(&engine), settings.auto_snapshot, builtin.describe);
        let replica = Arc::new(Replica::new(
            Arc::clone(&engine),
            env.clone(),
            Arc::clone(&placement),
            snapshots.clone(),
            settings.stream_bytes_per_second,
        ));
        let introduction = Introduction::new(identity.cluster, identity.host);
        let link = Link::new(env.clone(), introduction, settings.internode_tls.clone());
        let peers = Arc::new(Peers::new(link));
        let batches = Arc::new(batch_log::Store::new(env.clone(), Arc::clone(&engine), &schema));
        let hints = Hints::open(env.clone(), settings.hints.clone(), lookup(&placement))?;
        let gossiper = gossiper(&env, &settings, &identity, &peers)?;
        tell_of(&gossiper, &member);
        let timestamps = Arc::new(Timestamps::new(Arc::clone(&env.clock)));
        let leader = Arc::new(Leader::new(env.clone(), Arc::clone(&engine), identity.host));
        let repairs = Repairs::new(
            env.clone(),
            Means {
                engine: Arc::clone(&engine),
                replica: Arc::clone(&replica),
                leader: Arc::clone(&leader),
                peers: Arc::clone(&peers),
                liveness: gossiper.live(),
                placement: Arc::clone(&placement),
            },
        );
        let coordinator = Coordinator::new(
            env.clone(),
            Local {
                engine: Arc::clone(&engine),
                replica: Arc::clone(&replica),
                leader,
                batches: Arc::clone(&batches),
            },
            Others { peers: Arc::clone(&peers), liveness: gossiper.live(), hints: Arc::new(hints.clone()) },
            Arc::clone(&placement),
            settings.timeouts,
            Arc::clone(&timestamps),
        );
        let notes = Notes::open(Arc::clone(&env.disk), env.mutants.clone());
        notes.forget_others(metadata.members_version);
        let log = ReplicatedLog::new(env.clone(), Arc::clone(&peers), store, gossiper.live(), identity.host);
        Ok(Arc::new(Self {
            timestamps,
            info: NodeInfo { identity, cluster_name: settings.cluster_name.clone(), member },
            engine,
            coordinator,
            recovered,
            peers,
            gossiper,
            hints,
            batches,
            metadata: Arc::new(log),
            placement,
            builtin,
            applied: parking_lot::Mutex::new(metadata.version),
            has_left: AtomicBool::new(false),
            schema_epoch: watch::channel(schema.epoch).0,
            members_version: watch::channel(metadata.members_version).0,
            failure: watch::channel(None).0,
            replica,
            snapshots,
            streaming: Progress::default(),
            takeover: Takeover::default(),
            changes: Arc::default(),
            clock_offset: AtomicU64::default(),
            notes: Arc::new(notes),
            repairs: Arc::new(repairs),
            settings,
            env,
        }))
    }

    /// The present schema, with the keyspaces that every node has.
    #[must_use]
    pub fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.placement.load().schema)
    }

    /// The epoch of the present schema.
    #[must_use]
    pub fn schema_epoch(&self) -> u64 {
        self.placement.load().schema.epoch
    }

    /// The present placement.
    #[must_use]
    pub fn placement(&self) -> Arc<Placement> {
        self.placement.load_full()
    }

    /// The epoch of the schema, and news of its changes.
    #[must_use]
    pub fn watch_schema(&self) -> watch::Receiver<u64> {
        self.schema_epoch.subscribe()
    }

    /// The metadata log.
    #[must_use]
    pub fn metadata(&self) -> &dyn MetadataLog {
        &*self.metadata
    }

    /// True once the node has left its cluster. It serves nobody then.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.has_left.load(Relaxed)
    }

    /// The version at which members last changed, and news of it.
    #[must_use]
    pub fn watch_members(&self) -> watch::Receiver<u64> {
        self.members_version.subscribe()
    }

    /// Why the node had to stop, once it had to.
    #[must_use]
    pub fn watch_failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.subscribe()
    }

    /// Changes the schema: appends to the metadata log, applies it here, and waits for the other nodes
    /// that are alive to have applied it, for a while, and to have heard that of one another: drivers ask any of
    /// them. Returns the new schema.
    ///
    /// # Errors
    /// [`ClusterError::SchemaConflict`] if the schema is no longer at `expected_epoch`: work the
    /// change out again. [`ClusterError::NoMetadataQuorum`] if it may come or not.
    pub async fn change_schema(
        &self,
        expected_epoch: u64,
        changes: Vec<SchemaChange>,
    ) -> Result<Arc<Schema>, ClusterError> {
        for change in &changes {
            if let SchemaChange::PutTable(table) = change {
                table_settings(table, false)?;
            }
            if let SchemaChange::PutKeyspace(keyspace) = change {
                Replication::from_options(&keyspace.replication).map_err(ClusterError::Invalid)?;
            }
        }
        let while_members_stay = alters_replication(&self.schema(), &changes);
        let change = Change::Schema { expected_epoch, changes, while_members_stay };
        match self.metadata.append(change).await? {
            Outcome::Applied(version) => {
                self.flush_dropped().await;
                self.catch_up()?;
                let agreed = self.agree(version).await;
                self.gossiper.spread(&agreed).await;
                Ok(self.schema())
            }
            Outcome::Conflict => Err(ClusterError::SchemaConflict),
            Outcome::Busy(reason) | Outcome::Refused(reason) => Err(ClusterError::Invalid(reason)),
        }
    }

    /// Waits until all members that answer have applied a version. Returns where these are.
    async fn agree(&self, version: u64) -> Vec<SocketAddr> {
        let placement = self.placement();
        let others = placement.ring.members().iter().filter(|member| member.host != self.info.identity.host);
        let asked = others.map(|member| {
            let (peers, address) = (Arc::clone(&self.peers), member.internode);
            async move { (address, ask(&peers, address, &Request::Reach(version), AGREEMENT).await) }
        });
        let mut agreed = Vec::new();
        for (address, answer) in futures_util::future::join_all(asked).await {
            match answer {
                Ok(_) => agreed.push(address),
                Err(error) => {
                    tracing::info!(%error, "a member has not applied a change of the schema yet");
                }
            }
        }
        agreed
    }

    /// Waits until all other members are seen to be alive, or until `patience` is over. A node that has just started
    /// knows of nobody: whoever asked it earlier would be told that there are too few replicas.
    pub async fn see_others(&self, patience: Duration) {
        let (live, placement) = (self.gossiper.live(), self.placement());
        let members = placement.ring.members();
        let all_seen = async {
            while !members.iter().all(|member| live.is_alive(member.host)) {
                dodona_env::clock::sleep(LOOK_PERIOD).await;
            }
        };
        if tokio::time::timeout(patience, all_seen).await.is_err() {
            tracing::info!("not all members are seen: clients are served all the same");
        }
    }

    /// True if nobody can have acted by anything later than this of the members and the schema, as a majority of those says
    /// who vote on the metadata log. False if this node is behind.
    ///
    /// # Errors
    /// The log has no quorum.
    pub(crate) async fn is_newest(&self, epoch: u64, members: u64) -> Result<bool, ClusterError> {
        match self.metadata.append(Change::Confirm { epoch, members }).await? {
            Outcome::Applied(_) => Ok(true),
            Outcome::Conflict => Ok(false),
            Outcome::Busy(reason) | Outcome::Refused(reason) => Err(ClusterError::Invalid(reason)),
        }
    }

    /// Brings the engine and the placement to what the metadata log has.
    ///
    /// # Errors
    /// The engine cannot take it.
    pub(crate) fn catch_up(&self) -> Result<(), ClusterError> {
        let mut applied = self.applied.lock();
        let metadata = self.metadata.metadata();
        if metadata.version <= *applied {
            return Ok(());
        }
        self.apply(&metadata)?;
        *applied = metadata.version;
        Ok(())
    }

    fn apply(&self, metadata: &Metadata) -> Result<(), ClusterError> {
        let schema = Arc::new(self.builtin.with(&metadata.schema));
        let before = self.placement.load_full();
        for table in schema.tables() {
            let unchanged = before
                .schema
                .table(&table.keyspace, &table.name)
                .is_some_and(|old| Arc::ptr_eq(old, table) || old == table);
            if !unchanged {
                self.engine.put_table(table_settings(table, self.builtin.volatile.contains(&table.id))?)?;
            }
        }
        let Some(placement) = Placement::of(Arc::clone(&schema), metadata, self.info.identity.host) else {
            match before.ring.members()[before.local].status {
                // Others have what it held: it has nothing to do any more. It may have been down when they went on with that.
                Status::Leaving | Status::Departing => {
                    self.has_left.store(true, Relaxed);
                    tracing::info!("the node has left its cluster");
                }
                _ => self.fail(&removed(&self.info.identity).to_string()),
            }
            return Ok(());
        };
        self.repairs.see_created(&before.schema, &schema);
        self.placement.store(Arc::new(placement));
        self.gossip_of(metadata);
        let present: BTreeSet<TableId> = schema.tables().map(|table| table.id).collect();
        for table in self.engine.table_ids() {
            if !present.contains(&table) {
                self.keep_dropped(&before.schema, table);
                self.engine.drop_table(table)?;
            }
        }
        self.schema_epoch.send_if_modified(|epoch| std::mem::replace(epoch, schema.epoch) != schema.epoch);
        let version = metadata.members_version;
        self.notes.forget_others(version);
        self.members_version.send_if_modified(|known| std::mem::replace(known, version) != version);
        Ok(())
    }

    /// Brings what tables have in memory to files that are dropped with the metadata as they are, where that
    /// holds nobody up: their snapshots are links alone then.
    pub(crate) async fn flush_dropped(&self) {
        let (before, metadata) = (self.placement(), self.metadata.metadata());
        if before.schema.epoch == metadata.schema.epoch {
            return;
        }
        let present: BTreeSet<TableId> = metadata.schema.tables().map(|table| table.id).collect();
        let is_builtin = |name: &str| self.builtin.keyspaces.iter().any(|keyspace| &*keyspace.name == name);
        let dropped = before.schema.tables().filter(|table| {
            !present.contains(&table.id) && !is_builtin(&table.keyspace) && self.snapshots.are_due(table)
        });
        for table in dropped.map(|table| table.id) {
            // What it does not manage, the snapshot does, or says.
            let _ = on_engine(&self.env.tasks, &self.engine, move |engine| engine.flush(table)).await;
        }
    }

    /// Takes a snapshot of a table that goes. All nodes have agreed on that: it goes all the same if there is
    /// no space for one.
    fn keep_dropped(&self, schema: &Schema, table: TableId) {
        if let Some(table) = schema.table_by_id(table)
            && let Err(error) = self.snapshots.before(Reason::Dropped, schema, table)
        {
            let name = format!("{}.{}", table.keyspace, table.name);
            tracing::error!(table = name, %error, "a table is dropped without the snapshot that was due");
        }
    }

    /// The rate of what is streamed to other nodes.
    #[must_use]
    pub fn stream_throttle(&self) -> &Throttle {
        &self.replica.streams
    }

    /// Bytes that were streamed to other nodes since the start.
    #[must_use]
    pub fn streamed_bytes(&self) -> u64 {
        self.replica.streamed_bytes.load(Relaxed)
    }

    /// True if what the node holds is repaired without anyone asking.
    #[must_use]
    pub const fn repairs_itself(&self) -> bool {
        self.settings.automatic_repair
    }

    /// Where other nodes and clients reach this node, by its settings.
    pub(crate) const fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.settings.internode, self.settings.native)
    }

    /// Gossip is with members, and tells of this one what the metadata say.
    fn gossip_of(&self, metadata: &Metadata) {
        let known = self.gossiper.endpoints();
        for endpoint in known.iter().filter(|known| metadata.member(known.host).is_none()) {
            self.gossiper.forget(endpoint.host);
        }
        // Whoever takes another one's place may have its address: what is sent there is not for the other one.
        let members = metadata.members.values();
        let members = members.filter(|member| !has_successor(metadata.members.values(), member));
        let members: Vec<_> = members.map(|member| (member.host, member.internode)).collect();
        self.gossiper.set_members(&members);
        if let Some(member) = metadata.member(self.info.identity.host) {
            tell_of(&self.gossiper, member);
        }
        self.gossiper.set(Key::SCHEMA, metadata.schema.version().to_string());
    }

    /// Notes that the node cannot go on: whoever runs it must stop it.
    pub(crate) fn fail(&self, reason: &str) {
        tracing::error!(reason, "the node must stop");
        self.failure.send_replace(Some(reason.to_owned()));
    }

    /// Writes everything to files and brings the commit log to the disk, for a clean stop.
    ///
    /// # Errors
    /// The disk is full or has failed; nothing acknowledged is lost.
    pub async fn drain(&self) -> Result<(), ClusterError> {
        let drain = |engine: &Engine| engine.flush_all().and_then(|()| engine.sync_log());
        on_engine(&self.env.tasks, &self.engine, drain).await?;
        if let Err(error) = on_engine(&self.env.tasks, &self.engine, Engine::archive_whole_log).await {
            tracing::error!(%error, "the end of the commit log is not archived: the next start tries again");
        }
        let hints = self.hints.clone();
        let synced = self.env.tasks.blocking(move || hints.sync()).await;
        synced.map_err(|error| ClusterError::Invalid(error.to_string()))??;
        self.gossiper.shut_down().await;
        self.coordinator.end().await
    }
}

fn removed(identity: &Identity) -> ClusterError {
    ClusterError::Invalid(was_removed(identity.host))
}
