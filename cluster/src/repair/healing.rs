//! Heals files in which damage was met: what they have lost is fetched from all other replicas, before they
//! are written anew without it.

use super::ranges::invalid;
use super::worker::Repairs;
use crate::error::ClusterError;
use crate::on_engine::on_engine;
use crate::placement::Placement;
use crate::replication::Replication;
use crate::ring::Member;
use crate::streaming::{Progress, parts};
use dodona_storage::engine::scrub::DamagedFile;
use dodona_types::Token;
use dodona_types::schema::Table;
use dodona_types::token::TokenRange;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How often it is looked whether damage was met.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a file waits that could not be healed.
const BACK_OFF: Duration = Duration::from_secs(10);

impl Repairs {
    /// Heals files in which damage was met, for as long as the node runs.
    pub(crate) async fn heal_when_damaged(self: Arc<Self>) {
        // By path: when it is tried again, and why it did not work.
        let mut waiting: BTreeMap<String, (Duration, String)> = BTreeMap::new();
        loop {
            dodona_env::clock::sleep(PERIOD).await;
            let damaged = self.engine.damaged_files();
            waiting.retain(|path, _| damaged.iter().any(|file| file.path == *path));
            for file in damaged {
                let now = self.env.clock.mono();
                let before = waiting.get(&file.path);
                if before.is_some_and(|(again_at, _)| now < *again_at) {
                    continue;
                }
                match self.heal(&file).await {
                    Ok(()) => drop(waiting.remove(&file.path)),
                    Err(error) => {
                        let reason = error.to_string();
                        if before.is_none_or(|(_, told)| *told != reason) {
                            tracing::error!(path = file.path, reason, "a damaged file cannot be healed yet");
                        }
                        waiting.insert(file.path, (now + BACK_OFF, reason));
                    }
                }
            }
        }
    }

    /// Fetches what a damaged file has lost from all other replicas, and writes it anew without that. The
    /// damaged file is kept in a snapshot.
    async fn heal(&self, file: &DamagedFile) -> Result<(), ClusterError> {
        let placement = self.placement.load_full();
        if placement.ring.is_changing() {
            // What this node is to hold, or has given away, is not all in the placement.
            return Err(invalid("a member joins or leaves the cluster"));
        }
        let table = self.table(file.table)?;
        let lost = {
            let file = file.clone();
            on_engine(&self.env.tasks, &self.engine, move |engine| engine.lost_tokens(&file)).await?
        };
        let fetches = self.fetches(&placement, &table, &lost)?;
        let progress = Progress::default();
        let puller = self.puller(&progress);
        let skips = self.env.mutants.has("heal-fetches-nothing");
        let arrivals = puller.begin_repaired(table.id)?;
        let fetch = async {
            for (range, holders) in fetches.iter().filter(|_| !skips) {
                for holder in holders {
                    for part in parts(range) {
                        puller.pull_apart(holder.internode, &table, &part, &arrivals).await?;
                    }
                }
            }
            Ok(())
        };
        let fetched = fetch.await;
        puller.end_arrivals(vec![arrivals], fetched).await?;
        puller.sync().await?;
        if !lost.is_empty() && table.is_counter() {
            // The end of what this node counted may be gone.
            self.leader.begin_anew().await?;
        }
        let keep = format!("healed-{}", file.id.0);
        let salvaged = {
            let (file, keep) = (file.clone(), keep.clone());
            on_engine(&self.env.tasks, &self.engine, move |engine| engine.scrub_file(&file, &keep)).await?
        };
        let Some(salvaged) = salvaged else {
            return Err(invalid("it is being compacted at the moment"));
        };
        tracing::warn!(
            path = file.path,
            kept_in = keep,
            rows = salvaged.rows,
            damaged_parts = salvaged.lost.len(),
            fetched_partitions = progress.partitions.load(Relaxed),
            fetched_bytes = progress.bytes.load(Relaxed),
            "a damaged file was healed: what it had lost was fetched from the other replicas"
        );
        Ok(())
    }

    /// What is to be fetched, and from whom, for these tokens, first and last, to be here again. What this
    /// node does not hold any more is left out.
    fn fetches(
        &self,
        placement: &Placement,
        table: &Table,
        lost: &[(Token, Token)],
    ) -> Result<Vec<(TokenRange, Vec<Member>)>, ClusterError> {
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        if *placement.replication_of(table.id)? == Replication::Local {
            return Err(invalid(
                "no other node holds this table: `dodona nodetool scrub` saves what is left",
            ));
        }
        let mut fetches = Vec::new();
        for (first, last) in lost {
            // No key has the least token.
            let start = Token::from_ordinal(first.ordinal().saturating_sub(1));
            let damaged = TokenRange { start, end: *last };
            for owned in placement.ring.ranges() {
                let replicas = placement.replicas(table.id, owned.end)?;
                if !replicas.contains(&placement.local) {
                    continue;
                }
                let mut holders = Vec::new();
                for member in replicas.iter().filter(|index| **index != placement.local) {
                    let member = &placement.ring.members()[*member];
                    if !self.liveness.is_alive(member.host) {
                        return Err(ClusterError::Peer(format!("{} does not answer", member.internode)));
                    }
                    holders.push(member.clone());
                }
                for range in owned.intersection(&damaged) {
                    if holders.is_empty() {
                        return Err(invalid(
                            "no other node holds what it has lost: `dodona nodetool scrub` saves what is left",
                        ));
                    }
                    fetches.push((range, holders.clone()));
                }
            }
        }
        Ok(fetches)
    }
}
