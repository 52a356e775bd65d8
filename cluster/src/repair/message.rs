//! What the leader of a repair asks replicas. The payload of a [`crate::message::Body::Repair`] is a
//! [`Request`], of its answer an [`Answer`], both as JSON.

use super::tree::HashTree;
use dodona_storage::Part;
use dodona_types::token::TokenRange;
use dodona_types::{TableId, Token};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A range: the token before its first one, and its last one.
pub type Range = (i64, i64);

/// A range as messages have it.
#[must_use]
pub const fn to_message(range: &TokenRange) -> Range {
    (range.start.0, range.end.0)
}

/// A range of a message.
#[must_use]
pub const fn of_message((start, end): Range) -> TokenRange {
    TokenRange { start: Token(start), end: Token(end) }
}

/// What a replica does in the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Hash what it holds.
    Hash {
        /// The table.
        table: Uuid,
        /// Ranges, each with the number of parts that it is hashed in.
        ranges: Vec<(Range, usize)>,
        /// What has expired or may be purged by this second is told by this second.
        now_seconds: i64,
        /// What of the table is hashed.
        #[serde(default, skip_serializing_if = "is_all")]
        part: Part,
        /// The repair and its session that this belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<(Uuid, Uuid)>,
    },
    /// Fetch from others what it lacks.
    Fetch {
        /// The table.
        table: Uuid,
        /// Members by their host id, and the ranges to fetch from each.
        from: Vec<(Uuid, Vec<Range>)>,
        /// What is fetched is what others have set aside for this repair, and becomes a part of it here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repair: Option<Uuid>,
    },
    /// Set aside for a repair what is not repaired. The work's id is the repair's, and what is set aside is unrepaired
    /// again once the work is forgotten.
    SetAside {
        /// The table.
        table: Uuid,
        /// Ranges.
        ranges: Vec<Range>,
        /// All that take part, by their host ids.
        #[serde(default)]
        participants: Vec<Uuid>,
    },
    /// Everything that was set aside for a repair is repaired.
    End {
        /// The table.
        table: Uuid,
        /// The repair.
        repair: Uuid,
        /// The second since the epoch at which it began.
        began_at: i64,
        /// The version of the members by which it did; 0 if that is not known.
        #[serde(default)]
        members: u64,
    },
}

fn is_all(part: &Part) -> bool {
    *part == Part::All
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Begin something under this id; nothing if it has begun.
    Begin(Uuid, Work),
    /// How far is it?
    Ask(Uuid),
    /// Send the leaves of the trees.
    Leaves(Uuid),
    /// Give it up, or forget what it came to.
    Forget(Uuid),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It goes on.
    Working,
    /// The ranges are hashed: their roots, in order.
    Hashed(Vec<u128>),
    /// The leaves of each range.
    Leaves(Vec<Vec<u128>>),
    /// Everything is fetched: partitions or parts of them, and bytes.
    Fetched(u64, u64),
    /// What is not repaired is set aside, or what was set aside is repaired.
    Done,
    /// It did not work, and why.
    Failed(String),
    /// Nothing of this id is known here, or any more.
    Unknown,
}

impl Work {
    /// The table.
    #[must_use]
    pub const fn table(&self) -> TableId {
        match self {
            Self::Hash { table, .. }
            | Self::Fetch { table, .. }
            | Self::SetAside { table, .. }
            | Self::End { table, .. } => TableId(*table),
        }
    }
}

/// Trees of nothing for these ranges.
#[must_use]
pub fn empty_trees(ranges: &[(Range, usize)]) -> Vec<HashTree> {
    ranges.iter().map(|(range, leaves)| HashTree::new(of_message(*range), *leaves)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_have_these_forms() {
        let table = Uuid::from_u128(7);
        let ranges = vec![((-5, i64::MAX), 4)];
        let hash = Work::Hash { table, ranges, now_seconds: 9, part: Part::All, session: None };
        let request = Request::Begin(Uuid::from_u128(1), hash);
        let json = serde_json::to_string(&request).unwrap();
        let expected = r#"{"Begin":["00000000-0000-0000-0000-000000000001",{"Hash":{"table":"00000000-0000-0000-0000-000000000007","ranges":[[[-5,9223372036854775807],4]],"now_seconds":9}}]}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request);
        let of_session = Work::Hash {
            table,
            ranges: Vec::new(),
            now_seconds: 9,
            part: Part::All,
            session: Some((Uuid::from_u128(1), Uuid::from_u128(2))),
        };
        let json = serde_json::to_string(&of_session).unwrap();
        let expected = r#"{"Hash":{"table":"00000000-0000-0000-0000-000000000007","ranges":[],"now_seconds":9,"session":["00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"]}}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Work>(&json).unwrap(), of_session);
        let fetch =
            Work::Fetch { table, from: vec![(table, vec![(1, 2)])], repair: Some(Uuid::from_u128(3)) };
        let json = serde_json::to_string(&fetch).unwrap();
        let expected = r#"{"Fetch":{"table":"00000000-0000-0000-0000-000000000007","from":[["00000000-0000-0000-0000-000000000007",[[1,2]]]],"repair":"00000000-0000-0000-0000-000000000003"}}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Work>(&json).unwrap(), fetch);
        let answer = Answer::Leaves(vec![vec![0, u128::MAX]]);
        let json = serde_json::to_string(&answer).unwrap();
        assert_eq!(json, r#"{"Leaves":[[0,340282366920938463463374607431768211455]]}"#);
        assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer);
        let (id, text) = (Uuid::from_u128(7), "00000000-0000-0000-0000-000000000007");
        for (part, json) in [
            (Part::Aside(id), format!(r#"{{"Aside":"{text}"}}"#)),
            (Part::Unrepaired, r#""Unrepaired""#.into()),
            (Part::Repaired, r#""Repaired""#.into()),
        ] {
            assert_eq!(serde_json::to_string(&part).unwrap(), json);
        }
        let aside = Work::SetAside { table, ranges: vec![(1, 2)], participants: vec![id] };
        let end = Work::End { table, repair: id, began_at: 8, members: 9 };
        for (request, json) in [
            (
                Request::Begin(id, aside),
                format!(
                    r#"{{"Begin":["{text}",{{"SetAside":{{"table":"{text}","ranges":[[1,2]],"participants":["{text}"]}}}}]}}"#
                ),
            ),
            (
                Request::Begin(id, end),
                format!(
                    r#"{{"Begin":["{text}",{{"End":{{"table":"{text}","repair":"{text}","began_at":8,"members":9}}}}]}}"#
                ),
            ),
            (Request::Ask(id), format!(r#"{{"Ask":"{text}"}}"#)),
            (Request::Leaves(id), format!(r#"{{"Leaves":"{text}"}}"#)),
            (Request::Forget(id), format!(r#"{{"Forget":"{text}"}}"#)),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), json);
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request);
        }
        for (answer, json) in [
            (Answer::Working, r#""Working""#),
            (Answer::Hashed(vec![3]), r#"{"Hashed":[3]}"#),
            (Answer::Fetched(4, 5), r#"{"Fetched":[4,5]}"#),
            (Answer::Done, r#""Done""#),
            (Answer::Failed("full".into()), r#"{"Failed":"full"}"#),
            (Answer::Unknown, r#""Unknown""#),
        ] {
            assert_eq!(serde_json::to_string(&answer).unwrap(), json);
            assert_eq!(serde_json::from_str::<Answer>(json).unwrap(), answer);
        }
    }

    /// Nodes of several versions compare them.
    #[test]
    fn a_tree_has_this_root() {
        let mut tree = HashTree::new(TokenRange::FULL, 4);
        for (token, digest) in [(i64::MIN + 1, 1), (-1, 2), (0, 3), (5, 1 << 100), (i64::MAX, 7)] {
            tree.add(dodona_storage::reconcile::Hashed { token: Token(token), digest, bytes: 1 });
        }
        assert_eq!(tree.leaves(), [1, 5, 1 << 100, 7]);
        assert_eq!(format!("{:032x}", tree.root()), "06caa5397fce6eab2615d76a547f4fc2");
    }
}
