//! What goes on in a node without being asked for: the commit log's syncs, flushes and compactions, the
//! metadata log, gossip, hints, batches, and the service for other nodes.

use super::Node;
use crate::error::ClusterError;
use crate::heartbeat;
use crate::hints::replay::To;
use crate::liveness::Liveness;
use crate::metadata::MetadataLog;
use crate::on_engine::on_engine;
use crate::transport;
use dodona_storage::{Engine, Maintained, StorageError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How often idle maintenance looks for work.
const MAINTENANCE_PERIOD: Duration = Duration::from_secs(1);
/// How often it is looked for batches that were not brought to their end (Cassandra's period).
const BATCH_PERIOD: Duration = Duration::from_secs(10);
/// How often it is looked for segments of the commit log to be archived.
const ARCHIVE_PERIOD: Duration = Duration::from_secs(1);
/// How often it is looked for snapshots whose time is over (Cassandra's period).
const SNAPSHOT_PERIOD: Duration = Duration::from_secs(60);
/// How often it is looked whom hints can be delivered to, and how long news may gather.
const HINT_PERIOD: Duration = Duration::from_secs(10);
const HINT_PAUSE: Duration = Duration::from_millis(500);

impl Node {
    /// Starts the workers of the node on this thread: the commit log's syncs, flushes and
    /// compactions, and the service for peers.
    pub fn spawn_workers(self: &Arc<Self>) {
        self.env.tasks.spawn_local(Arc::clone(self).stop_at_a_panic());
        if let Some(period) = self.engine.sync_period() {
            self.env.tasks.spawn_local(Arc::clone(self).sync_log(period));
        }
        self.env.tasks.spawn_local(Arc::clone(self).tend_log());
        if self.engine.settings().archive.is_on() {
            self.env.tasks.spawn_local(Arc::clone(self).archive_log());
        }
        self.env.tasks.spawn_local(Arc::clone(self).flush());
        for _ in 0..self.engine.settings().concurrent_compactors.max(1) {
            self.env.tasks.spawn_local(Arc::clone(self).compact());
        }
        self.env.tasks.spawn_local(Arc::clone(&self.metadata).run());
        self.env.tasks.spawn_local(Arc::clone(self).follow_metadata());
        self.gossip_of(&self.metadata.metadata());
        self.env.tasks.spawn_local(Arc::clone(&self.gossiper).run());
        self.env.tasks.spawn_local(Arc::clone(self).tell_and_ask());
        self.env.tasks.spawn_local(self.hints.clone().run());
        self.env.tasks.spawn_local(Arc::clone(self).deliver_hints());
        self.env.tasks.spawn_local(Arc::clone(self).replay_batches());
        self.env.tasks.spawn_local(Arc::clone(&self.repairs).heal_when_damaged());
        self.env.tasks.spawn_local(Arc::clone(&self.repairs).forget_when_old());
        self.env.tasks.spawn_local(Arc::clone(self).clear_snapshots());
        self.env.tasks.spawn_local(Arc::clone(self).watch_disk());
        self.env.tasks.spawn_local(heartbeat::beat(self.env.clone()));
        self.env.tasks.spawn_local(Arc::clone(self).compare_clocks());
        if self.settings.automatic_repair {
            let incremental = self.settings.automatic_repair_incremental;
            self.env.tasks.spawn_local(Arc::clone(&self.repairs).repair_when_due(incremental));
            self.env.tasks.spawn_local(Arc::clone(&self.repairs).tell_of_late());
        }
        self.env.tasks.spawn_local(Arc::clone(self).refuse_second_cluster());
        if let Some(internode) = self.settings.listens_to_peers() {
            self.env.tasks.spawn_local(Arc::clone(self).serve_peers(internode));
        }
    }

    async fn stop_at_a_panic(self: Arc<Self>) {
        self.env.tasks.panicked().await;
        self.fail("a task has panicked, and what it was about to change cannot be relied on");
    }

    async fn follow_metadata(self: Arc<Self>) {
        let mut version = self.metadata.watch();
        loop {
            self.flush_dropped().await;
            match self.catch_up_with_room().await {
                Ok(()) if version.changed().await.is_err() => return,
                Ok(()) => {}
                Err(error) => {
                    return self.fail(&format!("a change of the metadata cannot be applied: {error}"));
                }
            }
        }
    }

    /// As [`Self::catch_up`], once the data disk has space for it.
    ///
    /// # Errors
    /// The engine cannot take it, for another reason.
    pub(crate) async fn catch_up_with_room(&self) -> Result<(), ClusterError> {
        loop {
            match self.catch_up() {
                Err(ClusterError::Storage(StorageError::NoSpace)) => {
                    tracing::error!("a change of the metadata waits for space on the data disk");
                    dodona_env::clock::sleep(MAINTENANCE_PERIOD).await;
                }
                done => return done,
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

    /// Archives segments as they end. What the archive does not take is kept, and tried again.
    async fn archive_log(self: Arc<Self>) {
        let mut waits = false;
        loop {
            match on_engine(&self.env.tasks, &self.engine, Engine::archive_log).await {
                Ok(_) if waits => {
                    tracing::info!("segments of the commit log are archived again");
                    waits = false;
                }
                Ok(_) => {}
                Err(error) if waits => tracing::debug!(%error, "segments still wait to be archived"),
                Err(error) => {
                    tracing::error!(%error, "segments of the commit log wait to be archived; they are kept meanwhile");
                    waits = true;
                }
            }
            dodona_env::clock::sleep(ARCHIVE_PERIOD).await;
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
        let mut failing = false;
        while let Some(done) = self.maintain(Engine::maintain_memtables, &mut failing).await {
            if done == Maintained::Idle {
                self.engine.wait_for_work(MAINTENANCE_PERIOD).await;
            }
        }
    }

    async fn compact(self: Arc<Self>) {
        let mut failing = false;
        while let Some(done) = self.maintain(Engine::maintain_files, &mut failing).await {
            if done == Maintained::Idle {
                self.engine.wait_for_files(MAINTENANCE_PERIOD).await;
            }
        }
    }

    /// Does a piece of work. None if the node cannot go on. A failure is told of once, until something is done.
    async fn maintain(
        &self,
        work: fn(&Engine) -> Result<Maintained, StorageError>,
        failing: &mut bool,
    ) -> Option<Maintained> {
        let engine = Arc::clone(&self.engine);
        match self.env.tasks.blocking(move || work(&engine)).await {
            Ok(Ok(done)) => {
                *failing &= done == Maintained::Idle;
                Some(done)
            }
            Ok(Err(error @ (StorageError::LogFailed(_) | StorageError::Io { .. }))) => {
                self.fail(&error.to_string());
                None
            }
            Ok(Err(error)) => {
                if !std::mem::replace(failing, true) {
                    tracing::error!(%error, "maintenance failed; it is tried again and again");
                }
                dodona_env::clock::sleep(MAINTENANCE_PERIOD).await;
                Some(Maintained::Worked)
            }
            Err(error) => {
                self.fail(&error.to_string());
                None
            }
        }
    }

    /// Removes snapshots whose time is over.
    async fn clear_snapshots(self: Arc<Self>) {
        loop {
            let snapshots = self.snapshots.clone();
            match self.env.tasks.blocking(move || snapshots.clear_expired()).await {
                Ok(Ok(0)) => {}
                Ok(Ok(cleared)) => tracing::info!(cleared, "snapshots whose time is over were removed"),
                Ok(Err(error)) => tracing::warn!(%error, "snapshots whose time is over could not be removed"),
                Err(error) => tracing::warn!(%error, "snapshots whose time is over could not be removed"),
            }
            dodona_env::clock::sleep(SNAPSHOT_PERIOD).await;
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
                        let (node, mut address) = (Arc::clone(&self), member.internode);
                        if self.env.mutants.has("hint-to-another") {
                            let hosts = [target, self.info.identity.host];
                            let mut members = placement.ring.members().iter();
                            let other = members.find(|member| !hosts.contains(&member.host));
                            address = other.map_or(address, |other| other.internode);
                        }
                        self.env.tasks.spawn_local(async move {
                            let to = if target == node.info.identity.host {
                                To::Here(&node.replica)
                            } else {
                                To::Peer(address, &node.peers)
                            };
                            match node.hints.deliver(target, to).await {
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
        match transport::serve(self.peers.link().clone(), address, self.clone()).await {
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
}

#[cfg(test)]
#[path = "workers_tests.rs"]
mod tests;
