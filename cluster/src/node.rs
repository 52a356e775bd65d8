//! A node: starts from an environment and settings, and holds what requests need.

use crate::batch_log;
use crate::coordinator::{Coordinator, Local, Others, Timeouts};
use crate::counter::Leader;
use crate::error::ClusterError;
use crate::gossip::protocol::GossipSettings;
use crate::gossip::state::Key;
use crate::gossip::worker::Gossiper;
use crate::hints::{HintSettings, Hints};
use crate::identity::Identity;
use crate::liveness::Liveness;
use crate::message::Body;
use crate::metadata::log::{ReplicatedLog, ask};
use crate::metadata::message::{Answer, Request, decode, encode};
use crate::metadata::store::Store;
use crate::metadata::{Change, Metadata, MetadataLog, Outcome, SchemaChange};
use crate::placement::Placement;
use crate::replica::Replica;
use crate::replication::Replication;
use crate::ring::{Member, Status, even_tokens};
use crate::streaming::Progress;
use crate::table_settings::table_settings;
use crate::timestamp::Timestamps;
use crate::transport::{self, Handler, Introduction, Peer, Peers};
use arc_swap::ArcSwap;
use dodona_env::Env;
use dodona_env::net::BoxFuture;
use dodona_env::watch;
use dodona_storage::{DirectoryLock, Engine, EngineSettings, Maintained, Recovered, StorageError};
use dodona_types::TableId;
use dodona_types::schema::{Keyspace, Schema};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// How often idle maintenance looks for work.
const MAINTENANCE_PERIOD: Duration = Duration::from_secs(1);
/// The release that nodes say they are of: the one that clients are told.
pub const RELEASE_VERSION: &str = "5.0.6";
/// How often it is looked for batches that were not brought to their end (Cassandra's period).
const BATCH_PERIOD: Duration = Duration::from_secs(10);
/// How often it is looked whom hints can be delivered to, and how long news may gather.
const HINT_PERIOD: Duration = Duration::from_secs(10);
const HINT_PAUSE: Duration = Duration::from_millis(500);
/// How long a change of the schema waits for the other nodes that are alive.
const AGREEMENT: Duration = Duration::from_secs(5);

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
    /// The members to begin a cluster with, this node among them (known by its `internode` address);
    /// empty to begin it alone, and for others to join.
    pub members: Vec<Member>,
    /// The engine's settings.
    pub engine: EngineSettings,
    /// How long a coordinator waits.
    pub timeouts: Timeouts,
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
}

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
    /// What was fetched from others.
    pub streaming: Progress,
    settings: NodeSettings,
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
        let schema = Arc::new(with_builtin(&metadata.schema, &builtin));
        let tables = schema
            .tables()
            .map(|table| table_settings(table, builtin.volatile.contains(&table.id)))
            .collect::<Result<Vec<_>, _>>()?;
        let (engine, recovered) =
            Engine::open_locked(lock, env.clone(), settings.engine.clone(), identity.host, tables)?;
        let engine = Arc::new(engine);
        let placement = Placement::of(Arc::clone(&schema), &metadata, identity.host);
        let placement = Arc::new(ArcSwap::from_pointee(placement.ok_or_else(|| removed(&identity))?));
        let replica = Arc::new(Replica::new(Arc::clone(&engine), env.clone(), Arc::clone(&placement)));
        let introduction = Introduction { cluster: identity.cluster, host: identity.host };
        let peers = Arc::new(Peers::new(env.clone(), introduction));
        let batches = Arc::new(batch_log::Store::new(env.clone(), Arc::clone(&engine), &schema));
        let tables = Arc::clone(&placement);
        let gc_grace =
            move |id| tables.load().schema.table_by_id(id).map(|table| table.params.gc_grace_seconds);
        let hints = Hints::open(env.clone(), HintSettings::default(), Arc::new(gc_grace))?;
        let gossiper = gossiper(&env, &settings, &identity, &peers)?;
        tell_of(&gossiper, &member);
        let timestamps = Arc::new(Timestamps::new(Arc::clone(&env.clock)));
        let coordinator = Coordinator::new(
            env.clone(),
            Local {
                engine: Arc::clone(&engine),
                replica: Arc::clone(&replica),
                leader: Leader::new(env.clone(), Arc::clone(&engine), identity.host),
                batches: Arc::clone(&batches),
            },
            Others { peers: Arc::clone(&peers), liveness: gossiper.live(), hints: Arc::new(hints.clone()) },
            Arc::clone(&placement),
            settings.timeouts,
            Arc::clone(&timestamps),
        );
        let log = ReplicatedLog::new(env.clone(), Arc::clone(&peers), store, identity.host);
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
            streaming: Progress::default(),
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
    /// that are alive to have applied it, for a while. Returns the new schema.
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
        match self.metadata.append(Change::Schema { expected_epoch, changes }).await? {
            Outcome::Applied(version) => {
                self.catch_up()?;
                self.agree(version).await;
                Ok(self.schema())
            }
            Outcome::Conflict => Err(ClusterError::SchemaConflict),
            Outcome::Busy(reason) | Outcome::Refused(reason) => Err(ClusterError::Invalid(reason)),
        }
    }

    /// Waits until all members that answer have applied a version.
    async fn agree(&self, version: u64) {
        let placement = self.placement();
        let others = placement.ring.members().iter().filter(|member| member.host != self.info.identity.host);
        let asked = others.map(|member| {
            let (peers, address) = (Arc::clone(&self.peers), member.internode);
            async move { ask(&peers, address, &Request::Reach(version), AGREEMENT).await }
        });
        for answer in futures_util::future::join_all(asked).await {
            if let Err(error) = answer {
                tracing::info!(%error, "a member has not applied a change of the schema yet");
            }
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
        let schema = Arc::new(with_builtin(&metadata.schema, &self.builtin));
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
                // Others have what it held: it has nothing to do any more.
                Status::Departing => {
                    self.has_left.store(true, Relaxed);
                    tracing::info!("the node has left its cluster");
                }
                _ => self.fail(&removed(&self.info.identity).to_string()),
            }
            return Ok(());
        };
        self.placement.store(Arc::new(placement));
        self.gossip_of(metadata);
        let present: BTreeSet<TableId> = schema.tables().map(|table| table.id).collect();
        for table in self.engine.table_ids() {
            if !present.contains(&table) {
                self.engine.drop_table(table)?;
            }
        }
        self.schema_epoch.send_if_modified(|epoch| std::mem::replace(epoch, schema.epoch) != schema.epoch);
        let version = metadata.members_version;
        self.members_version.send_if_modified(|known| std::mem::replace(known, version) != version);
        Ok(())
    }

    /// Starts the workers of the node on this thread: the commit log's syncs, flushes and
    /// compactions, and the service for peers.
    pub fn spawn_workers(self: &Arc<Self>) {
        if let Some(period) = self.engine.sync_period() {
            self.env.tasks.spawn_local(Arc::clone(self).sync_log(period));
        }
        self.env.tasks.spawn_local(Arc::clone(self).tend_log());
        self.env.tasks.spawn_local(Arc::clone(self).flush());
        for _ in 0..self.engine.settings().concurrent_compactors.max(1) {
            self.env.tasks.spawn_local(Arc::clone(self).compact());
        }
        self.env.tasks.spawn_local(Arc::clone(&self.metadata).run());
        self.env.tasks.spawn_local(Arc::clone(self).follow_metadata());
        self.gossip_of(&self.metadata.metadata());
        self.env.tasks.spawn_local(Arc::clone(&self.gossiper).run());
        self.env.tasks.spawn_local(self.hints.clone().run());
        self.env.tasks.spawn_local(Arc::clone(self).deliver_hints());
        self.env.tasks.spawn_local(Arc::clone(self).replay_batches());
        if let Some(internode) = self.settings.listens_to_peers() {
            self.env.tasks.spawn_local(Arc::clone(self).serve_peers(internode));
        }
    }

    async fn follow_metadata(self: Arc<Self>) {
        let mut version = self.metadata.watch();
        loop {
            if let Err(error) = self.catch_up() {
                return self.fail(&format!("a change of the metadata cannot be applied: {error}"));
            }
            if version.changed().await.is_err() {
                return;
            }
        }
    }

    async fn sync_log(self: Arc<Self>, period: Duration) {
        loop {
            dodona_env::clock::sleep(period).await;
            self.on_log(Engine::sync_log).await;
        }
    }

    async fn tend_log(self: Arc<Self>) {
        loop {
            self.engine.wait_for_log_upkeep().await;
            self.on_log(Engine::tend_log).await;
        }
    }

    /// Works on the commit log. A full disk is told to the writes that it refuses.
    async fn on_log(&self, work: fn(&Engine) -> Result<(), StorageError>) {
        let engine = Arc::clone(&self.engine);
        match self.env.tasks.blocking(move || work(&engine)).await {
            Ok(Ok(()) | Err(StorageError::NoSpace)) => {}
            Ok(Err(error)) => self.fail(&error.to_string()),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    async fn flush(self: Arc<Self>) {
        while let Some(done) = self.maintain(Engine::maintain_memtables).await {
            if done == Maintained::Idle {
                self.engine.wait_for_work(MAINTENANCE_PERIOD).await;
            }
        }
    }

    async fn compact(self: Arc<Self>) {
        while let Some(done) = self.maintain(Engine::maintain_files).await {
            if done == Maintained::Idle {
                self.engine.wait_for_files(MAINTENANCE_PERIOD).await;
            }
        }
    }

    /// Does a piece of work. None if the node cannot go on.
    async fn maintain(&self, work: fn(&Engine) -> Result<Maintained, StorageError>) -> Option<Maintained> {
        let engine = Arc::clone(&self.engine);
        match self.env.tasks.blocking(move || work(&engine)).await {
            Ok(Ok(done)) => Some(done),
            Ok(Err(error @ (StorageError::LogFailed(_) | StorageError::Io { .. }))) => {
                self.fail(&error.to_string());
                None
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "maintenance failed; it will be tried again");
                dodona_env::clock::sleep(MAINTENANCE_PERIOD).await;
                Some(Maintained::Worked)
            }
            Err(error) => {
                self.fail(&error.to_string());
                None
            }
        }
    }

    /// Makes the writes of batches again whose coordinator has not done all of them.
    async fn replay_batches(self: Arc<Self>) {
        loop {
            dodona_env::clock::sleep(BATCH_PERIOD).await;
            match self.coordinator.replay_batches().await {
                Ok(0) => {}
                Ok(batches) => tracing::info!(batches, "batches were written that were not known to be"),
                Err(error) => tracing::info!(%error, "batches wait on"),
            }
        }
    }

    /// Delivers hints to whoever is alive: soon after it is, and again where that did not work.
    async fn deliver_hints(self: Arc<Self>) {
        let mut events = self.gossiper.subscribe();
        loop {
            let placement = self.placement();
            let live = self.gossiper.live();
            for target in self.hints.pending().into_keys() {
                match placement.ring.member(target) {
                    None => self.hints.forget(target),
                    Some(member) if live.is_alive(target) => {
                        let (node, address) = (Arc::clone(&self), member.internode);
                        self.env.tasks.spawn_local(async move {
                            match node.hints.deliver(target, address, &node.peers).await {
                                Ok(0) => {}
                                Ok(hints) => tracing::info!(%target, hints, "hints were delivered"),
                                Err(error) => tracing::info!(%target, %error, "hints wait on"),
                            }
                        });
                    }
                    Some(_) => {}
                }
            }
            // Any news is a reason to look again.
            let _ = tokio::time::timeout(HINT_PERIOD, events.recv()).await;
            dodona_env::clock::sleep(HINT_PAUSE).await;
        }
    }

    async fn serve_peers(self: Arc<Self>, address: SocketAddr) {
        match transport::serve(self.env.clone(), address, self.peers.introduction(), self.clone()).await {
            Ok(service) => service.await,
            Err(error) if self.is_alone() => {
                tracing::warn!(%address, %error, "peers cannot connect: no other node can join this one");
            }
            Err(error) => self.fail(&format!("cannot listen for peers on {address}: {error}")),
        }
    }

    /// True if the node is the only one of its cluster, and was told of no other.
    fn is_alone(&self) -> bool {
        self.settings.seeds.is_empty() && self.placement.load().ring.members().len() == 1
    }

    /// Where other nodes and clients reach this node, by its settings.
    pub(crate) const fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.settings.internode, self.settings.native)
    }

    /// Gossip is with members, and tells of this one what the metadata say.
    fn gossip_of(&self, metadata: &Metadata) {
        let members: Vec<_> =
            metadata.members.values().map(|member| (member.host, member.internode)).collect();
        let known = self.gossiper.endpoints();
        for endpoint in known.iter().filter(|known| members.iter().all(|(host, _)| *host != known.host)) {
            self.gossiper.forget(endpoint.host);
        }
        self.gossiper.set_members(&members);
        if let Some(member) = metadata.member(self.info.identity.host) {
            tell_of(&self.gossiper, member);
        }
        self.gossiper.set(Key::SCHEMA, metadata.schema.version().to_string());
    }

    /// Notes that the node cannot go on: whoever runs it must stop it.
    fn fail(&self, reason: &str) {
        tracing::error!(reason, "the node must stop");
        self.failure.send_replace(Some(reason.to_owned()));
    }

    /// Writes everything to files and brings the commit log to the disk, for a clean stop.
    ///
    /// # Errors
    /// The disk is full or has failed; nothing acknowledged is lost.
    pub async fn drain(&self) -> Result<(), ClusterError> {
        let engine = Arc::clone(&self.engine);
        let drained =
            self.env.tasks.blocking(move || engine.flush_all().and_then(|()| engine.sync_log())).await;
        drained.map_err(|error| ClusterError::Invalid(error.to_string()))??;
        let hints = self.hints.clone();
        let synced = self.env.tasks.blocking(move || hints.sync()).await;
        synced.map_err(|error| ClusterError::Invalid(error.to_string()))??;
        self.gossiper.shut_down().await;
        self.coordinator.end().await
    }
}

fn mutated(done: Result<(), ClusterError>) -> Body {
    done.map_or_else(|error| Body::Failed(error.to_string()), |()| Body::Mutated)
}

impl Handler for Node {
    fn handle(self: Arc<Self>, from: Peer, body: Body) -> BoxFuture<'static, Body> {
        Box::pin(async move {
            match body {
                Body::Metadata(request) => Body::MetadataAnswer(encode(&self.answer(&request).await)),
                _ if !from.is_of_this_cluster => Body::Failed("this is another cluster".into()),
                // Whoever was chosen by them may not be a replica any more, or not the only one.
                _ if from.members != 0 && from.members < self.placement.load().version => {
                    Body::Stale(self.placement.load().version.to_le_bytes().to_vec())
                }
                Body::Gossip(message) => Body::Gossiped(self.gossiper.answer(&message)),
                Body::Count(request) => mutated(self.coordinator.count_for_peer(&request).await),
                Body::KeepBatch(bytes) => {
                    let kept = bytes
                        .split_at_checked(16)
                        .and_then(|(id, batch)| Some((uuid::Uuid::from_slice(id).ok()?, batch)));
                    match kept {
                        Some((id, batch)) => mutated(self.batches.keep(id, batch).await),
                        None => Body::Failed("a batch without an id".into()),
                    }
                }
                Body::ForgetBatch(id) => match uuid::Uuid::from_slice(&id) {
                    Ok(id) => mutated(self.batches.forget(id).await),
                    Err(error) => Body::Failed(error.to_string()),
                },
                body => Arc::clone(&self.replica).handle(from, body).await,
            }
        })
    }
}

impl Node {
    async fn answer(&self, request: &[u8]) -> Answer {
        let request: Request = match decode(request) {
            Ok(request) => request,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        match request {
            Request::Who => Answer::Cluster(self.info.identity.cluster, self.info.cluster_name.clone()),
            Request::Join(member, tokens) => self.take_in(*member, tokens).await,
            Request::Fetch => match self.fetch().await {
                Ok(()) => Answer::Version(self.metadata.metadata().version),
                Err(error) => Answer::Failed(error.to_string()),
            },
            request => {
                let reaches = matches!(request, Request::Reach(_));
                let answer = self.metadata.handle(request).await;
                // Whoever asks relies on it being in use.
                match answer {
                    Some(Answer::Version(version)) if reaches => match self.catch_up() {
                        Ok(()) => Answer::Version(version),
                        Err(error) => Answer::Failed(error.to_string()),
                    },
                    Some(answer) => answer,
                    None => Answer::Failed("not a request".into()),
                }
            }
        }
    }
}

fn gossiper(
    env: &Env,
    settings: &NodeSettings,
    identity: &Identity,
    peers: &Arc<Peers>,
) -> Result<Arc<Gossiper>, ClusterError> {
    let settings = GossipSettings {
        cluster: identity.cluster,
        host: identity.host,
        address: settings.internode,
        seeds: settings.seeds.clone(),
    };
    Gossiper::new(env.clone(), Arc::clone(peers), settings)
}

/// What a member tells of itself.
fn tell_of(gossiper: &Gossiper, member: &Member) {
    let status = match member.status {
        Status::Joining => "BOOT",
        Status::Arriving | Status::Normal => "NORMAL",
        Status::Leaving | Status::Departing => "LEAVING",
    };
    let first = member.tokens.first().map_or_else(String::new, ToString::to_string);
    for (key, value) in [
        (Key::STATUS, format!("{status},{first}")),
        (Key::DC, member.data_center.clone()),
        (Key::RACK, member.rack.clone()),
        (Key::RELEASE_VERSION, RELEASE_VERSION.to_owned()),
        (Key::INTERNAL_ADDRESS, member.internode.to_string()),
        (Key::NATIVE_ADDRESS, member.native.to_string()),
        (Key::NET_VERSION, crate::message::VERSION.to_string()),
        (Key::HOST_ID, member.host.to_string()),
    ] {
        gossiper.set(key, value);
    }
}

/// Who the node is; in a new data directory it begins a cluster.
fn identity(env: &Env, settings: &NodeSettings) -> Result<Identity, ClusterError> {
    if let Some(identity) = Identity::read(&*env.disk)? {
        return Ok(identity);
    }
    let given = settings.members.iter().find(|member| member.internode == settings.internode);
    let identity = Identity {
        host: given.map_or_else(|| env.random.uuid_v4(), |member| member.host),
        // Those who begin a cluster together agree on its id without a word.
        cluster: settings.members.first().map_or_else(|| env.random.uuid_v4(), |first| first.host),
    };
    identity.write(&*env.disk)?;
    Ok(identity)
}

/// Opens the metadata log, or begins the one of a new cluster.
fn open_store(env: &Env, settings: &NodeSettings, identity: &Identity) -> Result<Store, ClusterError> {
    let disk = Arc::clone(&env.disk);
    let here = settings.first_member(identity);
    if Store::exists(&*disk)? {
        return Store::open(disk, &here);
    }
    if settings.members.is_empty() {
        return Store::create(disk, Metadata::of_members([here], Schema::default()), &[1], true);
    }
    let metadata = Metadata::of_members(settings.members.iter().cloned(), Schema::default());
    let voters: Vec<u64> = metadata.members.keys().copied().take(crate::metadata::MAX_VOTERS).collect();
    Store::create(disk, metadata, &voters, false)
}

fn removed(identity: &Identity) -> ClusterError {
    ClusterError::Invalid(format!(
        "the node {} was removed from its cluster: to take it in again, start it with an empty data directory",
        identity.host
    ))
}

/// A node stays where it is: its data are placed by it.
fn check_place(settings: &NodeSettings, member: &Member) -> Result<(), ClusterError> {
    let (data_center, rack) = (&settings.data_center, &settings.rack);
    if (data_center, rack) == (&member.data_center, &member.rack) {
        return Ok(());
    }
    Err(ClusterError::Invalid(format!(
        "this node is in data centre `{}`, rack `{}`, and cannot start in `{data_center}`, `{rack}`: set \
         data_center and rack back, or let it join anew with an empty data directory",
        member.data_center, member.rack
    )))
}

impl NodeSettings {
    /// This node as the first member of a cluster.
    pub(crate) fn first_member(&self, identity: &Identity) -> Member {
        let tokens = even_tokens(1, 0, self.num_tokens);
        Member { status: Status::Normal, ..self.member(identity.host, tokens) }
    }

    /// This node as a member that is new.
    pub(crate) fn member(&self, host: uuid::Uuid, tokens: Vec<dodona_types::Token>) -> Member {
        Member {
            host,
            status: Status::Joining,
            data_center: self.data_center.clone(),
            rack: self.rack.clone(),
            internode: self.internode,
            native: self.native,
            tokens,
        }
    }

    /// Where peers are listened to; not at all without an address for it.
    fn listens_to_peers(&self) -> Option<SocketAddr> {
        (self.internode.port() != 0).then_some(self.internode)
    }
}

/// The schema with the keyspaces that every node has. What the log says of one of these is its
/// replication: operators alter that.
fn with_builtin(schema: &Schema, builtin: &Builtin) -> Schema {
    let mut schema = schema.clone();
    for keyspace in &builtin.keyspaces {
        let mut keyspace = keyspace.clone();
        if let Some(altered) = schema.keyspaces.get(&keyspace.name) {
            keyspace.replication = altered.replication.clone();
            keyspace.durable_writes = altered.durable_writes;
        }
        schema.keyspaces.insert(keyspace.name.clone(), Arc::new(keyspace));
    }
    schema
}
