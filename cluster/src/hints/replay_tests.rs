use super::super::settings::{Counts, HintSettings, Lookup};
use super::*;
use crate::transport::{Handler, Introduction, Link, Peer, serve};
use dodona_env::Env;
use dodona_env::net::BoxFuture;
use dodona_types::{MutationBuilder, TableId};
use parking_lot::Mutex;
use std::path::Path;

const TABLE: TableId = TableId(Uuid::from_u128(7));
const DROPPED: TableId = TableId(Uuid::from_u128(8));
const OTHER_TABLE: TableId = TableId(Uuid::from_u128(9));
const TARGET: Uuid = Uuid::from_u128(2);

/// A member that notes the keys of what it is given.
#[derive(Default)]
struct Member {
    keys: Mutex<Vec<u8>>,
    /// It refuses this key.
    refused: Mutex<Option<u8>>,
    /// Where it makes a hint whenever it gets one.
    makes_hints: Mutex<Option<Hints>>,
    /// What else it does when it gets the next one.
    does_once: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Where it keeps hints for others.
    keeps: Mutex<Option<Hints>>,
}

impl Handler for Member {
    fn handle(self: Arc<Self>, _: Peer, body: Body) -> BoxFuture<'static, Body> {
        let mutation = match body {
            Body::Mutate(mutation) => mutation,
            Body::KeepHints(bytes) => {
                let keeper = self.keeps.lock().clone().unwrap();
                return Box::pin(async move {
                    let kept = keeper.keep(bytes).await;
                    kept.map_or_else(|error| Body::Failed(error.to_string()), |()| Body::Mutated)
                });
            }
            other => panic!("{other:?}"),
        };
        let key = MutationView::parse(&mutation).unwrap().key.bytes[0];
        if let Some(work) = self.does_once.lock().take() {
            work();
        }
        let answer = if *self.refused.lock() == Some(key) {
            Body::Failed("no".into())
        } else {
            self.keys.lock().push(key);
            if let Some(hints) = &*self.makes_hints.lock() {
                assert!(hints.write(TARGET, &mutation));
                hints.sync().unwrap();
            }
            Body::Mutated
        };
        Box::pin(async move { answer })
    }
}

struct World {
    env: Env,
    hints: Hints,
    member: Arc<Member>,
    address: SocketAddr,
    peers: Peers,
}

impl World {
    async fn new(folder: &Path) -> Self {
        let env = dodona_env::os::env(folder).unwrap();
        let member = Arc::new(Member::default());
        let listener = env.net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let cluster = Uuid::from_u128(9);
        let there = Link::plain(env.clone(), Introduction::new(cluster, TARGET));
        env.tasks.spawn_local(serve(there, address, member.clone()).await.unwrap());
        let peers = Peers::new(Link::plain(env.clone(), Introduction::new(cluster, Uuid::from_u128(1))));
        Self { hints: hints(&env), env, member, address, peers }
    }

    fn write(&self, keys: impl IntoIterator<Item = u8>) {
        for key in keys {
            assert!(self.hints.write(TARGET, &mutation(TABLE, key)));
        }
    }

    async fn deliver(&self) -> Result<u64, ClusterError> {
        self.hints.deliver(TARGET, To::Peer(self.address, &self.peers)).await
    }

    fn keys(&self) -> Vec<u8> {
        std::mem::take(&mut self.member.keys.lock())
    }
}

fn lookup() -> Lookup {
    Lookup {
        gc_grace: Arc::new(|table| [TABLE, OTHER_TABLE].contains(&table).then_some(864_000)),
        data_center: Arc::new(|_| None),
    }
}

fn hints(env: &Env) -> Hints {
    let settings = HintSettings { delivered_bytes_per_second: 1 << 40, ..HintSettings::default() };
    Hints::open(env.clone(), settings, lookup()).unwrap()
}

fn mutation(table: TableId, key: u8) -> Vec<u8> {
    let mut builder = MutationBuilder::new();
    builder.begin(table, 1, &[key; 3_000]);
    builder.view().bytes().to_vec()
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let folder = tempfile::tempdir().unwrap();
    crate::testing::run(async { test(World::new(folder.path()).await).await });
}

#[test]
fn hints_are_delivered_in_their_order_and_their_files_removed() {
    run(async |world| {
        assert_eq!(world.deliver().await.unwrap(), 0);
        world.write(0..100);
        world.hints.sync().unwrap();
        world.write(100..200);
        assert_eq!(world.deliver().await.unwrap(), 200);
        assert_eq!(world.keys(), (0..200).collect::<Vec<u8>>());
        assert!(world.hints.pending().is_empty());
        assert!(world.env.disk.list("hints").unwrap().is_empty());
        assert_eq!(world.hints.counts(), Counts { written: 200, delivered: 200, ..Counts::default() });
    });
}

#[test]
fn a_delivery_stops_where_the_target_fails_and_the_next_one_goes_on_there() {
    run(async |world| {
        world.write(0..200);
        *world.member.refused.lock() = Some(150);
        assert!(world.deliver().await.is_err());
        let first = world.keys();
        assert!(first.starts_with(&(0..100).collect::<Vec<u8>>()) && first.len() < 199);
        *world.member.refused.lock() = None;
        let delivered = world.deliver().await.unwrap();
        let second = world.keys();
        assert_eq!(second.last(), Some(&199));
        assert!(second[0] > 40 && second[0] <= 150 && second.len() as u64 == delivered, "{second:?}");
    });
}

#[test]
fn a_pause_ends_a_delivery_and_the_next_one_goes_on_there() {
    run(async |world| {
        world.write(0..200);
        let hints = world.hints.clone();
        *world.member.does_once.lock() = Some(Box::new(move || hints.switches().pause(true)));
        let first = world.deliver().await.unwrap();
        assert!((1..200).contains(&first), "{first}");
        assert_eq!(world.deliver().await.unwrap(), 0);
        assert_eq!(world.keys().len() as u64, first);
        world.hints.switches().pause(false);
        assert_eq!(world.deliver().await.unwrap(), 200 - first);
        assert_eq!(world.keys(), (first as u8..200).collect::<Vec<u8>>());
    });
}

#[test]
fn what_is_dropped_is_not_delivered_on_nor_there_after_a_restart() {
    run(async |world| {
        world.write(0..200);
        let of_world = world.hints.clone();
        *world.member.does_once.lock() = Some(Box::new(move || of_world.forget(TARGET)));
        let first = world.deliver().await.unwrap();
        assert!((1..200).contains(&first), "{first}");
        world.write(0..5);
        world.hints.sync().unwrap();
        world.hints.truncate(Some(vec![Uuid::from_u128(3)])).await.unwrap();
        assert_eq!(world.hints.pending().len(), 1, "another one's");
        world.hints.truncate(None).await.unwrap();
        assert!(world.env.disk.list("hints").unwrap().is_empty());
        assert!(hints(&world.env).pending().is_empty());
        assert_eq!(world.deliver().await.unwrap(), 0);
    });
}

#[test]
fn a_delivery_that_a_restart_ended_goes_on_after_it() {
    run(async |mut world| {
        for keys in [0..10, 10..20] {
            world.write(keys);
            world.hints.inner.sync(|target| target == TARGET).unwrap();
        }
        *world.member.refused.lock() = Some(15);
        assert!(world.deliver().await.is_err());
        world.keys();
        *world.member.refused.lock() = None;
        world.hints = hints(&world.env);
        assert_eq!(world.deliver().await.unwrap(), 10);
        assert_eq!(world.keys(), (10..20).collect::<Vec<u8>>());
    });
}

#[test]
fn hints_made_meanwhile_are_left_to_the_next_delivery() {
    run(async |world| {
        world.write(0..5);
        *world.member.makes_hints.lock() = Some(world.hints.clone());
        assert_eq!(world.deliver().await.unwrap(), 5);
        *world.member.makes_hints.lock() = None;
        world.keys();
        assert_eq!(world.deliver().await.unwrap(), 5);
        assert_eq!(world.keys(), (0..5).collect::<Vec<u8>>());
        assert!(world.hints.pending().is_empty());
    });
}

#[test]
fn what_is_too_old_or_of_a_dropped_table_is_not_delivered() {
    run(async |mut world| {
        world.hints.inner.env.disk.create_dir_all("hints").unwrap();
        let now = world.env.clock.wall_seconds();
        let mut file = format::Header { target: TARGET, created_seconds: now }.encode();
        let hints_made = [
            (now - 864_000, 900_000, mutation(TABLE, 1)),
            (now - 500, 400, mutation(TABLE, 2)),
            (now, 864_000, mutation(DROPPED, 3)),
            (now - 500, 600, mutation(TABLE, 4)),
        ];
        for (written_seconds, gc_grace_seconds, mutation) in hints_made {
            let mutation = mutation.into();
            format::put_hint(&mut file, &Hint { written_seconds, gc_grace_seconds, mutation });
        }
        world.env.disk.replace("hints/x.9.hints", &file).unwrap();
        world.hints = hints(&world.env);
        assert_eq!(world.deliver().await.unwrap(), 1);
        assert_eq!((world.keys(), world.hints.counts().expired), (vec![4], 3));
    });
}

#[test]
fn a_damaged_file_is_set_aside_and_the_others_are_delivered() {
    run(async |mut world| {
        for keys in [0..3, 3..6, 6..9] {
            world.write(keys);
            world.hints.inner.sync(|target| target == TARGET).unwrap();
        }
        let paths = world.env.disk.list("hints").unwrap();
        let path = format!("hints/{}", paths[1]);
        let mut bytes = world.env.disk.read(&path).unwrap();
        bytes[5_000] ^= 1;
        world.env.disk.replace(&path, &bytes).unwrap();
        world.hints = hints(&world.env);
        assert_eq!(world.deliver().await.unwrap(), 7);
        assert_eq!((world.keys(), world.hints.counts().damaged_files), (vec![0, 1, 2, 3, 6, 7, 8], 1));
        assert_eq!(world.env.disk.list("hints").unwrap(), [format!("{}.damaged", paths[1])]);
    });
}

#[test]
fn one_delivery_to_a_target_runs_at_a_time() {
    run(async |world| {
        world.write(0..3);
        assert!(world.hints.inner.waiting.lock().begin_delivery(TARGET));
        assert_eq!(world.deliver().await.unwrap(), 0);
        world.hints.inner.waiting.lock().end_delivery(TARGET);
        assert_eq!(world.deliver().await.unwrap(), 3);
    });
}

#[test]
fn hints_of_a_table_that_is_truncated_do_not_come_back_after_a_restart_either() {
    run(async |mut world| {
        let before = world.hints.era();
        world.write(0..3);
        world.hints.sync().unwrap();
        world.write(3..5);
        assert!(world.hints.write(TARGET, &mutation(OTHER_TABLE, 7)));
        world.hints.void(TABLE).await.unwrap();
        assert!(world.hints.is_void(&mutation(TABLE, 1), before), "its write was under way");
        assert!(!world.hints.is_void(&mutation(TABLE, 1), world.hints.era()));
        assert!(!world.hints.is_void(&mutation(OTHER_TABLE, 1), before));
        world.write(8..9);
        world.hints.sync().unwrap();
        world.hints = hints(&world.env);
        world.write(9..10);
        assert_eq!(world.deliver().await.unwrap(), 3);
        assert_eq!(world.keys(), [7, 8, 9]);
        // Numbers begin anew once no file is left: nothing may count as void then.
        assert!(world.hints.pending().is_empty());
        world.hints = hints(&world.env);
        world.write(10..11);
        assert_eq!(world.deliver().await.unwrap(), 1);
        assert_eq!(world.keys(), [10]);
    });
}

#[test]
fn another_member_keeps_hints_on_its_disk_and_delivers_them_as_old_as_they_are() {
    const AWAY: Uuid = Uuid::from_u128(3);
    run(async |world| {
        let folder = tempfile::tempdir().unwrap();
        let env = dodona_env::os::env(folder.path()).unwrap();
        let full = HintSettings { max_bytes: 10_000, ..HintSettings::default() };
        let full = Hints::open(env.clone(), full, lookup()).unwrap();
        *world.member.keeps.lock() = Some(full);
        for key in 0..100 {
            assert!(world.hints.write(AWAY, &mutation(TABLE, key)));
        }
        let before = world.hints.pending()[&AWAY].oldest_seconds;
        let hand_on = || world.hints.deliver(AWAY, To::Keeper(world.address, &world.peers));
        let refused = hand_on().await.unwrap_err().to_string();
        assert!(refused.contains("no room for hints"), "{refused}");
        assert_eq!(world.hints.pending()[&AWAY].files, 1, "nothing is lost by that");
        env.disk
            .list("hints")
            .unwrap()
            .iter()
            .for_each(|name| env.disk.remove(&format!("hints/{name}")).unwrap());
        *world.member.keeps.lock() = Some(hints(&env));
        assert_eq!(hand_on().await.unwrap(), 100);
        assert!(world.hints.pending().is_empty());
        assert_eq!(world.hints.counts(), Counts { written: 100, handed_on: 100, ..Counts::default() });
        // Its memory is lost.
        let keeper = hints(&env);
        assert_eq!(keeper.pending()[&AWAY].oldest_seconds, before);
        assert_eq!(keeper.deliver(AWAY, To::Peer(world.address, &world.peers)).await.unwrap(), 100);
        assert_eq!(world.keys(), (0..100).collect::<Vec<u8>>());
        let malformed = keeper.keep(vec![0; 40]).await.unwrap_err().to_string();
        assert!(malformed.contains("malformed"), "{malformed}");
    });
}
