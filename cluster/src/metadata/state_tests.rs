use super::*;
use crate::ring::Ring;
use dodona_types::schema::{Keyspace, Options};

pub(in crate::metadata) fn member(number: u8, status: Status) -> Member {
    Member {
        host: Uuid::from_u128(number.into()),
        status,
        data_center: "dc1".into(),
        rack: "r1".into(),
        internode: SocketAddr::from(([127, 0, 0, number], 7000)),
        native: SocketAddr::from(([127, 0, 0, number], 9042)),
        tokens: vec![Token(i64::from(number))],
        other_tokens: Vec::new(),
    }
}

fn apply(metadata: &Metadata, change: &Change) -> Result<Metadata, Outcome> {
    metadata.apply(change, metadata.version + 1)
}

fn join(metadata: &Metadata, number: u8) -> Result<Metadata, Outcome> {
    let member = Box::new(member(number, Status::Joining));
    apply(metadata, &Change::Join { expected: metadata.members_version, member })
}

#[test]
fn members_join_one_at_a_time_and_numbers_are_never_used_again() {
    let one = Metadata::of_members([member(1, Status::Normal)], Schema::default());
    let two = join(&one, 2).unwrap();
    assert!(matches!(join(&two, 3), Err(Outcome::Busy(_))));
    let host = Uuid::from_u128(2);
    let advance = |metadata: &Metadata, from| apply(metadata, &Change::Advance { host, from }).unwrap();
    let arriving = advance(&two, Status::Joining);
    assert!(matches!(join(&arriving, 3), Err(Outcome::Busy(_))));
    let joined = advance(&arriving, Status::Arriving);
    assert_eq!(joined.member(host).unwrap().status, Status::Normal);
    let leaving = apply(&joined, &Change::Leave(host)).unwrap();
    let gone = advance(&advance(&leaving, Status::Leaving), Status::Departing);
    let three = join(&gone, 3).unwrap();
    assert_eq!(three.number_of(Uuid::from_u128(3)), Some(3));
    assert_eq!((one.version, three.version, three.members_version), (1, 8, 8));
}

#[test]
fn a_member_takes_the_place_of_another_with_its_tokens_and_address() {
    let two = Metadata::of_members([member(1, Status::Normal), member(2, Status::Normal)], Schema::default());
    let [host, other] = [3, 2].map(Uuid::from_u128);
    let new = Member { host, status: Status::Replacing(other), ..two.members[&2].clone() };
    let join = |member: Member| Change::Join { expected: 1, member: Box::new(member) };
    let refused = [
        Member { rack: "r2".into(), ..new.clone() },
        Member { data_center: "dc2".into(), ..new.clone() },
        Member { internode: two.members[&1].internode, ..new.clone() },
        Member { status: Status::Replacing(Uuid::from_u128(9)), ..new.clone() },
    ];
    for member in refused {
        assert!(matches!(apply(&two, &join(member.clone())), Err(Outcome::Refused(_))), "{member:?}");
    }
    let replacing = apply(&two, &join(new)).unwrap();
    assert_eq!(apply(&replacing, &Change::Cancel(host)).unwrap().members, two.members);
    let ring_of = |metadata: &Metadata| Ring::new(metadata.members.values().cloned().collect::<Vec<_>>());
    let owner = |ring: &Ring| {
        let index = ring.walk(Token(2)).next().unwrap();
        ring.members()[index].host
    };
    let advance = |metadata: &Metadata, from| apply(metadata, &Change::Advance { host, from }).unwrap();
    let before = ring_of(&replacing);
    assert_eq!((owner(&before), owner(&before.other_side())), (other, host));
    let succeeding = advance(&replacing, Status::Replacing(other));
    let behind = ring_of(&succeeding);
    assert_eq!((owner(&behind), owner(&behind.other_side())), (host, other));
    let replaced = advance(&succeeding, Status::Succeeding(other));
    assert_eq!((replaced.member(other), replaced.members[&3].status), (None, Status::Normal));
}

#[test]
fn a_member_moves_to_other_tokens_or_stays_if_that_is_given_up() {
    let two = Metadata::of_members([member(1, Status::Normal), member(2, Status::Normal)], Schema::default());
    let host = Uuid::from_u128(2);
    let to = |tokens: &[i64]| {
        let tokens = tokens.iter().copied().map(Token).collect();
        apply(&two, &Change::Move { host, tokens })
    };
    assert!(matches!(to(&[1]), Err(Outcome::Refused(_))), "the other one has it");
    assert!(matches!(to(&[5, 6]), Err(Outcome::Refused(_))), "it has one");
    let moving = to(&[9]).unwrap();
    let ring_of = |metadata: &Metadata| Ring::new(metadata.members.values().cloned().collect::<Vec<_>>());
    let ends = |ring: &Ring| ring.ends().map(|token| token.0).collect::<Vec<_>>();
    let before = ring_of(&moving);
    assert_eq!((ends(&before), ends(&before.other_side())), (vec![1, 2], vec![1, 9]));
    assert_eq!(apply(&moving, &Change::Cancel(host)).unwrap().members, two.members);
    // The other one is lost in the middle of it.
    let lost = apply(&moving, &Change::Remove(Uuid::from_u128(1))).unwrap();
    assert_eq!((lost.members[&2].status, lost.members[&2].tokens[0].0), (Status::Normal, 2));
    let advance = |metadata: &Metadata, from| apply(metadata, &Change::Advance { host, from }).unwrap();
    let moved = advance(&moving, Status::Moving);
    let behind = ring_of(&moved);
    assert_eq!((ends(&behind), ends(&behind.other_side())), (vec![1, 9], vec![1, 2]));
    let settled = &advance(&moved, Status::Moved).members[&2];
    assert_eq!((settled.status, settled.tokens[0].0, settled.other_tokens.len()), (Status::Normal, 9, 0));
}

#[test]
fn one_that_is_lost_is_removed_at_once_but_for_the_last() {
    let two = Metadata::of_members([member(1, Status::Normal), member(2, Status::Normal)], Schema::default());
    let [one, host] = [1, 2].map(Uuid::from_u128);
    let left = apply(&two, &Change::Assassinate(host)).unwrap();
    assert_eq!((left.members.len(), left.number_of(host)), (1, None));
    assert!(matches!(apply(&left, &Change::Assassinate(one)), Err(Outcome::Refused(_))));
}

#[test]
fn one_that_was_leaving_can_be_removed_and_stays_if_that_is_given_up() {
    let two = Metadata::of_members([member(1, Status::Normal), member(2, Status::Normal)], Schema::default());
    let host = Uuid::from_u128(2);
    let leaving = apply(&two, &Change::Leave(host)).unwrap();
    let removing = apply(&leaving, &Change::Remove(host)).unwrap();
    assert_eq!(removing.members[&2].status, Status::Removing);
    assert_eq!(apply(&removing, &Change::Cancel(host)).unwrap().members, two.members);
    // The other one is lost in the middle of that: nobody would ever take over.
    let other = Uuid::from_u128(1);
    let turned = apply(&removing, &Change::Remove(other)).unwrap();
    let status = |host| turned.member(host).unwrap().status;
    assert_eq!((status(other), status(host)), (Status::Removing, Status::Normal));
}

#[test]
fn a_step_that_was_made_is_not_made_again_and_a_change_can_be_given_up() {
    let one = Metadata::of_members([member(1, Status::Normal)], Schema::default());
    let (two, host) = (join(&one, 2).unwrap(), Uuid::from_u128(2));
    let advance = Change::Advance { host, from: Status::Arriving };
    assert!(matches!(apply(&two, &advance), Err(Outcome::Refused(_))));
    assert_eq!(apply(&two, &Change::Cancel(host)).unwrap().members, one.members);
}

#[test]
fn what_was_worked_out_against_other_members_conflicts() {
    let one = Metadata::of_members([member(1, Status::Normal)], Schema::default());
    let member = Box::new(member(2, Status::Joining));
    assert_eq!(apply(&one, &Change::Join { expected: 0, member }), Err(Outcome::Conflict));
}

#[test]
fn who_is_behind_is_told_so_and_nothing_changes() {
    let one = Metadata::of_members([member(1, Status::Normal)], Schema::default());
    let confirm = |metadata: &Metadata, members| apply(metadata, &Change::Confirm { epoch: 0, members });
    let same = confirm(&one, 1).unwrap();
    assert_eq!((&same.members, same.members_version, same.version), (&one.members, 1, 2));
    assert_eq!(confirm(&join(&one, 2).unwrap(), 1), Err(Outcome::Conflict));
    assert_eq!(apply(&one, &Change::Confirm { epoch: 1, members: 1 }), Err(Outcome::Conflict));
}

#[test]
fn the_last_owner_cannot_be_removed_and_an_address_is_taken_once() {
    let one = Metadata::of_members([member(1, Status::Normal)], Schema::default());
    assert!(matches!(apply(&one, &Change::Leave(Uuid::from_u128(1))), Err(Outcome::Refused(_))));
    let mut other = member(2, Status::Joining);
    other.internode = one.members[&1].internode;
    let change = Change::Join { expected: 1, member: Box::new(other) };
    assert!(matches!(apply(&one, &change), Err(Outcome::Refused(_))));
}

fn keyspace(name: &str, copies: &str) -> SchemaChange {
    SchemaChange::PutKeyspace(Keyspace {
        name: name.into(),
        replication: Options::from([("replication_factor".to_owned(), copies.to_owned())]),
        durable_writes: true,
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
    })
}

#[test]
fn replicas_do_not_change_by_the_schema_while_they_change_by_the_members() {
    let one = Metadata::of_members([member(1, Status::Normal)], Schema::default());
    let put = |metadata: &Metadata, copies: &str, while_members_stay: bool| {
        let (expected_epoch, changes) = (metadata.schema.epoch, vec![keyspace("ks", copies)]);
        apply(metadata, &Change::Schema { expected_epoch, changes, while_members_stay })
    };
    let created = put(&one, "1", false).unwrap();
    let joining = join(&created, 2).unwrap();
    let refused = put(&joining, "3", true);
    assert!(
        matches!(&refused, Err(Outcome::Busy(reason)) if reason.contains("127.0.0.2:7000")),
        "{refused:?}"
    );
    assert!(put(&joining, "1", false).is_ok(), "nothing else has to wait");
    let host = Uuid::from_u128(2);
    let advance = |metadata: &Metadata, from| apply(metadata, &Change::Advance { host, from }).unwrap();
    let arriving = advance(&joining, Status::Joining);
    assert!(matches!(put(&arriving, "3", true), Err(Outcome::Busy(_))));
    let joined = advance(&arriving, Status::Arriving);
    let altered = put(&joined, "3", true).unwrap();
    assert_eq!(altered.schema.keyspaces["ks"].replication["replication_factor"], "3");
    // Whoever joins behind that does so by the replication as it is then.
    assert_eq!(join(&altered, 3).unwrap().schema, altered.schema);
}

#[test]
fn a_change_of_the_schema_from_before_members_were_looked_at_is_applied_as_it_was() {
    let one = Metadata::of_members([member(1, Status::Normal)], Schema::default());
    let old = r#"{"Schema":{"expected_epoch":0,"changes":[]}}"#;
    let change: Change = serde_json::from_str(old).unwrap();
    assert_eq!(apply(&join(&one, 2).unwrap(), &change).unwrap().schema.epoch, 1);
    assert_eq!(serde_json::to_string(&change).unwrap(), old);
}
