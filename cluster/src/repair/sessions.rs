//! The incremental repairs that a node takes part in, as operators see them: those that go on, and the last ones that
//! have ended.

use dodona_types::TableId;
use dodona_types::token::TokenRange;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Sessions that have ended and are remembered.
const REMEMBERED: usize = 100;

/// How far a session is here, by Cassandra's names (`ConsistentSession.State`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionState {
    /// What is not repaired is being set aside.
    Preparing,
    /// It is set aside.
    Prepared,
    /// It is compared and completed.
    Repairing,
    /// It is repaired.
    Finalized,
    /// It was given up: what was set aside is unrepaired.
    Failed,
}

impl SessionState {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "PREPARING",
            Self::Prepared => "PREPARED",
            Self::Repairing => "REPAIRING",
            Self::Finalized => "FINALIZED",
            Self::Failed => "FAILED",
        }
    }

    /// True if nothing comes behind it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finalized | Self::Failed)
    }
}

/// An incremental repair of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id, a timeuuid.
    pub id: Uuid,
    /// The table.
    pub table: TableId,
    /// The ranges of it that the node takes part with.
    pub ranges: Vec<TokenRange>,
    /// The host id of whoever leads it.
    pub coordinator: Uuid,
    /// The host ids of all that take part.
    pub participants: Vec<Uuid>,
    /// How far it is.
    pub state: SessionState,
    /// The second since the epoch at which it came there.
    pub updated_at: i64,
}

/// Sessions, those that began first before others.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<BTreeMap<u64, Session>>);

impl Sessions {
    /// Notes one that begins.
    pub(super) fn begin(&self, session: Session) {
        let mut sessions = self.0.lock();
        let next = sessions.last_key_value().map_or(0, |(last, _)| last + 1);
        sessions.insert(next, session);
        let over: Vec<u64> =
            sessions.iter().filter(|(_, session)| session.state.is_over()).map(|(place, _)| *place).collect();
        for place in &over[..over.len().saturating_sub(REMEMBERED)] {
            sessions.remove(place);
        }
    }

    /// Notes how far one is, unless it was further.
    pub(super) fn advance(&self, id: Uuid, state: SessionState, now_seconds: i64) {
        let mut sessions = self.0.lock();
        let known = sessions.values_mut().find(|session| session.id == id);
        if let Some(session) = known.filter(|known| !known.state.is_over() && known.state < state) {
            (session.state, session.updated_at) = (state, now_seconds);
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Session> {
        self.0.lock().values().find(|session| session.id == id).cloned()
    }

    /// Those that go on, or all; or only those that have a part of this range.
    #[must_use]
    pub fn list(&self, all: bool, within: Option<TokenRange>) -> Vec<Session> {
        let is_within = |session: &Session| {
            within.is_none_or(|within| {
                session.ranges.iter().any(|range| !range.intersection(&within).is_empty())
            })
        };
        let sessions = self.0.lock();
        let meant =
            sessions.values().filter(|session| (all || !session.state.is_over()) && is_within(session));
        meant.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::Token;

    fn session(id: u128) -> Session {
        Session {
            id: Uuid::from_u128(id),
            table: TableId(Uuid::nil()),
            ranges: Vec::new(),
            coordinator: Uuid::nil(),
            participants: Vec::new(),
            state: SessionState::Preparing,
            updated_at: 1,
        }
    }

    #[test]
    fn a_session_goes_on_to_its_end_and_never_back() {
        let sessions = Sessions::default();
        sessions.begin(session(1));
        let at = |state, now| {
            sessions.advance(Uuid::from_u128(1), state, now);
            let known = sessions.get(Uuid::from_u128(1)).unwrap();
            (known.state.name(), known.updated_at)
        };
        assert_eq!(at(SessionState::Repairing, 5), ("REPAIRING", 5));
        assert_eq!(at(SessionState::Prepared, 6), ("REPAIRING", 5));
        assert_eq!(sessions.list(false, None).len(), 1);
        assert_eq!(at(SessionState::Finalized, 7), ("FINALIZED", 7));
        assert_eq!(at(SessionState::Failed, 8), ("FINALIZED", 7));
        assert_eq!((sessions.list(false, None).len(), sessions.list(true, None).len()), (0, 1));
    }

    #[test]
    fn those_that_go_on_are_never_forgotten_and_the_others_in_their_order() {
        let sessions = Sessions::default();
        (0..3).for_each(|id| sessions.begin(session(id)));
        for id in 3..200 {
            sessions.begin(session(id));
            sessions.advance(Uuid::from_u128(id), SessionState::Failed, 2);
        }
        let ids: Vec<u128> = sessions.list(true, None).iter().map(|session| session.id.as_u128()).collect();
        assert_eq!(ids[..4], [0, 1, 2, 99]);
        assert_eq!(ids.len(), 3 + REMEMBERED + 1, "the last one has ended since");
        let range = |start, end| TokenRange { start: Token(start), end: Token(end) };
        sessions.begin(Session { ranges: vec![range(5, 9)], ..session(200) });
        let within = |start, end| sessions.list(true, Some(range(start, end))).len();
        assert_eq!((within(8, 20), within(9, 20), within(20, 6)), (1, 0, 1));
    }
}
