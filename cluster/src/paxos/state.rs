//! What an acceptor has promised, accepted and committed for one partition, and how requests change
//! it. Nothing here does I/O: whoever calls it makes the new state durable before it answers.

use super::ballot::Ballot;

/// A mutation under a ballot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The ballot.
    pub ballot: Ballot,
    /// The encoded mutation; empty for one that changes nothing.
    pub mutation: Vec<u8>,
}

/// An acceptor's state for one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Nothing below is promised or accepted any more.
    pub promised: Ballot,
    /// What was accepted last, unless it is committed.
    pub accepted: Option<Proposal>,
    /// What was committed last.
    pub committed: Proposal,
}

/// What an acceptor answers to PREPARE and PROPOSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Promised: what was accepted and is not committed, and what was committed last.
    Promised {
        /// See [`State::accepted`].
        accepted: Option<Proposal>,
        /// See [`State::committed`].
        committed: Proposal,
    },
    /// Accepted.
    Accepted,
    /// Refused for the sake of this ballot.
    Refused(Ballot),
}

impl State {
    /// PREPARE: promises to accept nothing below the ballot.
    pub fn prepare(&mut self, ballot: Ballot) -> Answer {
        if ballot <= self.promised {
            return Answer::Refused(self.promised);
        }
        self.promised = ballot;
        Answer::Promised { accepted: self.accepted.clone(), committed: self.committed.clone() }
    }

    /// PROPOSE: accepts, unless something later was promised.
    pub fn propose(&mut self, proposal: Proposal) -> Answer {
        if proposal.ballot < self.promised {
            return Answer::Refused(self.promised);
        }
        self.promised = proposal.ballot;
        self.accepted = Some(proposal);
        Answer::Accepted
    }

    /// COMMIT: notes what was chosen. False if something later was committed before: then nothing
    /// changes here, and the mutation alone has to be applied.
    pub fn commit(&mut self, proposal: Proposal) -> bool {
        if self.accepted.as_ref().is_some_and(|accepted| accepted.ballot <= proposal.ballot) {
            self.accepted = None;
        }
        self.promised = self.promised.max(proposal.ballot);
        if proposal.ballot <= self.committed.ballot {
            return false;
        }
        self.committed = proposal;
        true
    }
}

impl State {
    /// What two acceptors know together: the later of each.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let committed =
            if self.committed.ballot >= other.committed.ballot { self.committed } else { other.committed };
        let accepted = [self.accepted, other.accepted].into_iter().flatten();
        let accepted = accepted.max_by_key(|proposal| proposal.ballot);
        Self {
            promised: self.promised.max(other.promised),
            accepted: accepted.filter(|proposal| proposal.ballot > committed.ballot),
            committed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(micros: i64) -> Ballot {
        Ballot::new(micros, 7)
    }

    fn proposal(micros: i64) -> Proposal {
        Proposal { ballot: ballot(micros), mutation: vec![micros as u8] }
    }

    #[test]
    fn two_acceptors_know_the_later_of_each() {
        let one = State { promised: ballot(5), accepted: Some(proposal(5)), committed: proposal(1) };
        let other = State { promised: ballot(4), accepted: None, committed: proposal(4) };
        let both = one.clone().with(other.clone());
        assert_eq!((both.promised, both.committed.clone()), (ballot(5), proposal(4)));
        assert_eq!(both.accepted, Some(proposal(5)));
        assert_eq!(other.with(one), both);
        let done = State { committed: proposal(5), ..State::default() };
        assert_eq!(both.with(done).accepted, None);
    }

    #[test]
    fn a_promise_refuses_what_is_older() {
        let mut state = State::default();
        assert!(matches!(state.prepare(ballot(5)), Answer::Promised { accepted: None, .. }));
        assert_eq!(state.prepare(ballot(5)), Answer::Refused(ballot(5)));
        assert_eq!(state.propose(proposal(4)), Answer::Refused(ballot(5)));
        assert_eq!(state.propose(proposal(5)), Answer::Accepted);
        assert_eq!(state.prepare(ballot(4)), Answer::Refused(ballot(5)));
    }

    #[test]
    fn what_was_accepted_is_told_until_it_is_committed() {
        let mut state = State::default();
        assert_eq!(state.propose(proposal(5)), Answer::Accepted);
        let Answer::Promised { accepted, committed } = state.prepare(ballot(6)) else { panic!() };
        assert_eq!((accepted, committed), (Some(proposal(5)), Proposal::default()));
        assert!(state.commit(proposal(5)));
        assert!(!state.commit(proposal(5)));
        let Answer::Promised { accepted, committed } = state.prepare(ballot(7)) else { panic!() };
        assert_eq!((accepted, committed), (None, proposal(5)));
    }

    #[test]
    fn an_older_commit_takes_nothing_back() {
        let mut state = State::default();
        assert!(state.commit(proposal(8)));
        assert_eq!(state.propose(proposal(9)), Answer::Accepted);
        assert!(!state.commit(proposal(5)));
        assert_eq!(state.committed, proposal(8));
        assert_eq!(state.accepted, Some(proposal(9)));
    }
}
