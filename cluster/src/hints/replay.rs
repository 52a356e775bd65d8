//! Delivers the hints of a target that is alive, or has another member keep them.

use super::format::{self, Hint, Next};
use super::settings::Counters;
use super::store::{Hints, Inner, failed};
use super::waiting::HintFile;
use crate::error::ClusterError;
use crate::message::Body;
use crate::replica::Replica;
use crate::transport::Peers;
use dodona_types::MutationView;
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of hints that are read and sent at a time.
const CHUNK_BYTES: usize = 128 << 10;
/// Hints that are under way at the same time.
const AT_ONCE: usize = 64;

/// Where hints go.
pub enum To<'a> {
    /// To the member at this address.
    Peer(SocketAddr, &'a Peers),
    /// To this node itself, which had no room for a write of its own.
    Here(&'a Replica),
    /// To the member at this address, to be kept there until the target is alive: this node leaves.
    Keeper(SocketAddr, &'a Peers),
}

impl To<'_> {
    /// How many hints go in one request: those that are kept come to the disk together.
    const fn at_a_time(&self) -> usize {
        match self {
            Self::Peer(..) | Self::Here(_) => 1,
            Self::Keeper(..) => usize::MAX,
        }
    }

    async fn take(&self, target: Uuid, hints: &[Hint<'_>], patience: Duration) -> Result<(), ClusterError> {
        if let Self::Keeper(address, peers) = self {
            let mut body = target.as_bytes().to_vec();
            hints.iter().for_each(|hint| format::put_hint(&mut body, hint));
            return taken(peers.ask(*address, Body::KeepHints(body), patience).await?);
        }
        for hint in hints {
            taken(self.mutate(hint.mutation.to_vec(), patience).await?)?;
        }
        Ok(())
    }

    async fn mutate(&self, mutation: Vec<u8>, patience: Duration) -> Result<Body, ClusterError> {
        match self {
            Self::Peer(address, peers) | Self::Keeper(address, peers) => {
                peers.ask(*address, Body::Mutate(mutation), patience).await
            }
            Self::Here(replica) => match tokio::time::timeout(patience, replica.mutate(&mutation)).await {
                Ok(mutated) => Ok(mutated.map(|()| Body::Mutated)?),
                Err(_) => Err(ClusterError::Peer("this node has no room for its own hints yet".into())),
            },
        }
    }
}

fn taken(answer: Body) -> Result<(), ClusterError> {
    match answer {
        Body::Mutated => Ok(()),
        Body::Failed(reason) => Err(ClusterError::Peer(reason)),
        _ => Err(ClusterError::Peer("an answer to a hint that is none".into())),
    }
}

/// A delivery that is under way.
struct Delivering<'a> {
    inner: &'a Inner,
    target: Uuid,
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.inner.waiting.lock().end_delivery(self.target);
    }
}

impl Hints {
    /// Delivers what waits for a target, the oldest first, at a limited rate, and removes what is
    /// delivered, or kept by another member. Returns how many hints were taken. It ends at once if another delivery to the
    /// target is under way, and soon once deliveries are paused or what waits is dropped.
    ///
    /// # Errors
    /// The target did not take a hint: that one and the later ones are kept, and the next delivery
    /// goes on there. Or the operating system refuses.
    pub async fn deliver(&self, target: Uuid, to: To<'_>) -> Result<u64, ClusterError> {
        if self.switches().is_paused() || !self.inner.waiting.lock().begin_delivery(target) {
            return Ok(0);
        }
        let delivering = Delivering { inner: &self.inner, target };
        // Hints that come from now on are left to the next delivery: it ends.
        let below = self.blocking(move |inner| inner.sync(|ended| ended == target)).await??;
        let mut delivered = 0;
        loop {
            let oldest = delivering.inner.waiting.lock().oldest(target, below);
            let Some((file, offset)) = oldest else { return Ok(delivered) };
            if self.switches().is_paused() {
                return Ok(delivered);
            }
            delivered += self.deliver_file(target, &file, offset, &to).await?;
        }
    }

    async fn deliver_file(
        &self,
        target: Uuid,
        file: &HintFile,
        mut offset: u64,
        to: &To<'_>,
    ) -> Result<u64, ClusterError> {
        let mut delivered = 0;
        loop {
            let started = self.inner.env.clock.mono();
            let path = file.path.clone();
            let (hints, next) = self
                .blocking(move |inner| {
                    let reader =
                        inner.env.disk.open(&path).map_err(|error| failed("opening", &path, error))?;
                    format::read(&*reader, offset, CHUNK_BYTES)
                        .map_err(|error| failed("reading", &path, error))
                })
                .await??;
            let bytes: usize = hints.iter().map(|hint| hint.mutation.len()).sum();
            delivered += self.send(hints, (target, file.number), to).await?;
            match next {
                Next::At(next) => offset = next,
                Next::End => {
                    let path = file.path.clone();
                    let removed = self.blocking(move |inner| inner.env.disk.remove(&path)).await?;
                    // It comes again after a restart, which does no harm.
                    removed.unwrap_or_else(|error| tracing::warn!(%error, file.path, "it is not removed"));
                    self.inner.waiting.lock().take_oldest(target, file.number);
                    return Ok(delivered);
                }
                Next::Damaged(at) => {
                    let path = file.path.clone();
                    self.blocking(move |inner| inner.set_aside(&path, at, "a hint does not fit")).await?;
                    self.inner.waiting.lock().take_oldest(target, file.number);
                    return Ok(delivered);
                }
            }
            self.inner.waiting.lock().advance(target, file.number, offset);
            let took = self.inner.env.clock.mono().saturating_sub(started);
            dodona_env::clock::sleep(self.switches().due(bytes).saturating_sub(took)).await;
            if self.switches().is_paused() || !self.inner.waiting.lock().lists(target, file.number) {
                return Ok(delivered);
            }
        }
    }

    /// Sends hints of a target's file, those that are too old or void left out. Returns how many were taken.
    async fn send(
        &self,
        hints: Vec<Hint<'_>>,
        (target, file): (Uuid, u64),
        to: &To<'_>,
    ) -> Result<u64, ClusterError> {
        let _under_way = self.inner.sending.read().await;
        if !self.inner.waiting.lock().lists(target, file) {
            return Ok(0);
        }
        let Counters { delivered, handed_on, expired, .. } = &self.inner.counters;
        let read = hints.len();
        let live: Vec<Hint<'_>> = hints.into_iter().filter(|hint| self.is_live(hint, file)).collect();
        expired.fetch_add((read - live.len()) as u64, Relaxed);
        let counter = if matches!(to, To::Keeper(..)) { handed_on } else { delivered };
        let requests: Vec<&[Hint<'_>]> = live.chunks(to.at_a_time()).collect();
        for some in requests.chunks(AT_ONCE) {
            let taken = some.iter().map(|hints| to.take(target, hints, self.inner.settings.timeout));
            for (hints, taken) in some.iter().zip(join_all(taken).await) {
                match taken {
                    Err(ClusterError::Peer(_)) if self.inner.env.mutants.has("hint-is-not-sent-again") => {}
                    Err(error) => return Err(error),
                    Ok(()) => drop(counter.fetch_add(hints.len() as u64, Relaxed)),
                }
            }
        }
        Ok(live.len() as u64)
    }

    /// True if no tombstone that covers the hint can have been purged, and its table is there and was not truncated.
    fn is_live(&self, hint: &Hint<'_>, file: u64) -> bool {
        let Ok(table) = MutationView::parse(&hint.mutation).map(|view| view.table) else { return false };
        let Some(present) = (self.inner.lookup.gc_grace)(table) else { return false };
        if self.inner.voided.lock().is_void_in(table, file) {
            return false;
        }
        let gc_grace = i64::from(present.min(hint.gc_grace_seconds));
        self.inner.env.clock.wall_seconds() < hint.written_seconds.saturating_add(gc_grace)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, ClusterError> {
        let inner = Arc::clone(&self.inner);
        let done = self.inner.env.tasks.blocking(move || work(&inner)).await;
        done.map_err(|error| ClusterError::Invalid(error.to_string()))
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
