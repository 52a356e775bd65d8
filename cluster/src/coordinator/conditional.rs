//! Conditional writes, and reads at SERIAL and LOCAL_SERIAL.

use super::Coordinator;
use super::proposer::{Lead, Proposer, Round, quorum_of};
use crate::error::ClusterError;
use crate::paxos::ballot::Ballot;
use crate::paxos::state::Proposal;
use dodona_storage::Page;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{Consistency, Token};

/// What a conditional write is to do after a look at what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write this mutation.
    Apply(Vec<u8>),
    /// Write nothing.
    Leave,
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
        // Too few to commit: said before anything is proposed.
        self.plan(command.table, Token::of_key(&proposer.key), commit)?;
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
            Err(_) => Err(proposer.timed_out().into()),
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
            Ok(result) => result.map_err(|error| of_a_read(error, serial)),
            Err(_) => Err(of_a_read(proposer.timed_out(), serial)),
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
            received: 0,
            unsure: Vec::new(),
        })
    }
}

/// The error of a read for one of what it did to finish what was begun: nothing is in doubt for who reads.
fn of_a_read(error: ClusterError, consistency: Consistency) -> ClusterError {
    match error {
        ClusterError::CasTimeout { received, block_for, .. }
        | ClusterError::CasUnknown { received, block_for, .. }
        | ClusterError::WriteTimeout { received, block_for, .. } => {
            ClusterError::ReadTimeout { consistency, received, block_for, data_present: false }
        }
        ClusterError::WriteFailure { received, block_for, failures, .. } => {
            ClusterError::ReadFailure { consistency, received, block_for, failures, data_present: false }
        }
        error => error,
    }
}
