//! What the batch log needs no I/O for: who keeps a batch, as which bytes, and when it is replayed.
//!
//! ```text
//! batch := version u16, id 16 bytes, written µs i64, count, (length, mutation)*
//! ```
//! Integers are little-endian; the count and lengths are varints.

use crate::liveness::Liveness;
use crate::ring::{Member, MemberIndex};
use dodona_env::Random;
use dodona_types::codec::{DecodeError, Reader, put_length_prefixed, put_varint};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

const VERSION: u16 = 1;
/// Members that keep a batch, if there are so many.
const KEEPERS: usize = 2;

/// The members that may keep a batch, by racks, and how many of them do: two live ones of the coordinator's data centre, on two racks that are not
/// the coordinator's, as far as there are such (Cassandra `ReplicaPlans.filterBatchlogEndpoints`).
/// The coordinator itself is among them only if it is the only member there. None if nobody is alive. Nor is one
/// that is about to go, which hands on what it has.
#[must_use]
pub fn possible_keepers(
    members: &[Member],
    local: MemberIndex,
    liveness: &dyn Liveness,
) -> (Vec<Vec<MemberIndex>>, usize) {
    let Member { data_center, rack: local_rack, .. } = &members[local];
    let of_data_center = |index: &MemberIndex| {
        let member = &members[*index];
        let stays = *index == local || !member.status.goes();
        member.data_center == *data_center && !member.status.is_new() && stays
    };
    let present: Vec<MemberIndex> = (0..members.len()).filter(of_data_center).collect();
    if present == [local] {
        return (vec![present], 1);
    }
    let mut racks: BTreeMap<&str, Vec<MemberIndex>> = BTreeMap::new();
    for index in present.into_iter().filter(|index| *index != local) {
        if liveness.is_alive(members[index].host) {
            racks.entry(&members[index].rack).or_default().push(index);
        }
    }
    let count = |racks: &BTreeMap<&str, Vec<MemberIndex>>| racks.values().map(Vec::len).sum::<usize>();
    let beside = racks.get(&**local_rack).map_or(0, Vec::len);
    if count(&racks) > KEEPERS && count(&racks) - beside >= KEEPERS {
        racks.remove(&**local_rack);
    }
    let racks: Vec<Vec<MemberIndex>> = racks.into_values().collect();
    let keepers = KEEPERS.min(racks.iter().map(Vec::len).sum());
    (racks, keepers)
}

/// Members that keep a batch: some of [`possible_keepers`], drawn at random.
#[must_use]
pub fn keepers(
    members: &[Member],
    local: MemberIndex,
    liveness: &dyn Liveness,
    random: &Random,
) -> Vec<MemberIndex> {
    let (mut racks, _) = possible_keepers(members, local, liveness);
    match racks.as_mut_slice() {
        [] => Vec::new(),
        [rack] => draw(rack, KEEPERS, random),
        // One of each of two racks.
        racks => {
            draw(racks, KEEPERS, random).iter().map(|rack| draw(&mut rack.clone(), 1, random)[0]).collect()
        }
    }
}

/// So many of the items, at random and in no order.
fn draw<T: Clone>(items: &mut [T], count: usize, random: &Random) -> Vec<T> {
    let count = count.min(items.len());
    for place in 0..count {
        let other = place + random.below((items.len() - place) as u64) as usize;
        items.swap(place, other);
    }
    items[..count].to_vec()
}

/// A batch that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its id, a timeuuid.
    pub id: Uuid,
    /// When its coordinator wrote it, in microseconds since the epoch.
    pub written_micros: i64,
    /// Its mutations.
    pub mutations: Vec<Vec<u8>>,
}

impl Batch {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.written_micros.to_le_bytes());
        put_varint(&mut out, self.mutations.len() as u64);
        for mutation in &self.mutations {
            put_length_prefixed(&mut out, mutation);
        }
        out
    }

    /// The batch of these bytes.
    ///
    /// # Errors
    /// They are none, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u16()? != VERSION {
            return Err(reader.error("an unknown version of a batch"));
        }
        let (id, written_micros) = (reader.uuid()?, reader.i64()?);
        let mutations = (0..reader.varint()?)
            .map(|_| reader.length_prefixed().map(<[u8]>::to_vec))
            .collect::<Result<_, _>>()?;
        if !reader.is_empty() {
            return Err(reader.error("bytes behind a batch"));
        }
        Ok(Self { id, written_micros, mutations })
    }
}

/// What is to be done with a batch that is still kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Its coordinator may still be at it, for so long.
    In(Duration),
    /// Its writes are to be done again.
    Now,
    /// It is to be removed: tombstones of what it writes may be purged.
    Never,
}

/// What is to be done with a batch that was written then, at the time `now_micros`: a coordinator that
/// still works on it is done after twice the timeout of a write. `gc_grace_seconds` is the least of its tables
/// (Cassandra `BatchlogManager`).
#[must_use]
pub fn due(written_micros: i64, now_micros: i64, write_timeout: Duration, gc_grace_seconds: u32) -> Due {
    let age_micros = now_micros.saturating_sub(written_micros);
    if age_micros >= i64::from(gc_grace_seconds) * 1_000_000 {
        return Due::Never;
    }
    let patience = i64::try_from(write_timeout.as_micros()).unwrap_or(i64::MAX).saturating_mul(2);
    match u64::try_from(patience.saturating_sub(age_micros)) {
        Ok(left @ 1..) => Due::In(Duration::from_micros(left)),
        _ => Due::Now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Status;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::net::SocketAddr;

    /// Those with these host ids are dead.
    struct Dead(Vec<u128>);

    impl Liveness for Dead {
        fn is_alive(&self, host: Uuid) -> bool {
            !self.0.contains(&host.as_u128())
        }
    }

    fn members(racks: &[&str]) -> Vec<Member> {
        let member = |(index, rack): (usize, &&str)| Member {
            host: Uuid::from_u128(index as u128),
            status: Status::Normal,
            data_center: if rack.starts_with('z') { "dc2" } else { "dc1" }.into(),
            rack: (*rack).into(),
            internode: SocketAddr::from(([127, 0, 0, 1], 7000)),
            native: SocketAddr::from(([127, 0, 0, 1], 9042)),
            tokens: Vec::new(),
            other_tokens: Vec::new(),
        };
        racks.iter().enumerate().map(member).collect()
    }

    /// All choices that the first member makes in many tries.
    fn choices(racks: &[&str], dead: &[u128]) -> BTreeSet<Vec<MemberIndex>> {
        let (members, random) = (members(racks), Random::from_seed(1));
        (0..300)
            .map(|_| {
                let mut chosen = keepers(&members, 0, &Dead(dead.to_vec()), &random);
                chosen.sort_unstable();
                chosen
            })
            .collect()
    }

    fn set<const N: usize, const M: usize>(choices: [[MemberIndex; M]; N]) -> BTreeSet<Vec<MemberIndex>> {
        choices.iter().map(|choice| choice.to_vec()).collect()
    }

    #[test]
    fn two_other_racks_keep_a_batch_if_there_are_two() {
        assert_eq!(choices(&["a", "a", "b", "c", "c"], &[]), set([[2, 3], [2, 4]]));
        assert_eq!(choices(&["a", "b", "c", "d", "z"], &[]), set([[1, 2], [1, 3], [2, 3]]));
    }

    #[test]
    fn one_other_rack_keeps_it_twice_if_it_has_two_members() {
        assert_eq!(choices(&["a", "a", "b", "b", "b"], &[]), set([[2, 3], [2, 4], [3, 4]]));
    }

    #[test]
    fn the_rack_of_the_coordinator_helps_out() {
        assert_eq!(choices(&["a", "a", "a", "b"], &[]), set([[1, 3], [2, 3]]));
        assert_eq!(choices(&["a", "a", "a", "a"], &[]), set([[1, 2], [1, 3], [2, 3]]));
        assert_eq!(choices(&["a", "b", "b", "a"], &[1]), set([[2, 3]]));
    }

    #[test]
    fn the_dead_and_other_data_centers_keep_nothing() {
        assert_eq!(choices(&["a", "b", "c", "c"], &[2]), set([[1, 3]]));
        assert_eq!(choices(&["a", "b", "z", "z"], &[]), set([[1]]));
        assert_eq!(choices(&["a", "b", "z"], &[1]), set([[]]));
    }

    #[test]
    fn the_only_member_of_a_data_center_keeps_its_own() {
        assert_eq!(choices(&["a", "z", "z"], &[]), set([[0]]));
    }

    #[test]
    fn a_batch_is_due_after_twice_the_timeout_and_until_tombstones_may_be_purged() {
        let due = |age_micros: i64| due(5, 5 + age_micros, Duration::from_secs(2), 100);
        assert_eq!(due(0), Due::In(Duration::from_secs(4)));
        assert_eq!(due(-1), Due::In(Duration::from_micros(4_000_001)));
        assert_eq!((due(3_999_999), due(4_000_000)), (Due::In(Duration::from_micros(1)), Due::Now));
        assert_eq!((due(99_999_999), due(100_000_000)), (Due::Now, Due::Never));
    }

    #[test]
    fn a_batch_has_these_bytes() {
        let batch = Batch { id: Uuid::from_u128(3), written_micros: 5, mutations: vec![vec![0xAB], vec![]] };
        let hex: String = batch.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01000000000000000000000000000000000305000000000000000201ab00");
    }

    proptest! {
        #[test]
        fn batches_round_trip_and_short_ones_are_refused(
            id: u128, written_micros: i64, mutations: Vec<Vec<u8>>, cut: usize, tail: u8,
        ) {
            let batch = Batch { id: Uuid::from_u128(id), written_micros, mutations };
            let mut bytes = batch.encode();
            prop_assert_eq!(Batch::decode(&bytes).unwrap(), batch);
            prop_assert!(Batch::decode(&bytes[..cut % bytes.len()]).is_err());
            bytes.push(tail);
            prop_assert!(Batch::decode(&bytes).is_err());
        }
    }
}
