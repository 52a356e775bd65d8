//! The proposer: conditional writes and reads at SERIAL and LOCAL_SERIAL.

use super::gather::Gather;
use super::{Coordinator, plan::Plan};
use crate::error::ClusterError;
use crate::message::Body;
use crate::paxos::ballot::Ballot;
use crate::paxos::message::{Request, Step};
use crate::paxos::state::{Answer, Proposal};
use crate::trace::{self, note};
use dodona_storage::Page;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
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

/// What a conditional write is to do after a look at what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write this mutation.
    Apply(Vec<u8>),
    /// Write nothing.
    Leave,
}

/// A partition in the hands of a proposer.
struct Proposer<'a> {
    coordinator: &'a Coordinator,
    plan: Plan,
    table: TableId,
    key: Vec<u8>,
    /// The greatest ballot that was heard of.
    seen: Ballot,
    contentions: u32,
    /// What this proposer proposed, oldest first: nobody knows yet whether one of them is or will be
    /// chosen.
    unsure: Vec<Proposal>,
}

/// A ballot that a majority has promised, with nothing left to finish.
struct Lead {
    ballot: Ballot,
    /// What was committed last.
    committed: Proposal,
}

/// How a round of a proposer ended.
enum Round<T> {
    Done(T),
    /// Another proposer is in the way: try again with a later ballot.
    Contended {
        /// No acceptor has accepted it.
        nobody_agreed: bool,
    },
}

impl Coordinator {
    /// Reads a partition, lets `decide` look at it, and writes what that wants, with nothing in
    /// between: all of it is one point in the order of the partition's conditional writes. `decide`
    /// is given what was read and the timestamp for the mutation, and may be asked several times.
    /// Returns what was read, and true if something was written.
    ///
    /// # Errors
    /// Too few replicas exist or answer in time. What was begun may still be finished later
    /// ([`ClusterError::CasUnknown`]). Else an error of `decide`.
    pub async fn conditional_write<E: From<ClusterError>>(
        &self,
        command: &ReadCommand,
        serial: Consistency,
        commit: Consistency,
        mut decide: impl FnMut(&Page, i64) -> Result<Decision, E>,
    ) -> Result<(Page, bool), E> {
        let mut proposer = self.proposer(command, serial)?;
        let mut before = Page::default();
        let work = async {
            let _turn = self.turn(command).await;
            loop {
                let Some(Lead { ballot, committed }) = proposer.lead().await? else { continue };
                if let Some(oldest) = proposer.unsure.first()
                    && committed.ballot >= oldest.ballot
                {
                    // Another proposer has finished one of them, or chose something else in its
                    // place or after it.
                    if proposer.unsure.iter().all(|one| one.mutation != committed.mutation) {
                        return Err(proposer.unknown().into());
                    }
                    // Whoever has finished it did so for a majority.
                    proposer.commit(&committed, commit).await?;
                    return Ok((before, true));
                }
                let page = self.read_page(command.clone(), quorum_of(serial), usize::MAX).await?;
                let mutation = match decide(&page, ballot.micros)? {
                    Decision::Leave if !proposer.unsure.is_empty() => return Err(proposer.unknown().into()),
                    Decision::Leave => return Ok((page, false)),
                    Decision::Apply(mutation) => mutation,
                };
                before = page;
                let proposal = Proposal { ballot, mutation };
                proposer.unsure.push(proposal.clone());
                match proposer.propose(&proposal).await? {
                    Round::Contended { nobody_agreed } => {
                        if nobody_agreed {
                            proposer.unsure.pop();
                        }
                        proposer.back_off().await;
                    }
                    Round::Done(()) => {
                        proposer.commit(&proposal, commit).await?;
                        return Ok((before, true));
                    }
                }
            }
        };
        match tokio::time::timeout(self.timeouts.contention, work).await {
            Ok(result) => result,
            Err(_) if !proposer.unsure.is_empty() => Err(proposer.unknown().into()),
            Err(_) => Err(proposer.timed_out(serial).into()),
        }
    }

    /// Reads a page of one partition at SERIAL or LOCAL_SERIAL: sees every conditional write that
    /// was acknowledged before, and finishes those that were begun.
    ///
    /// # Errors
    /// As [`Self::read_page`].
    pub async fn serial_read(
        &self,
        command: ReadCommand,
        serial: Consistency,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        let mut proposer = self.proposer(&command, serial)?;
        let work = async {
            let _turn = self.turn(&command).await;
            loop {
                if proposer.lead().await?.is_some() {
                    return self.read_page(command.clone(), quorum_of(serial), max_bytes).await;
                }
            }
        };
        match tokio::time::timeout(self.timeouts.contention, work).await {
            Ok(result) => result,
            Err(_) => Err(ClusterError::ReadTimeout {
                consistency: serial,
                received: 0,
                block_for: proposer.plan.block_for,
                data_present: false,
            }),
        }
    }

    /// Requests of this node on one partition take turns, so that they are not in each other's way.
    async fn turn(&self, command: &ReadCommand) -> tokio::sync::MutexGuard<'_, ()> {
        let token = match &command.partitions {
            PartitionSelection::Key(key) => key.token(),
            PartitionSelection::Range(_) => Token::MIN,
        };
        self.turns[(token.ordinal() >> 32) as usize % self.turns.len()].lock().await
    }

    fn proposer(&self, command: &ReadCommand, serial: Consistency) -> Result<Proposer<'_>, ClusterError> {
        let PartitionSelection::Key(key) = &command.partitions else {
            return Err(ClusterError::Invalid("a conditional request needs a partition".into()));
        };
        Ok(Proposer {
            plan: self.plan(command.table, key.token(), serial)?,
            coordinator: self,
            table: command.table,
            key: key.as_ref().bytes.to_vec(),
            seen: Ballot::NONE,
            contentions: 0,
            unsure: Vec::new(),
        })
    }
}

/// The level at which a proposer reads: no commit is missed by a majority.
const fn quorum_of(serial: Consistency) -> Consistency {
    match serial {
        Consistency::LocalSerial => Consistency::LocalQuorum,
        _ => Consistency::Quorum,
    }
}

impl Proposer<'_> {
    /// Gets a majority to promise a new ballot, with nothing left to finish. None if it has to be
    /// tried again.
    async fn lead(&mut self) -> Result<Option<Lead>, ClusterError> {
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
                Some((replica, Ok(answer))) => agreed.push((replica, answer)),
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
        let (consistency, received) = (self.plan.consistency, agreed.len() as u32);
        let block_for = self.plan.block_for;
        Err(match step {
            Step::Prepare => ClusterError::CasTimeout { consistency, received, block_for, contentions: 0 },
            Step::Propose | Step::Commit => ClusterError::CasUnknown { consistency, received, block_for },
        })
    }

    async fn propose(&mut self, proposal: &Proposal) -> Result<Round<()>, ClusterError> {
        Ok(match self.majority(Step::Propose, proposal).await? {
            Round::Done(_) => Round::Done(()),
            Round::Contended { nobody_agreed } => Round::Contended { nobody_agreed },
        })
    }

    /// Tells all replicas what was chosen, those of other data centres too; as many as the level asks
    /// for must have applied it.
    async fn commit(&mut self, proposal: &Proposal, consistency: Consistency) -> Result<(), ClusterError> {
        let token = Token::of_key(&self.key);
        let plan = self.coordinator.plan(self.table, token, consistency)?;
        let mut all: Vec<usize> = (0..plan.replicas.len()).collect();
        note(|| format!("Paxos Commit: telling {} replicas, {} must answer", all.len(), plan.block_for));
        if self.coordinator.env.mutants.has("commit-stays-near") {
            all.retain(|index| plan.replicas[*index].near);
        }
        let mut answers = self.ask(&plan, Step::Commit, proposal, &all);
        if consistency == Consistency::Any {
            return Ok(());
        }
        let mut gather = Gather::new(&plan);
        if self.coordinator.env.mutants.has("commit-counts-one-less") {
            gather.spare_one();
        }
        while !gather.is_enough()
            && let Some((replica, answer)) = answers.recv().await
        {
            match answer {
                Ok(_) => gather.take(&plan.replicas[replica]),
                Err(error) => gather.fail(&plan.replicas[replica], &error),
            }
        }
        gather.write_result()
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

    async fn back_off(&mut self) {
        self.contentions += 1;
        let steps = u64::from(self.contentions).min(MAX_BACK_OFF_STEPS);
        let most = BACK_OFF.as_micros() as u64 * steps;
        dodona_env::clock::sleep(Duration::from_micros(self.coordinator.random.below(most))).await;
    }

    fn unknown(&self) -> ClusterError {
        let Plan { consistency, block_for, .. } = self.plan;
        ClusterError::CasUnknown { consistency, received: 0, block_for }
    }

    fn timed_out(&self, consistency: Consistency) -> ClusterError {
        ClusterError::CasTimeout {
            consistency,
            received: 0,
            block_for: self.plan.block_for,
            contentions: self.contentions,
        }
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
