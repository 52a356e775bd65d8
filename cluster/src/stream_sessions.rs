//! What other nodes fetch of this one in files, as far as it can go so: sessions, each of which holds on to what a table
//! had at one moment.
//!
//! The payload of a [`crate::message::Body::Session`] is the length of a [`Request`] (u32), the request as JSON and, of
//! [`Request::Rest`], a read. The answer is 0 (u8) if there is no such session any more, and else 1 and what was asked for.

use crate::error::ClusterError;
use crate::message::{put_bytes, take_bytes};
use dodona_env::Env;
use dodona_storage::engine::outgoing::{Pinned, WholeFile};
use dodona_storage::sstable::SstableId;
use dodona_types::TableId;
use dodona_types::codec::{DecodeError, Reader};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a session is kept that nobody asks for anything: a node that fetches waits less for one that is gone.
const IDLE: Duration = Duration::from_secs(60);
/// How often it is looked for such.
const LOOK: Duration = Duration::from_secs(10);
/// Sessions at a time. Each keeps files that compactions have replaced.
const MOST: usize = 64;

/// A range: the token before its first one, and its last one.
type Range = (i64, i64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Begin a session: the answer is an [`Opened`].
    Open {
        /// The table.
        table: Uuid,
        /// Ranges, which are disjoint and in order.
        ranges: Vec<Range>,
        /// Files of fewer bytes go row by row.
        least_bytes: u64,
    },
    /// Send a piece of a file.
    Piece {
        /// The session.
        session: Uuid,
        /// The file.
        file: Uuid,
        /// Where the piece begins.
        offset: u64,
        /// Its length in bytes.
        length: u32,
    },
    /// Send, row by row, a part of what does not go in files.
    Rest {
        /// The session.
        session: Uuid,
        /// What is repaired of it, or what is not.
        repaired: bool,
    },
    /// End a session.
    Close(Uuid),
}

/// A session that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// Its id.
    pub(crate) session: Uuid,
    /// Since which second what is repaired of the rest is so; none if nothing is.
    pub(crate) repaired_since: Option<i64>,
    /// The files, with their lengths in bytes, and the second at which the repair began that each is repaired by. If there are
    /// none, there is no session: everything goes row by row.
    pub(crate) files: Vec<(Uuid, u64, Option<i64>)>,
}

impl Request {
    /// The request's bytes, with the read that it is for.
    pub(crate) fn encode(&self, read: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, &serde_json::to_vec(self).unwrap_or_default());
        out.extend_from_slice(read);
        out
    }

    /// A request, and the read that it is for.
    ///
    /// # Errors
    /// It is malformed.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let mut reader = Reader::new(bytes);
        let request = take_bytes(&mut reader)?;
        match serde_json::from_slice(&request) {
            Ok(request) => Ok((request, reader.remaining())),
            Err(_) => Err(reader.error("request about a session")),
        }
    }
}

impl Opened {
    /// The answer for a session that has begun, or would have.
    pub(crate) fn new(session: Uuid, pinned: &Pinned) -> Self {
        let of = |file: WholeFile| (file.id.0, file.bytes, file.repaired_at);
        Self { session, repaired_since: pinned.repaired_since(), files: pinned.files().map(of).collect() }
    }

    /// The files.
    pub(crate) fn files(&self) -> impl Iterator<Item = WholeFile> {
        let of = |(id, bytes, repaired_at): &_| WholeFile {
            id: SstableId(*id),
            bytes: *bytes,
            repaired_at: *repaired_at,
        };
        self.files.iter().map(of)
    }
}

/// An answer.
pub(crate) fn answer(found: Option<&[u8]>) -> Vec<u8> {
    found.map_or_else(|| vec![0], |found| [&[1][..], found].concat())
}

/// What an answer holds; none if there is no such session any more.
///
/// # Errors
/// It is malformed.
pub(crate) fn of_answer(mut bytes: Vec<u8>) -> Result<Option<Vec<u8>>, ClusterError> {
    match bytes.first() {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(bytes.split_off(1))),
        _ => Err(ClusterError::Peer("an answer that does not say of which kind it is".into())),
    }
}

struct Session {
    pinned: Arc<Pinned>,
    asked_at: Duration,
}

/// The sessions that other nodes have begun here.
pub(crate) struct Sessions {
    env: Env,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    sessions: BTreeMap<Uuid, Session>,
    /// It is seen to that idle ones end.
    is_watched: bool,
}

impl Sessions {
    pub(crate) fn new(env: Env) -> Self {
        Self { env, open: Arc::default() }
    }

    /// Begins a session, if it is for any files.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn begin(&self, pinned: Pinned) -> Result<Opened, ClusterError> {
        let opened = Opened::new(self.env.random.uuid_v4(), &pinned);
        if opened.files.is_empty() {
            return Ok(opened);
        }
        let session = Session { pinned: Arc::new(pinned), asked_at: self.env.clock.mono() };
        let mut open = self.open.lock();
        if open.sessions.len() == MOST {
            return Err(ClusterError::Peer(format!("{MOST} sessions are under way already")));
        }
        if !std::mem::replace(&mut open.is_watched, true) {
            self.env.tasks.spawn_local(end_idle(self.env.clone(), Arc::clone(&self.open)));
        }
        open.sessions.insert(opened.session, session);
        Ok(opened)
    }

    /// What a session holds on to, if there is such a session.
    pub(crate) fn get(&self, session: Uuid) -> Option<Arc<Pinned>> {
        let mut open = self.open.lock();
        let session = open.sessions.get_mut(&session)?;
        session.asked_at = self.env.clock.mono();
        Some(Arc::clone(&session.pinned))
    }

    /// Ends a session.
    pub(crate) fn end(&self, session: Uuid) {
        self.open.lock().sessions.remove(&session);
    }

    /// Ends all sessions of a table: what they hold on to is not there any more.
    pub(crate) fn end_of(&self, table: TableId) {
        self.open.lock().sessions.retain(|_, session| session.pinned.table() != table);
    }
}

impl Open {
    /// Ends sessions that nobody has asked for anything of late.
    fn end_idle(&mut self, now: Duration) {
        self.sessions.retain(|_, session| now.saturating_sub(session.asked_at) < IDLE);
    }
}

/// Ends sessions that nobody asks for anything any more, as long as there are any.
async fn end_idle(env: Env, open: Arc<Mutex<Open>>) {
    loop {
        dodona_env::clock::sleep(LOOK).await;
        let now = env.clock.mono();
        let mut open = open.lock();
        open.end_idle(now);
        open.is_watched = !open.sessions.is_empty();
        if !open.is_watched {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_storage::compaction::CompactionSettings;
    use dodona_storage::{Engine, EngineSettings, TableSettings};
    use dodona_types::key::ROW_END;
    use dodona_types::row::RowHeader;
    use dodona_types::token::TokenRange;
    use dodona_types::{Liveness, MutationBuilder};

    const TABLE: TableId = TableId(Uuid::from_u128(7));

    #[test]
    fn sessions_end_when_nobody_asks_and_with_what_their_table_held() {
        let directory = tempfile::tempdir().unwrap();
        let env = dodona_env::os::env(directory.path()).unwrap();
        let tables = vec![TableSettings::new(TABLE, "ks.t", CompactionSettings::disabled().unwrap())];
        let engine = Engine::open(env.clone(), EngineSettings::default(), Uuid::nil(), tables).unwrap().0;
        let sessions = Sessions::new(env.clone());
        crate::testing::run(async {
            let pin = || engine.pin(TABLE, &[TokenRange::FULL], 1).unwrap();
            let nothing = sessions.begin(pin()).unwrap();
            assert!(nothing.files.is_empty() && sessions.get(nothing.session).is_none());
            let mut builder = MutationBuilder::new();
            builder.begin(TABLE, 1, b"key");
            builder.row(
                &[ROW_END],
                1,
                &RowHeader { liveness: Some(Liveness::new(1)), ..RowHeader::EMPTY },
                |_| {},
            );
            engine.apply(&[builder.view()]).unwrap();
            let [first, second] = [(); 2].map(|()| sessions.begin(pin()).unwrap());
            assert_eq!((first.files.len(), &first.files), (1, &second.files));
            sessions.end(second.session);
            assert!(sessions.get(first.session).is_some() && sessions.get(second.session).is_none());
            sessions.end_of(TableId(Uuid::from_u128(99)));
            assert!(sessions.get(first.session).is_some());
            sessions.end_of(TABLE);
            assert!(sessions.get(first.session).is_none());
            let third = sessions.begin(pin()).unwrap();
            let now = env.clock.mono();
            sessions.open.lock().end_idle(now + IDLE / 2);
            assert!(sessions.get(third.session).is_some());
            sessions.open.lock().end_idle(now + IDLE * 2);
            assert!(sessions.get(third.session).is_none());
            let all: Vec<Opened> = (0..MOST).map(|_| sessions.begin(pin()).unwrap()).collect();
            assert!(sessions.begin(pin()).is_err());
            sessions.end(all[0].session);
            sessions.begin(pin()).unwrap();
        });
    }

    #[test]
    fn requests_and_answers_have_these_bytes() {
        let id = Uuid::from_u128(5);
        let text = "00000000-0000-0000-0000-000000000005";
        let requests = [
            (
                Request::Open { table: id, ranges: vec![(-3, 4)], least_bytes: 9 },
                format!(r#"{{"Open":{{"table":"{text}","ranges":[[-3,4]],"least_bytes":9}}}}"#),
            ),
            (
                Request::Piece { session: id, file: id, offset: 7, length: 8 },
                format!(r#"{{"Piece":{{"session":"{text}","file":"{text}","offset":7,"length":8}}}}"#),
            ),
            (
                Request::Rest { session: id, repaired: true },
                format!(r#"{{"Rest":{{"session":"{text}","repaired":true}}}}"#),
            ),
            (Request::Close(id), format!(r#"{{"Close":"{text}"}}"#)),
        ];
        for (request, json) in requests {
            let bytes = request.encode(b"read");
            let expected = [&(json.len() as u32).to_le_bytes()[..], json.as_bytes(), b"read"].concat();
            assert_eq!(bytes, expected, "{}", String::from_utf8_lossy(&bytes));
            assert_eq!(Request::decode(&bytes).unwrap(), (request, &b"read"[..]));
            assert!(Request::decode(&bytes[..json.len()]).is_err());
        }
        let opened = Opened { session: id, repaired_since: None, files: vec![(id, 6, Some(2))] };
        let json = format!(r#"{{"session":"{text}","repaired_since":null,"files":[["{text}",6,2]]}}"#);
        assert_eq!(serde_json::to_string(&opened).unwrap(), json);
        assert_eq!(of_answer(answer(Some(b"it"))).unwrap(), Some(b"it".to_vec()));
        assert_eq!(of_answer(answer(None)).unwrap(), None);
        assert!(of_answer(Vec::new()).is_err());
    }
}
