//! Writes: to all replicas that are alive, until enough of them have acknowledged. The others, and
//! those that refuse or do not answer in time, get hints.

use super::Coordinator;
use super::gather::Gather;
use super::plan::{Plan, Target};
use super::tracing_notes::shown;
use crate::error::{ClusterError, WriteKind};
use crate::message::Body;
use crate::trace::{self, note};
use dodona_storage::StorageError;
use dodona_types::{Consistency, MutationView};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What came of a try to write at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryWrite {
    /// Applied; acknowledge it once [`Coordinator::wait_safe`] has returned for this position.
    Applied(u64),
    /// It takes other nodes, or must wait: use [`Coordinator::write`].
    NotHere,
}

/// A replica's word on one of several mutations.
pub(super) struct Word {
    mutation: usize,
    target: Target,
    said: Result<(), ClusterError>,
    /// A hint is kept, since it did not take it.
    hinted: bool,
}

/// One of several mutations that are sent to replicas.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    /// The version of the members by which they were chosen.
    pub(super) members: u64,
    /// When the write began, in the order of truncations.
    era: u64,
    /// Its place among them.
    place: usize,
    /// The mutation.
    pub(super) mutation: &'a [u8],
}

impl Coordinator {
    /// Applies mutations at once, if this node is the only replica of each of them and memtables
    /// have room. Several mutations are one record of the commit log.
    ///
    /// # Errors
    /// Too few replicas exist for the level; the engine does not take the write.
    pub fn try_write(
        &self,
        mutations: &[MutationView<'_>],
        consistency: Consistency,
    ) -> Result<TryWrite, ClusterError> {
        let placement = self.placement.load();
        for mutation in mutations {
            if !placement.only_here(mutation.table, consistency)? {
                return Ok(TryWrite::NotHere);
            }
        }
        if self.engine.must_wait() {
            return Ok(TryWrite::NotHere);
        }
        Ok(TryWrite::Applied(self.engine.apply(mutations)?))
    }

    /// Writes encoded mutations, all at the same time, and returns once enough replicas have each.
    ///
    /// # Errors
    /// Too few replicas are alive, answer in time, or take the write.
    pub async fn write(&self, mutations: &[Vec<u8>], consistency: Consistency) -> Result<(), ClusterError> {
        let kind = if mutations.len() > 1 { WriteKind::UnloggedBatch } else { WriteKind::Simple };
        self.write_as(kind, mutations, consistency).await
    }

    /// The same, as a write of a kind.
    pub(super) async fn write_as(
        &self,
        kind: WriteKind,
        mutations: &[Vec<u8>],
        consistency: Consistency,
    ) -> Result<(), ClusterError> {
        let views = views_of(mutations)?;
        let mut is_sent = false;
        loop {
            let plans = self.plans(&views, consistency);
            let plans = if is_sent { plans.map_err(|error| in_doubt(error, kind))? } else { plans? };
            if plans.iter().all(Plan::only_local) {
                let position = self.engine.apply_with_room(&views).await?;
                note(|| format!("Appended {} mutations to the commit log and the memtables", views.len()));
                let safe = self.wait_safe(position).await;
                note(|| "The commit log has it");
                return safe;
            }
            match self.write_planned(&plans, &views, kind).await {
                // Those who have it already take it again, which changes nothing.
                Err(ClusterError::Stale(version)) => self.follow_members(version).await?,
                written => return written,
            }
            is_sent = true;
        }
    }

    /// The plan of each mutation.
    ///
    /// # Errors
    /// Too few replicas of one of them are alive.
    pub(super) fn plans(
        &self,
        mutations: &[MutationView<'_>],
        consistency: Consistency,
    ) -> Result<Vec<Plan>, ClusterError> {
        let placement = self.placement.load();
        let planner = self.planner(&placement);
        let plan = |view: &MutationView<'_>| planner.write(view.table, view.key.token, consistency);
        mutations.iter().map(plan).collect()
    }

    /// Brings each mutation where its plan says. The slowest decides.
    pub(super) async fn write_planned(
        &self,
        plans: &[Plan],
        mutations: &[MutationView<'_>],
        kind: WriteKind,
    ) -> Result<(), ClusterError> {
        let (words, mut said) =
            mpsc::channel(plans.iter().map(|plan| plan.replicas.len()).sum::<usize>().max(1));
        let mut gathers: Vec<Gather<'_>> = plans.iter().map(Gather::new).collect();
        if self.env.mutants.has("write-level-counts-one-less") {
            gathers.iter_mut().for_each(Gather::spare_one);
        }
        let (mut here, era) = (Vec::new(), self.hints.era());
        for (index, (plan, mutation)) in plans.iter().zip(mutations).enumerate() {
            let sending = Sending { members: plan.members, era, place: index, mutation: mutation.bytes() };
            let mut far = Vec::new();
            for target in &plan.replicas {
                note(|| format!("{} {}", fate(target), shown(target)));
                if target.local {
                    here.push((index, *target));
                } else if target.alive && target.near {
                    self.send_mutation(sending, *target, words.clone());
                } else if target.alive {
                    far.push(*target);
                } else {
                    let hinted = self.hints.hint(target.host, mutation.bytes(), era);
                    if plan.consistency == Consistency::Any && hinted {
                        gathers[index].take(target);
                    }
                }
            }
            self.send_afar(sending, far, &words);
        }
        self.apply_here(here, mutations, words, era).await;
        let mut stale = None;
        let gathered = async {
            while gathers.iter().any(|gather| !gather.is_enough()) {
                let Some(Word { mutation, target, said, hinted }) = said.recv().await else { break };
                note(|| match &said {
                    Ok(()) => format!("{} has acknowledged", shown(&target)),
                    Err(error) => format!("{} failed: {error}", shown(&target)),
                });
                if let Err(ClusterError::Stale(version)) = said {
                    stale = Some(version);
                    break;
                }
                match said {
                    Ok(()) => gathers[mutation].take(&target),
                    Err(ClusterError::Peer(_))
                        if hinted && plans[mutation].consistency == Consistency::Any =>
                    {
                        gathers[mutation].take(&target);
                    }
                    Err(error) => gathers[mutation].fail(&target, &error),
                }
                if gathers[mutation].is_hopeless() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(self.timeouts.write, gathered).await;
        if let Some(version) = stale {
            return Err(ClusterError::Stale(version));
        }
        // What is hopeless decides, whatever else is still to come.
        gathers.sort_by_key(|gather| !gather.is_hopeless());
        gathers.into_iter().try_for_each(|gather| gather.write_result(kind))
    }

    /// Applies what this node is a replica of, as one record of the commit log. It is a replica as any other: what it does
    /// not take in time it gets by hints.
    async fn apply_here(
        &self,
        here: Vec<(usize, Target)>,
        mutations: &[MutationView<'_>],
        words: mpsc::Sender<Word>,
        era: u64,
    ) {
        if here.is_empty() {
            return;
        }
        let views: Vec<MutationView<'_>> = here.iter().map(|(index, _)| mutations[*index]).collect();
        let applied = tokio::time::timeout(self.timeouts.write, self.engine.apply_with_room(&views));
        let applied = applied.await;
        if !matches!(applied, Ok(Ok(_))) {
            for (index, target) in &here {
                self.hints.hint(target.host, mutations[*index].bytes(), era);
            }
        }
        let Ok(applied) = applied else { return };
        let engine = Arc::clone(&self.engine);
        self.env.tasks.spawn_local(async move {
            let said = match applied {
                Ok(position) => engine.wait_safe(position).await,
                Err(error) => Err(error),
            };
            let said = said.map_err(ClusterError::from);
            for (mutation, target) in here {
                // The coordinator may have enough answers already.
                let _ = words.send(Word { mutation, target, said: said.clone(), hinted: false }).await;
            }
        });
    }

    /// Sends a mutation to a replica.
    pub(super) fn send_mutation(&self, sending: Sending<'_>, target: Target, words: mpsc::Sender<Word>) {
        let (peers, latencies) = (Arc::clone(&self.peers), Arc::clone(&self.latencies));
        let (clock, timeout) = (Arc::clone(&self.env.clock), self.timeouts.write);
        let (members, trace) = (sending.members, trace::current());
        self.spawn_sending(sending, target, words, move |mutation| async move {
            let asked_at = clock.mono();
            let body = Body::Mutate(mutation);
            let asked = peers.ask_for(trace, members, target.internode, body, timeout).await;
            match asked {
                // One that refuses a mutation may still read as fast as others.
                Ok(_) => latencies.note_answer(target.host, asked_at),
                Err(ClusterError::Stale(_)) => {}
                Err(_) => latencies.note_failure(target.host, timeout),
            }
            asked
        });
    }

    /// Has a replica take a mutation as `send` does it, and keeps a hint if it does not.
    pub(super) fn spawn_sending<F>(
        &self,
        sending: Sending<'_>,
        target: Target,
        words: mpsc::Sender<Word>,
        send: impl FnOnce(Vec<u8>) -> F + 'static,
    ) where
        F: Future<Output = Result<Body, ClusterError>> + 'static,
    {
        let hints = Arc::clone(&self.hints);
        let forgets_hint = self.env.mutants.has("hint-only-for-the-dead");
        let Sending { era, place, mutation, .. } = sending;
        let mutation = mutation.to_vec();
        self.env.tasks.spawn_local(async move {
            let said = expect_mutated(send(mutation.clone()).await);
            // One that refuses may take it later: its disk is full, or it has not heard of the table yet.
            let hinted = said.is_err() && !forgets_hint && hints.hint(target.host, &mutation, era);
            // The coordinator may have enough answers already.
            let _ = words.send(Word { mutation: place, target, said, hinted }).await;
        });
    }
}

/// Encoded mutations, to be looked at.
pub(super) fn views_of(mutations: &[Vec<u8>]) -> Result<Vec<MutationView<'_>>, ClusterError> {
    let views = mutations.iter().map(|bytes| MutationView::parse(bytes)).collect::<Result<_, _>>();
    Ok(views.map_err(StorageError::from)?)
}

/// The error of a write of which something was sent, or is kept to be written later, where one that was not begun has
/// `error`: that too few are alive says that nothing was written.
pub(super) fn in_doubt(error: ClusterError, kind: WriteKind) -> ClusterError {
    match error {
        ClusterError::Unavailable { consistency, required: block_for, .. } => {
            ClusterError::WriteTimeout { consistency, received: 0, block_for, kind }
        }
        error => error,
    }
}

/// What a write does with a replica, for a trace.
const fn fate(target: &Target) -> &'static str {
    match target {
        Target { local: true, .. } => "Applying a mutation on",
        Target { alive: true, .. } => "Sending a mutation to",
        _ => "Keeping a hint for",
    }
}

pub(super) fn expect_mutated(answer: Result<Body, ClusterError>) -> Result<(), ClusterError> {
    match answer? {
        Body::Mutated => Ok(()),
        Body::Failed(reason) => Err(ClusterError::Invalid(reason)),
        Body::Unreached(reason) => Err(ClusterError::Peer(reason)),
        _ => Err(ClusterError::Peer("an answer to another request".into())),
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
pub(super) mod tests;
