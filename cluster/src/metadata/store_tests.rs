use super::super::state::tests::member;
use super::*;
use dodona_types::schema::{Keyspace, Options};
use openraft::EmptyNode;
use uuid::Uuid;

type Payload = EntryPayload<Change, u64, EmptyNode>;

/// What comes of the next entry.
fn apply(base: &mut Base, payload: Payload) -> Outcome {
    let index = base.applied.map_or(1, |applied| applied.index) + 1;
    apply_entry(base, &Entry::new(LogId::new_term_index(1, index), payload))
}

fn base(members: [Member; 4]) -> Base {
    base_of(Metadata::of_members(members, Schema::default()), &[1, 2, 3], true)
}

fn goes(number: u8, from: Status) -> Payload {
    EntryPayload::Normal(Change::Advance { host: Uuid::from_u128(number.into()), from })
}

fn vote(groups: &[&[u64]]) -> Payload {
    let groups = groups.iter().map(|group| group.iter().copied().collect()).collect();
    EntryPayload::Membership(Membership::new_with_defaults(groups, []))
}

#[test]
fn a_member_goes_once_it_does_not_vote_any_more() {
    let mut base = base([1, 2, 3, 4].map(|number| member(number, Status::Normal)));
    let leaves = EntryPayload::Normal(Change::Leave(Uuid::from_u128(3)));
    assert!(matches!(apply(&mut base, leaves), Outcome::Applied(_)));
    assert!(matches!(apply(&mut base, goes(3, Status::Leaving)), Outcome::Busy(_)));
    // Until both groups have agreed, either may be asked.
    apply(&mut base, vote(&[&[1, 2, 3], &[1, 2, 4]]));
    assert!(matches!(apply(&mut base, goes(3, Status::Leaving)), Outcome::Busy(_)));
    apply(&mut base, vote(&[&[1, 2, 4]]));
    assert!(matches!(apply(&mut base, goes(3, Status::Leaving)), Outcome::Applied(_)));
    // A change of who votes may have been under way.
    apply(&mut base, vote(&[&[1, 2, 3]]));
    assert!(matches!(apply(&mut base, goes(3, Status::Departing)), Outcome::Busy(_)));
    apply(&mut base, vote(&[&[1, 2, 4]]));
    assert!(matches!(apply(&mut base, goes(3, Status::Departing)), Outcome::Applied(_)));
}

#[test]
fn a_member_that_is_replaced_goes_once_it_does_not_vote_any_more() {
    let succeeding = Status::Succeeding(Uuid::from_u128(2));
    let [first, lost, third] = [1, 2, 3].map(|number| member(number, Status::Normal));
    let mut base = base([first, lost, third, member(4, succeeding)]);
    assert!(matches!(apply(&mut base, goes(4, succeeding)), Outcome::Busy(_)));
    apply(&mut base, vote(&[&[1, 3, 4]]));
    assert!(matches!(apply(&mut base, goes(4, succeeding)), Outcome::Applied(_)));
}

fn keyspace(name: &str) -> Payload {
    let changes = vec![SchemaChange::PutKeyspace(Keyspace {
        name: name.into(),
        replication: Options::default(),
        durable_writes: true,
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
    })];
    EntryPayload::Normal(Change::Schema { expected_epoch: 0, changes, while_members_stay: false })
}

/// The log of three members that vote, with two entries that are not known to be agreed on, and a vote in a later term.
fn begun(directory: &std::path::Path) -> Store {
    let disk = dodona_env::os::env(directory).unwrap().disk;
    let members = [1, 2, 3].map(|number| member(number, Status::Normal));
    let metadata = Metadata::of_members(members, Schema::default());
    let store = Store::create(disk, metadata, &[1, 2, 3], false).unwrap();
    let entry = |index, payload| Entry::new(LogId::new_term_index(1, index), payload);
    store.append(vec![entry(2, vote(&[&[1, 2]])), entry(3, keyspace("ks"))]).unwrap();
    store.save_vote(Vote::new(7, 2)).unwrap();
    store
}

#[test]
fn a_survivor_goes_on_alone_with_all_that_it_has_beyond_what_others_can_come_to() {
    let directory = tempfile::tempdir().unwrap();
    let store = begun(directory.path());
    store.recover(3).unwrap();
    let disk = dodona_env::os::env(directory.path()).unwrap().disk;
    let at = 3 + BEYOND + 3 * BETWEEN_MEMBERS;
    for store in [store, Store::open(disk, &member(3, Status::Normal)).unwrap()] {
        let metadata = store.metadata();
        assert_eq!(
            (store.applied_voters(), store.quorums()),
            (BTreeSet::from([3]), vec![BTreeSet::from([3])])
        );
        assert!(metadata.schema.keyspaces.contains_key("ks"));
        assert_eq!((metadata.version, metadata.recovery, metadata.members.len()), (at, (1 << 32) + 3, 3));
        assert_eq!(store.vote().unwrap(), Vote::new_committed(7 + BEYOND, 3));
        let last = LogId::new_term_index(7 + BEYOND, at);
        assert_eq!((store.bounds(), store.applied().0), ((Some(last), Some(last)), Some(last)));
        assert!(store.entries(..).is_empty());
    }
}

#[test]
fn whoever_hears_of_a_recovery_gives_up_its_log_and_nobody_goes_back_behind_it() {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (recovered, store) = (begun(one.path()), begun(other.path()));
    recovered.recover(3).unwrap();
    assert!(store.takes_part(2));
    store.replace(recovered.metadata()).unwrap();
    assert_eq!(store.metadata(), recovered.metadata());
    assert!(!store.takes_part(2) && store.entries(..).is_empty() && store.bounds() == (None, None));
    assert_eq!(store.vote().unwrap(), Vote::new(7, 2), "others remember its term");
    let old = Metadata { version: u64::MAX, recovery: 0, ..Metadata::clone(&store.metadata()) };
    store.replace(Arc::new(old)).unwrap();
    assert_eq!(store.metadata(), recovered.metadata());
}

#[test]
fn of_two_survivors_that_went_on_alone_one_gives_up() {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (second, third) = (begun(one.path()), begun(other.path()));
    second.recover(2).unwrap();
    third.recover(3).unwrap();
    let later = third.metadata();
    assert!(later.version > second.metadata().version, "so that it is heard of");
    third.replace(second.metadata()).unwrap();
    assert_eq!((third.metadata(), third.applied_voters()), (Arc::clone(&later), BTreeSet::from([3])));
    second.replace(Arc::clone(&later)).unwrap();
    assert_eq!((second.metadata(), second.applied_voters()), (later, BTreeSet::new()));
}

/// The records of a log, one a line, as they are written since this version of the file.
const GOLDEN: &str = include_str!("../../tests/golden/metadata_log.jsonl");

#[test]
fn a_log_has_these_records() {
    let directory = tempfile::tempdir().unwrap();
    let store = begun(directory.path());
    let [first, second] = [2, 3].map(|index| store.entries(index..=index));
    store.apply(&first).unwrap();
    store.apply(&second).unwrap();
    store.append(vec![Entry::new(LogId::new_term_index(7, 4), EntryPayload::Blank)]).unwrap();
    store.truncate_after(Some(3)).unwrap();
    store.purge(LogId::new_term_index(1, 2)).unwrap();
    let env = dodona_env::os::env(directory.path()).unwrap();
    let bytes = env.disk.read(FILE).unwrap();
    assert_eq!(bytes[..10], *b"DODONAML\x03\0");
    let records = journal::read(&FORMAT, FILE, &bytes).unwrap();
    let lines: Vec<&str> = records.iter().map(|(_, payload)| std::str::from_utf8(payload).unwrap()).collect();
    assert_eq!(lines.join("\n") + "\n", GOLDEN);
}

/// A disk with a log of these records.
fn with_records(directory: &std::path::Path, records: impl IntoIterator<Item = Vec<u8>>) -> Arc<dyn Disk> {
    let disk = dodona_env::os::env(directory).unwrap().disk;
    disk.create_dir_all(DIRECTORY).unwrap();
    drop(Journal::begin(&*disk, &FORMAT, FILE, records).unwrap());
    disk
}

#[test]
fn a_log_of_golden_records_is_read_and_one_with_more_of_a_later_release_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let golden = || GOLDEN.lines().map(|line| line.as_bytes().to_vec());
    let disk = with_records(directory.path(), golden());
    let store = Store::open(disk, &member(1, Status::Normal)).unwrap();
    let metadata = store.metadata();
    assert_eq!((metadata.version, metadata.members.len()), (3, 3));
    assert!(metadata.schema.keyspaces.contains_key("ks"));
    assert_eq!(store.vote().unwrap(), Vote::new(7, 2));
    assert_eq!(store.applied_voters(), BTreeSet::from([1, 2]));
    let at = |index| Some(LogId::new_term_index(1, index));
    assert_eq!(store.bounds(), (at(2), at(3)));
    let later = [
        r#"{"Signed":[]}"#,
        r#"{"Entries":[{"log_id":{"leader_id":7,"index":4},"payload":{"Normal":{"Merge":1}}}]}"#,
    ];
    for record in later {
        let disk = with_records(directory.path(), golden().chain([record.as_bytes().to_vec()]));
        let refused = Store::open(disk, &member(1, Status::Normal)).map(drop).unwrap_err().to_string();
        assert!(refused.contains(FILE) && refused.contains("a later one has written it"), "{refused}");
    }
}
