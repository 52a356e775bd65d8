//! How far the wall clocks of members are from each other.
//!
//! Of two writes the one with the later timestamp counts, which coordinators and drivers take from their clocks; tombstones and
//! TTL go by clocks as well. So a node whose clock is far from those of the others does not start, and one that runs says
//! whose clock is off. What a question and its answer took is doubt, which is taken for none.

use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::metadata::log::ask;
use crate::metadata::message::{Answer, Request};
use crate::node::Node;
use crate::transport::Peers;
use dodona_env::Clock;
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long a member may take to tell the time.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a node that runs asks the others.
const PERIOD: Duration = Duration::from_secs(60);

/// By how many microseconds the clock of another node is ahead of this one's at least; less than none if it is behind.
async fn ahead(clock: &dyn Clock, peers: &Peers, address: SocketAddr) -> Option<i64> {
    let before = clock.wall_micros();
    let Ok(Answer::Time(told)) = ask(peers, address, &Request::Time, PATIENCE).await else { return None };
    Some(beyond(told, before, clock.wall_micros()))
}

/// The same of all that answer.
async fn all_ahead(clock: &dyn Clock, peers: &Peers, others: &[SocketAddr]) -> Vec<(SocketAddr, i64)> {
    let asked = others.iter().map(|address| async { Some((*address, ahead(clock, peers, *address).await?)) });
    join_all(asked).await.into_iter().flatten().collect()
}

/// By how much a time is later than the later of two, or earlier than the earlier one.
const fn beyond(told: i64, before: i64, after: i64) -> i64 {
    if told > after {
        told.saturating_sub(after)
    } else if told < before {
        told.saturating_sub(before)
    } else {
        0
    }
}

fn is_off(micros: i64, bound: Duration) -> bool {
    u128::from(micros.unsigned_abs()) > bound.as_micros()
}

fn in_words(micros: i64) -> String {
    let direction = if micros > 0 { "behind" } else { "ahead of" };
    format!("{} s {direction}", micros.unsigned_abs() / 1_000_000)
}

/// Refuses a node whose clock is off from those of most others that answer. Does nothing if `bound` is none at all.
///
/// # Errors
/// It is.
pub(crate) async fn refuse_wrong_clock(
    clock: &dyn Clock,
    peers: &Peers,
    others: &[SocketAddr],
    bound: Duration,
) -> Result<(), ClusterError> {
    if bound.is_zero() {
        return Ok(());
    }
    let answered = all_ahead(clock, peers, others).await;
    let off: Vec<_> = answered.iter().filter(|(_, micros)| is_off(*micros, bound)).collect();
    match off.first() {
        Some((address, micros)) if 2 * off.len() > answered.len() => Err(ClusterError::Invalid(format!(
            "this node's clock is {} that of {address} ({} of {} nodes that answer are off by more than {} s): writes of \
             the one would hide those of the other. Set the clock that is wrong, have all nodes follow the same time servers \
             (NTP), and start again; max_clock_offset_seconds is the bound",
            in_words(*micros),
            off.len(),
            answered.len(),
            bound.as_secs()
        ))),
        _ => Ok(()),
    }
}

impl Node {
    /// Refuses to go on with a clock that is off from those of most other members that answer. To be called before
    /// [`Self::spawn_workers`].
    ///
    /// # Errors
    /// It is.
    pub async fn refuse_wrong_clock(&self) -> Result<(), ClusterError> {
        let metadata = self.metadata().metadata();
        let others = metadata.members.values().filter(|member| member.host != self.info.identity.host);
        let others: Vec<SocketAddr> = others.map(|member| member.internode).collect();
        refuse_wrong_clock(&*self.env.clock, &self.peers, &others, self.settings.max_clock_offset).await
    }

    /// The furthest that the clock of another member was off when they were last asked, in microseconds.
    #[must_use]
    pub fn clock_offset_micros(&self) -> u64 {
        self.clock_offset.load(Relaxed)
    }

    /// Asks the other members for the time, again and again, and says whose clock is off.
    pub(crate) async fn compare_clocks(self: Arc<Self>) {
        let bound = self.settings.max_clock_offset;
        loop {
            dodona_env::clock::sleep(PERIOD).await;
            let (placement, live) = (self.placement(), self.gossiper.live());
            let own = self.info.identity.host;
            let members = placement.ring.members().iter();
            let others = members.filter(|member| member.host != own && live.is_alive(member.host));
            let others: Vec<SocketAddr> = others.map(|member| member.internode).collect();
            let mut furthest = 0;
            for (address, micros) in all_ahead(&*self.env.clock, &self.peers, &others).await {
                furthest = furthest.max(micros.unsigned_abs());
                if !bound.is_zero() && is_off(micros, bound) {
                    tracing::error!(
                        "this node's clock is {} that of {address}: writes of the one hide those of the other; set the \
                         clock that is wrong, and have all nodes follow the same time servers (NTP)",
                        in_words(micros)
                    );
                }
            }
            self.clock_offset.store(furthest, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_answer_took_is_no_difference() {
        assert_eq!([5, 7, 10].map(|told| beyond(told, 5, 10)), [0; 3]);
        assert_eq!((beyond(12, 5, 10), beyond(1, 5, 10)), (2, -4));
        assert_eq!(beyond(i64::MIN, 5, 10), i64::MIN);
        let bound = Duration::from_secs(60);
        assert_eq!(
            [60_000_000, 60_000_001, i64::MIN].map(|micros| is_off(micros, bound)),
            [false, true, true]
        );
        assert_eq!(in_words(3_600_000_000), "3600 s behind");
    }
}
