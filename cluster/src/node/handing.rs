//! Hands on what a node that leaves keeps for others: the writes that they have missed, and logged batches.

use super::Node;
use crate::error::ClusterError;
use crate::hints::replay::To;
use crate::liveness::Liveness;
use crate::ring::{Member, Status};
use std::time::Duration;
use uuid::Uuid;

/// How long it may take at the most, at the rate at which hints are delivered.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How often in a row nobody may take hints before they are given up.
const TRIES: usize = 3;
/// The pause before another try.
const PAUSE: Duration = Duration::from_millis(500);

impl Node {
    /// Has other members keep the batches that this node keeps. Nobody chooses it for more of them: all know that it leaves.
    ///
    /// # Errors
    /// That it leaves was given up.
    pub(crate) async fn hand_batches_on(&self) -> Result<(), ClusterError> {
        let began = self.env.clock.mono();
        // Whoever asked it before has got its answer by then, or gives up.
        dodona_env::clock::sleep(self.settings.timeouts.write).await;
        while let Err(error) = self.coordinator.hand_batches_on().await {
            if self.env.clock.mono().saturating_sub(began) > PATIENCE {
                tracing::warn!(%error, "batches that were not brought to their end are lost");
                break;
            }
            tracing::info!(%error, "batches cannot be handed on yet");
            self.still_leaves(self.info.identity.host)?;
            dodona_env::clock::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Delivers all hints, or has another member keep them. Whoever takes some has them on disk before they are removed here,
    /// so that this can be begun again after a crash. What nobody takes is left, with a warning.
    pub(crate) async fn hand_hints_on(&self) {
        let began = self.env.clock.mono();
        // Nobody is left to end a pause.
        self.hints.switches().pause(false);
        let mut tries = TRIES;
        loop {
            let mut failure = None;
            let waiting = self.waiting();
            for target in &waiting {
                if let Err(error) = self.hand_on(*target).await {
                    failure = Some(error);
                }
            }
            match failure {
                None if waiting.is_empty() => return,
                None => tries = TRIES,
                Some(error) if tries <= 1 => {
                    return tracing::warn!(%error, "hints for others are lost: repair them");
                }
                Some(_) => tries -= 1,
            }
            if self.env.clock.mono().saturating_sub(began) > PATIENCE {
                return tracing::warn!(
                    ?waiting,
                    "hints for others are lost, there are too many: repair them"
                );
            }
            // Another delivery may be under way.
            dodona_env::clock::sleep(PAUSE).await;
        }
    }

    /// Other members for which hints wait.
    fn waiting(&self) -> Vec<Uuid> {
        let (placement, own) = (self.placement(), self.info.identity.host);
        let is_other = |target: &Uuid| *target != own && placement.ring.member(*target).is_some();
        self.hints.pending().into_keys().filter(is_other).collect()
    }

    /// # Errors
    /// Why nobody takes what waits for a member, the target itself the first.
    async fn hand_on(&self, target: Uuid) -> Result<(), ClusterError> {
        let (placement, live) = (self.placement(), self.gossiper.live());
        let own = &placement.ring.members()[placement.local];
        let members = placement.ring.members().iter();
        let mut keepers: Vec<&Member> = members
            .filter(|member| ![target, own.host].contains(&member.host) && member.status == Status::Normal)
            .filter(|member| live.is_alive(member.host))
            .collect();
        let is_far = |member: &Member| (member.data_center != own.data_center, member.rack != own.rack);
        keepers.sort_by_key(|member| (is_far(member), member.host));
        let direct = placement.ring.member(target).filter(|_| live.is_alive(target));
        let direct = direct.map(|member| To::Peer(member.internode, &self.peers));
        let kept = keepers.into_iter().map(|member| To::Keeper(member.internode, &self.peers));
        let mut last = ClusterError::Peer(format!("no member is up that could keep hints for {target}"));
        for to in direct.into_iter().chain(kept) {
            match self.hints.deliver(target, to).await {
                Ok(0) => return Ok(()),
                Ok(hints) => {
                    tracing::info!(%target, hints, "hints were handed on");
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
