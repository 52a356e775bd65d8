//! The proposer: gets a majority of a partition's replicas to agree on one write after another.

use super::gather::Gather;
use super::write::in_doubt;
use super::{Coordinator, plan::Plan};
use crate::error::{ClusterError, WriteKind};
use crate::message::Body;
use crate::paxos::ballot::Ballot;
use crate::paxos::message::{Request, Step};
use crate::paxos::state::{Answer, Proposal};
use crate::trace::{self, note};
use dodona_types::{Consistency, TableId, Token};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest pause between two tries, times how many there were.
const BACK_OFF: Duration = Duration::from_millis(10);
/// How long a proposer that one acceptor has refused waits for what the others say.
const REFUSALS: Duration = Duration::from_millis(100);
/// A pause grows no further.
const MAX_BACK_OFF_STEPS: u64 = 10;

/// A partition in the hands of a proposer.
pub(super) struct Proposer<'a> {
    pub(super) coordinator: &'a Coordinator,
    pub(super) plan: Plan,
    pub(super) table: TableId,
    pub(super) key: Vec<u8>,
    /// The greatest ballot that was heard of.
    pub(super) seen: Ballot,
    pub(super) contentions: u32,
    /// How many have agreed to the present step.
    pub(super) received: u32,
    /// What this proposer proposed, oldest first: nobody knows yet whether one of them is or will be
    /// chosen.
    pub(super) unsure: Vec<Proposal>,
}

/// A ballot that a majority has promised, with nothing left to finish.
pub(super) struct Lead {
    pub(super) ballot: Ballot,
    /// What was committed last.
    pub(super) committed: Proposal,
}

/// How a round of a proposer ended.
pub(super) enum Round<T> {
    Done(T),
    /// Another proposer is in the way: try again with a later ballot.
    Contended {
        /// No acceptor has accepted it.
        nobody_agreed: bool,
    },
}

/// The level at which a proposer reads: no commit is missed by a majority.
pub(super) const fn quorum_of(serial: Consistency) -> Consistency {
    match serial {
        Consistency::LocalSerial => Consistency::LocalQuorum,
        _ => Consistency::Quorum,
    }
}

impl Proposer<'_> {
    /// Gets a majority to promise a new ballot, with nothing left to finish. None if it has to be
    /// tried again.
    pub(super) async fn lead(&mut self) -> Result<Option<Lead>, ClusterError> {
        let ballot = self.next_ballot();
        let prepare = Proposal { ballot, mutation: Vec::new() };
        let Round::Done(promises) = self.majority(Step::Prepare, &prepare).await? else {
            self.back_off().await;
            return Ok(None);
        };
        let mut newest_commit = Proposal::default();
        let mut newest_accepted: Option<Proposal> = None;
        let mut behind = Vec::new();
        for (replica, answer) in promises {
            let Answer::Promised { accepted, committed } = answer else { continue };
            behind.push((replica, committed.ballot));
            if committed.ballot > newest_commit.ballot {
                newest_commit = committed;
            }
            if let Some(accepted) = accepted
                && newest_accepted.as_ref().is_none_or(|newest| newest.ballot < accepted.ballot)
            {
                newest_accepted = Some(accepted);
            }
        }
        if newest_commit.ballot.micros >= ballot.micros {
            // A write under this ballot would have the timestamp of what was committed, and of the two
            // the greater value would win, not the later.
            self.seen = self.seen.max(newest_commit.ballot);
            return Ok(None);
        }
        if let Some(accepted) = newest_accepted.filter(|accepted| accepted.ballot > newest_commit.ballot)
            && !self.coordinator.env.mutants.has("paxos-ignores-unfinished")
        {
            // An earlier proposer may have been told that it was chosen.
            let again = Proposal { ballot, mutation: accepted.mutation };
            if let Round::Done(()) = self.propose(&again).await? {
                let level = quorum_of(self.plan.consistency);
                self.commit(&again, level).await.map_err(|_| self.unknown())?;
            } else {
                self.back_off().await;
            }
            return Ok(None);
        }
        behind.retain(|(_, committed)| *committed < newest_commit.ballot);
        if !behind.is_empty() && !self.coordinator.env.mutants.has("paxos-leaves-behind") {
            let targets: Vec<usize> = behind.into_iter().map(|(replica, _)| replica).collect();
            let commits = self.ask(&self.plan, Step::Commit, &newest_commit, &targets);
            if !all_agree(commits, targets.len()).await {
                return Ok(None);
            }
        }
        Ok(Some(Lead { ballot, committed: newest_commit }))
    }

    fn next_ballot(&mut self) -> Ballot {
        let coordinator = self.coordinator;
        let micros = coordinator.timestamps.next().max(self.seen.micros + 1);
        self.seen = Ballot::new(micros, coordinator.random.next_u64());
        self.seen
    }

    /// Asks all replicas, and waits until a majority has agreed or cannot any more.
    async fn majority(
        &mut self,
        step: Step,
        proposal: &Proposal,
    ) -> Result<Round<Vec<(usize, Answer)>>, ClusterError> {
        let all: Vec<usize> = (0..self.plan.replicas.len()).collect();
        note(|| format!("Paxos {step:?}: asking {} replicas, {} must agree", all.len(), self.plan.block_for));
        let mut answers = self.ask(&self.plan, step, proposal, &all);
        let needed = self.plan.block_for as usize;
        let mut agreed = Vec::new();
        let mut failed = 0;
        self.received = 0;
        while agreed.len() < needed {
            match answers.recv().await {
                Some((_, Ok(Answer::Refused(ballot)))) => {
                    note(|| format!("Paxos {step:?}: another proposer was later"));
                    self.seen = self.seen.max(ballot);
                    let others = all.len() - agreed.len() - 1;
                    let nobody_agreed = step == Step::Propose
                        && agreed.is_empty()
                        && failed == 0
                        && all_refuse(answers, others).await;
                    return Ok(Round::Contended { nobody_agreed });
                }
                Some((replica, Ok(answer))) => {
                    agreed.push((replica, answer));
                    self.received += 1;
                }
                Some((_, Err(ClusterError::Stale(version)))) => {
                    // Who agrees has changed: what some have accepted by now is found by the next ballot.
                    self.coordinator.follow_members(version).await.map_err(|_| self.short(step))?;
                    let Plan { consistency, .. } = self.plan;
                    let token = Token::of_key(&self.key);
                    let plan = self.coordinator.plan(self.table, token, consistency);
                    self.plan = plan.map_err(|_| self.short(step))?;
                    return Ok(Round::Contended { nobody_agreed: false });
                }
                Some((_, Err(error))) => {
                    tracing::debug!(%error, ?step, "an acceptor did not answer");
                    failed += 1;
                }
                None => break,
            }
            if failed > all.len() - needed {
                break;
            }
        }
        note(|| format!("Paxos {step:?}: {} have agreed", agreed.len()));
        if agreed.len() >= needed {
            return Ok(Round::Done(agreed));
        }
        Err(self.short(step))
    }

    /// The error of a step that too few have agreed to.
    fn short(&self, step: Step) -> ClusterError {
        match step {
            Step::Prepare => self.timed_out(),
            Step::Propose | Step::Commit => self.unknown(),
        }
    }

    pub(super) async fn propose(&mut self, proposal: &Proposal) -> Result<Round<()>, ClusterError> {
        Ok(match self.majority(Step::Propose, proposal).await? {
            Round::Done(_) => Round::Done(()),
            Round::Contended { nobody_agreed } => Round::Contended { nobody_agreed },
        })
    }

    /// Tells all replicas what was chosen, those of other data centres too; as many as the level asks
    /// for must have applied it.
    pub(super) async fn commit(
        &mut self,
        proposal: &Proposal,
        consistency: Consistency,
    ) -> Result<(), ClusterError> {
        let kind = WriteKind::Simple;
        loop {
            let plan = self.coordinator.plan(self.table, Token::of_key(&self.key), consistency);
            // It is chosen, whatever becomes of this.
            let plan = plan.map_err(|error| in_doubt(error, kind))?;
            match self.commit_by(&plan, proposal).await {
                Err(ClusterError::Stale(version)) => {
                    let followed = self.coordinator.follow_members(version).await;
                    let (received, block_for) = (0, plan.block_for);
                    followed.map_err(|_| ClusterError::WriteTimeout {
                        consistency,
                        received,
                        block_for,
                        kind,
                    })?;
                }
                committed => return committed,
            }
        }
    }

    async fn commit_by(&self, plan: &Plan, proposal: &Proposal) -> Result<(), ClusterError> {
        let mut all: Vec<usize> = (0..plan.replicas.len()).collect();
        note(|| format!("Paxos Commit: telling {} replicas, {} must answer", all.len(), plan.block_for));
        if self.coordinator.env.mutants.has("commit-stays-near") {
            all.retain(|index| plan.replicas[*index].near);
        }
        let mut answers = self.ask(plan, Step::Commit, proposal, &all);
        if plan.consistency == Consistency::Any {
            return Ok(());
        }
        let mut gather = Gather::new(plan);
        if self.coordinator.env.mutants.has("commit-counts-one-less") {
            gather.spare_one();
        }
        while !gather.is_enough()
            && let Some((replica, answer)) = answers.recv().await
        {
            match answer {
                Ok(_) => gather.take(&plan.replicas[replica]),
                Err(error @ ClusterError::Stale(_)) => return Err(error),
                Err(error) => gather.fail(&plan.replicas[replica], &error),
            }
        }
        gather.write_result(WriteKind::Simple)
    }

    /// Sends a request to some of a plan's replicas. Answers come as they come. Who misses what was chosen
    /// gets a hint, as with any other write.
    fn ask(
        &self,
        plan: &Plan,
        step: Step,
        proposal: &Proposal,
        replicas: &[usize],
    ) -> mpsc::Receiver<(usize, Result<Answer, ClusterError>)> {
        let (answers, answered) = mpsc::channel(replicas.len().max(1));
        let era = self.coordinator.hints.era();
        for index in replicas {
            let (index, replica) = (*index, plan.replicas[*index]);
            let request =
                Request { step, table: self.table, key: self.key.clone(), proposal: proposal.clone() };
            let (answers, trace) = (answers.clone(), trace::current());
            let (local, peers, hints, timeout, members) = (
                Arc::clone(&self.coordinator.replica),
                Arc::clone(&self.coordinator.peers),
                Arc::clone(&self.coordinator.hints),
                self.coordinator.timeouts.write,
                plan.members,
            );
            self.coordinator.env.tasks.spawn_local(async move {
                // Nothing unless it is to be committed.
                let chosen =
                    if step == Step::Commit { request.proposal.mutation.clone() } else { Vec::new() };
                let answer = if replica.local {
                    let answer = local.paxos(request).await;
                    if !chosen.is_empty() && answer.is_err() {
                        hints.hint(replica.host, &chosen, era);
                    }
                    answer
                } else {
                    let body = Body::Paxos(request.encode());
                    let asked = peers.ask_for(trace, members, replica.internode, body, timeout).await;
                    if !chosen.is_empty() && !matches!(asked, Ok(Body::PaxosAnswer(_))) {
                        hints.hint(replica.host, &chosen, era);
                    }
                    match asked {
                        Ok(Body::PaxosAnswer(bytes)) => Answer::decode(&bytes),
                        Ok(Body::Failed(reason)) => Err(ClusterError::Invalid(reason)),
                        Ok(_) => Err(ClusterError::Peer("an answer to another request".into())),
                        Err(error) => Err(error),
                    }
                };
                // The proposer may have enough answers already.
                let _ = answers.send((index, answer)).await;
            });
        }
        answered
    }

    pub(super) async fn back_off(&mut self) {
        self.contentions += 1;
        let steps = u64::from(self.contentions).min(MAX_BACK_OFF_STEPS);
        let most = BACK_OFF.as_micros() as u64 * steps;
        dodona_env::clock::sleep(Duration::from_micros(self.coordinator.random.below(most))).await;
    }

    pub(super) fn unknown(&self) -> ClusterError {
        let (Plan { consistency, block_for, .. }, received) = (&self.plan, self.received);
        ClusterError::CasUnknown { consistency: *consistency, received, block_for: *block_for }
    }

    pub(super) fn timed_out(&self) -> ClusterError {
        let (Plan { consistency, block_for, .. }, received) = (&self.plan, self.received);
        let (consistency, block_for, contentions) = (*consistency, *block_for, self.contentions);
        ClusterError::CasTimeout { consistency, received, block_for, contentions }
    }
}

/// True if so many further acceptors refuse, and say so soon.
async fn all_refuse(
    mut answers: mpsc::Receiver<(usize, Result<Answer, ClusterError>)>,
    count: usize,
) -> bool {
    let refuse = async {
        for _ in 0..count {
            if !matches!(answers.recv().await, Some((_, Ok(Answer::Refused(_))))) {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(REFUSALS, refuse).await.unwrap_or(false)
}

/// True if so many replicas have agreed: all that were asked.
async fn all_agree(mut answers: mpsc::Receiver<(usize, Result<Answer, ClusterError>)>, count: usize) -> bool {
    for _ in 0..count {
        if !matches!(answers.recv().await, Some((_, Ok(_)))) {
            return false;
        }
    }
    true
}
