//! A node: starts from an environment and settings, and holds what requests need.

use crate::coordinator::hint_sink::NoHints;
use crate::coordinator::{Coordinator, Local, Others, Timeouts};
use crate::counter::Leader;
use crate::error::ClusterError;
use crate::liveness::AllAlive;
use crate::message::Body;
use crate::metadata::local::LocalLog;
use crate::metadata::{Entry, MetadataLog, SchemaChange};
use crate::placement::Placement;
use crate::replica::Replica;
use crate::replication::Replication;
use crate::ring::{Member, Ring, Status, even_tokens};
use crate::timestamp::Timestamps;
use crate::transport::{self, Handler, Peers};
use arc_swap::ArcSwap;
use dodona_env::Env;
use dodona_env::net::BoxFuture;
use dodona_storage::compaction::CompactionSettings;
use dodona_storage::sstable::WriterOptions;
use dodona_storage::sstable::compression::Compression;
use dodona_storage::sstable::statistics::StoredColumn;
use dodona_storage::{Engine, EngineSettings, Maintained, Recovered, StorageError, TableSettings};
use dodona_types::TableId;
use dodona_types::schema::{Keyspace, Options, Schema, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

const IDENTITY_FILE: &str = "node.json";
/// How often idle maintenance looks for work.
const MAINTENANCE_PERIOD: Duration = Duration::from_secs(1);

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
    /// All members, this node among them (known by its `internode` address); empty for a node
    /// that is alone.
    pub members: Vec<Member>,
    /// The engine's settings.
    pub engine: EngineSettings,
    /// How long a coordinator waits.
    pub timeouts: Timeouts,
}

/// Who the node is; kept in the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub host: Uuid,
    /// The cluster.
    pub cluster: Uuid,
}

/// The identity as its file has it.
#[derive(Serialize, Deserialize)]
struct IdentityFile {
    #[serde(flatten)]
    identity: Identity,
    /// Absent in files of the first versions.
    checksum: Option<String>,
}

impl Identity {
    fn checksum(&self) -> String {
        let bytes = [self.host.into_bytes(), self.cluster.into_bytes()].concat();
        format!("{:08x}", crc32c::crc32c(&bytes))
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
    placement: Arc<ArcSwap<Placement>>,
    metadata: Arc<dyn MetadataLog>,
    builtin: Builtin,
    /// Held while the schema changes.
    schema_change: tokio::sync::Mutex<()>,
    schema_epoch: watch::Sender<u64>,
    failure: watch::Sender<Option<String>>,
    replica: Arc<Replica>,
    internode: SocketAddr,
}

impl Node {
    /// Starts a node: reads who it is, its schema and its data. [`Self::spawn_workers`] comes next.
    ///
    /// # Errors
    /// The data directory is in use, damaged or of a newer format; the operating system refuses.
    pub fn start(env: Env, settings: NodeSettings, builtin: Builtin) -> Result<Arc<Self>, ClusterError> {
        let identity = identity(&env)?;
        let metadata: Arc<dyn MetadataLog> = Arc::new(LocalLog::open(Arc::clone(&env.disk), env.tasks)?);
        let schema = Arc::new(with_builtin(&metadata.schema(), &builtin));
        let tables = schema
            .tables()
            .map(|table| table_settings(table, builtin.volatile.contains(&table.id)))
            .collect::<Result<Vec<_>, _>>()?;
        let (engine, recovered) = Engine::open(env.clone(), settings.engine.clone(), identity.host, tables)?;
        let engine = Arc::new(engine);
        let (ring, local) = ring_of(&settings, identity.host);
        let member = ring.members()[local].clone();
        let placement = Arc::new(ArcSwap::from_pointee(Placement::new(Arc::clone(&schema), ring, local)));
        let replica = Arc::new(Replica::new(Arc::clone(&engine), env.clone(), Arc::clone(&placement)));
        let peers = Arc::new(Peers::new(env.clone()));
        let timestamps = Arc::new(Timestamps::new(Arc::clone(&env.clock)));
        let coordinator = Coordinator::new(
            env.clone(),
            Local {
                engine: Arc::clone(&engine),
                replica: Arc::clone(&replica),
                leader: Leader::new(env.clone(), Arc::clone(&engine), identity.host),
            },
            Others { peers, liveness: Arc::new(AllAlive), hints: Arc::new(NoHints) },
            Arc::clone(&placement),
            settings.timeouts,
            Arc::clone(&timestamps),
        );
        Ok(Arc::new(Self {
            timestamps,
            info: NodeInfo { identity, cluster_name: settings.cluster_name, member },
            engine,
            coordinator,
            recovered,
            placement,
            metadata,
            builtin,
            schema_change: tokio::sync::Mutex::new(()),
            schema_epoch: watch::channel(schema.epoch).0,
            failure: watch::channel(None).0,
            replica,
            internode: settings.internode,
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

    /// Why the node had to stop, once it had to.
    #[must_use]
    pub fn watch_failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.subscribe()
    }

    /// Changes the schema: appends an entry to the metadata log, and applies it here. Returns the
    /// new schema.
    ///
    /// # Errors
    /// [`ClusterError::SchemaConflict`] if the schema is no longer at `expected_epoch`: work the
    /// change out again. Else the entry could not be written.
    pub async fn change_schema(
        &self,
        expected_epoch: u64,
        changes: Vec<SchemaChange>,
    ) -> Result<Arc<Schema>, ClusterError> {
        let _alone = self.schema_change.lock().await;
        for change in &changes {
            if let SchemaChange::PutTable(table) = change {
                table_settings(table, false)?;
            }
            if let SchemaChange::PutKeyspace(keyspace) = change {
                Replication::from_options(&keyspace.replication).map_err(ClusterError::Invalid)?;
            }
        }
        let schema = self.metadata.append(Entry { expected_epoch, changes }).await?;
        let schema = Arc::new(with_builtin(&schema, &self.builtin));
        self.apply_schema(&schema)?;
        Ok(schema)
    }

    fn apply_schema(&self, schema: &Arc<Schema>) -> Result<(), ClusterError> {
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
        let placement = Placement::new(Arc::clone(schema), before.ring.clone(), before.local);
        self.placement.store(Arc::new(placement));
        let present: BTreeSet<TableId> = schema.tables().map(|table| table.id).collect();
        for table in self.engine.table_ids() {
            if !present.contains(&table) {
                self.engine.drop_table(table)?;
            }
        }
        self.schema_epoch.send_replace(schema.epoch);
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
        if self.placement.load().ring.members().len() > 1 {
            self.env.tasks.spawn_local(Arc::clone(self).serve_peers());
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

    async fn serve_peers(self: Arc<Self>) {
        match transport::serve(self.env.clone(), self.internode, self.clone()).await {
            Ok(service) => service.await,
            Err(error) => self.fail(&format!("cannot listen for peers on {}: {error}", self.internode)),
        }
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
        self.coordinator.end().await
    }
}

impl Handler for Node {
    fn handle(self: Arc<Self>, body: Body) -> BoxFuture<'static, Body> {
        Box::pin(async move {
            match body {
                Body::Count(request) => match self.coordinator.count_for_peer(&request).await {
                    Ok(()) => Body::Mutated,
                    Err(error) => Body::Failed(error.to_string()),
                },
                body => Arc::clone(&self.replica).handle(body).await,
            }
        })
    }
}

fn identity(env: &Env) -> Result<Identity, ClusterError> {
    let io = |action: &'static str, error: std::io::Error| StorageError::Io {
        action,
        path: IDENTITY_FILE.into(),
        source: Arc::new(error),
    };
    match env.disk.read(IDENTITY_FILE) {
        Ok(bytes) => {
            let damaged = |reason: String| StorageError::Corrupt {
                path: IDENTITY_FILE.into(),
                offset: 0,
                reason: format!("not a node's identity: {reason}"),
            };
            let file: IdentityFile =
                serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
            match file.checksum {
                Some(checksum) if checksum != file.identity.checksum() => {
                    Err(damaged("the checksum does not match".into()).into())
                }
                _ => Ok(file.identity),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let identity = Identity { host: env.random.uuid_v4(), cluster: env.random.uuid_v4() };
            let file = IdentityFile { checksum: Some(identity.checksum()), identity: identity.clone() };
            let json = serde_json::to_vec_pretty(&file).unwrap_or_default();
            env.disk.replace(IDENTITY_FILE, &json).map_err(|error| io("writing", error))?;
            Ok(identity)
        }
        Err(error) => Err(io("reading", error).into()),
    }
}

fn ring_of(settings: &NodeSettings, host: Uuid) -> (Ring, usize) {
    if settings.members.is_empty() {
        let member = Member {
            host,
            status: Status::Normal,
            data_center: settings.data_center.clone(),
            rack: settings.rack.clone(),
            internode: settings.internode,
            native: settings.native,
            tokens: even_tokens(1, 0, settings.num_tokens),
        };
        return (Ring::new(vec![member]), 0);
    }
    let local =
        settings.members.iter().position(|member| member.internode == settings.internode).unwrap_or(0);
    (Ring::new(settings.members.clone()), local)
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

/// What the engine needs to know of a table.
///
/// # Errors
/// An option of the table is not valid.
pub fn table_settings(table: &Table, volatile: bool) -> Result<TableSettings, ClusterError> {
    let params = &table.params;
    let columns = table.columns.iter().map(|column| StoredColumn {
        id: column.id.0,
        name: column.name.to_string(),
        cql_type: column.cql_type.to_string(),
    });
    let flush_period = params.memtable_flush_period_in_ms;
    Ok(TableSettings {
        id: table.id,
        name: format!("{}.{}", table.keyspace, table.name),
        columns: columns.collect(),
        gc_grace_seconds: params.gc_grace_seconds,
        writer: WriterOptions {
            compression: compression(&params.compression).map_err(ClusterError::Invalid)?,
            block_bytes: block_bytes(&params.compression).map_err(ClusterError::Invalid)?,
            filter_false_positives: params.bloom_filter_fp_chance,
        },
        compaction: CompactionSettings::from_options(&params.compaction).map_err(ClusterError::Invalid)?,
        flush_period: (flush_period > 0).then(|| Duration::from_millis(flush_period.into())),
        volatile,
    })
}

/// The compression that `WITH compression = {...}` asks for.
///
/// # Errors
/// What is wrong, as Cassandra says it.
pub fn compression(options: &Options) -> Result<Compression, String> {
    if options.get("enabled").is_some_and(|enabled| enabled.eq_ignore_ascii_case("false")) {
        return Ok(Compression::None);
    }
    let Some(class) = options.get("class") else {
        return Ok(Compression::None);
    };
    match class.rsplit('.').next().unwrap_or_default() {
        "" | "NoopCompressor" => Ok(Compression::None),
        "LZ4Compressor" => Ok(Compression::Lz4),
        "ZstdCompressor" => {
            let level = options.get("compression_level").map_or(Ok(3), |level| level.parse());
            level
                .map(Compression::Zstd)
                .map_err(|_| "Invalid value for compression_level of ZstdCompressor".into())
        }
        other @ ("SnappyCompressor" | "DeflateCompressor") => {
            Err(format!("{other} is not supported yet: use LZ4Compressor or ZstdCompressor"))
        }
        _ => Err(format!("Could not create Compression for type {class}")),
    }
}

fn block_bytes(options: &Options) -> Result<usize, String> {
    let Some(text) = options.get("chunk_length_in_kb") else {
        return Ok(16 << 10);
    };
    let kib: usize = text.parse().map_err(|_| format!("Invalid value for chunk_length_in_kb: {text}"))?;
    if !kib.is_power_of_two() {
        return Err("chunk_length_in_kb must be a power of 2".into());
    }
    Ok((kib << 10).clamp(4 << 10, 1 << 20))
}
