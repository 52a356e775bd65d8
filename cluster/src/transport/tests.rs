use super::queue::Outstanding;
use super::*;
use crate::testing::run_in_folder;
use dodona_env::net::Stream;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn link(env: &Env, host: u128) -> Link {
    let introduction = Introduction::new(Uuid::from_u128(9), Uuid::from_u128(host));
    Link::plain(env.clone(), introduction)
}

/// Answers one request of a connection, and closes it.
async fn answer_one(there: &Link, stream: Box<dyn Stream>) {
    let (mut reader, mut writer, _) = there.meet(stream).await.unwrap();
    let (Message { id, .. }, _) = read_message(&mut reader).await.unwrap();
    let (answers, mut queue) = mpsc::channel(1);
    let message = Message { id, patience_micros: 0, members: 0, notes: None, body: Body::Mutated };
    let queued = Queued { message, deadline: Duration::MAX, room: None };
    assert!(answers.send(queued).await.is_ok());
    drop(answers);
    write_queue(&mut writer, &mut queue, &*there.env.clock, |_, _, _| {}).await;
}

/// Answers one request on each connection to an address.
async fn answer_at(env: &Env, address: SocketAddr) -> SocketAddr {
    let listener = env.net.listen(address).await.unwrap();
    let (address, there) = (listener.local_addr().unwrap(), link(env, 2));
    env.tasks.spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer_one(&there, stream).await;
        }
    });
    address
}

/// An address at which nobody listens.
pub(super) async fn nobody(env: &Env) -> SocketAddr {
    let listener = env.net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_connection_that_the_peer_closed_is_opened_again_before_anything_is_asked_on_it() {
    run_in_folder(async |env| {
        let address = answer_at(&env, SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let peers = Peers::new(link(&env, 1));
        for _ in 0..3 {
            assert_eq!(peers.ask(address, Body::Mutated, PATIENCE).await.unwrap(), Body::Mutated);
            let is_closed =
                || peers.connections.lock().values().all(|connection| connection.queue.is_closed());
            let closed = async {
                while !is_closed() {
                    dodona_env::clock::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(PATIENCE, closed).await.expect("it is seen to be closed");
        }
        let counts = peers.link().traffic.outbound(address).unwrap();
        let (sent, bytes) = counts.sent.get();
        assert!(sent == 3 && bytes > 3 * 27, "{sent}: {bytes}");
        let read = |count: &AtomicU64| count.load(Relaxed);
        assert_eq!((read(&counts.attempts), read(&counts.connected), read(&counts.open)), (3, 3, 0));
        assert_eq!((read(&counts.refused), read(&counts.failed)), (0, 0));
    });
}

#[test]
fn a_peer_that_is_not_reached_is_tried_again_less_and_less_often() {
    run_in_folder(async |env| {
        let address = nobody(&env).await;
        let peers = Peers::new(link(&env, 1));
        let began = env.clock.mono();
        let mut asked = 0;
        while env.clock.mono() - began < Duration::from_millis(300) {
            assert!(peers.ask(address, Body::Mutated, PATIENCE).await.is_err());
            asked += 1;
            tokio::task::yield_now().await;
        }
        // 10, 20, 40, 80 and 160 ms behind the first.
        let counts = peers.link().traffic.outbound(address).unwrap();
        let attempts = counts.attempts.load(Relaxed);
        assert!((2..=6).contains(&attempts) && asked > 100, "{attempts} of {asked}");
        assert_eq!((counts.failed.load(Relaxed), counts.connected.load(Relaxed)), (asked, 0));
        // Once it is there it is reached within the longest pause, and what failed before is forgotten.
        answer_at(&env, address).await;
        let reached = async {
            while peers.ask(address, Body::Mutated, PATIENCE).await.is_err() {
                dodona_env::clock::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(2 * LONGEST_PAUSE, reached).await.expect("it is reached");
        assert!(peers.pauses.lock().is_empty());
    });
}

#[test]
fn a_peer_that_is_reached_for_gossip_is_tried_at_once_for_data() {
    run_in_folder(async |env| {
        let address = nobody(&env).await;
        let peers = Peers::new(link(&env, 1));
        // As long as pauses become.
        while peers.pauses.lock().values().all(|pause| pause.lasts < LONGEST_PAUSE) {
            assert!(peers.ask(address, Body::Mutated, PATIENCE).await.is_err());
            dodona_env::clock::sleep(Duration::from_millis(1)).await;
        }
        answer_at(&env, address).await;
        assert!(peers.ask(address, Body::Mutated, PATIENCE).await.is_err(), "the pause is not over");
        peers.ask(address, Body::Gossip(Vec::new()), PATIENCE).await.unwrap();
        peers.ask(address, Body::Mutated, PATIENCE).await.unwrap();
    });
}

/// Listens, and does with the first connection what is to be done once both sides are introduced.
pub(super) async fn listen<W: Future<Output = ()> + 'static>(
    there: Link,
    work: impl FnOnce(Reading, Writing) -> W + 'static,
) -> SocketAddr {
    let listener = there.env.net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    there.env.tasks.clone().spawn_local(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (reader, writer, _) = there.meet(stream).await.unwrap();
        work(reader, writer).await;
    });
    address
}

#[test]
fn what_waits_for_a_peer_that_reads_nothing_is_bounded_in_bytes() {
    run_in_folder(async |env| {
        let address = listen(link(&env, 2), async |reader, writer| {
            std::future::pending::<()>().await;
            drop((reader, writer));
        })
        .await;
        let peers = Peers::new(link(&env, 1));
        let (megabyte, patience) = (vec![7; 1 << 20], Duration::from_millis(500));
        let asked = (0..100).map(|_| peers.ask(address, Body::Mutate(megabyte.clone()), patience));
        let all = futures_util::future::join_all(asked).await;
        let refused = all.iter().filter(|said| said.as_ref().unwrap_err().to_string().contains("no more"));
        // 64 MiB, with what each takes besides.
        assert_eq!(refused.count(), 100 - 63);
        let counts = peers.link().traffic.outbound(address).unwrap();
        assert_eq!((counts.refused.load(Relaxed), counts.attempts.load(Relaxed)), (37, 1));
        assert_eq!(counts.outstanding.each_ref().map(Outstanding::bytes), [0; 3]);
    });
}

#[test]
fn what_nobody_waits_for_any_more_is_not_sent() {
    run_in_folder(async |env| {
        let (reads, may_read) = oneshot::channel::<()>();
        let (told, received) = oneshot::channel();
        let address = listen(link(&env, 2), async move |mut reader, writer| {
            may_read.await.unwrap();
            let mut messages = Vec::new();
            for _ in 0..2 {
                let (message, _) = read_message(&mut reader).await.unwrap();
                messages.push((message.body.bytes(), Duration::from_micros(message.patience_micros)));
            }
            told.send(messages).unwrap();
            drop(writer);
        })
        .await;
        let peers = Peers::new(link(&env, 1));
        // More than the operating system keeps.
        let (large, small) = (vec![7; 32 << 20], vec![7; 100 << 10]);
        // Nobody waits for the first of the others when its turn comes.
        let first = peers.ask(address, Body::Mutate(large), PATIENCE);
        let others = async {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
            let late = peers.ask(address, Body::Mutate(small.clone()), Duration::from_millis(50));
            let patient = peers.ask(address, Body::Mutate(small.clone()), PATIENCE);
            let read = async {
                dodona_env::clock::sleep(Duration::from_millis(200)).await;
                reads.send(()).unwrap();
                received.await.unwrap()
            };
            let (late, received) = tokio::select! {
                biased;
                _ = patient => panic!("nobody answers"),
                both = futures_util::future::join(late, read) => both,
            };
            assert!(late.unwrap_err().to_string().contains("did not answer in time"));
            received
        };
        let received = tokio::select! {
            biased;
            _ = first => panic!("nobody answers"),
            received = others => received,
        };
        let bytes: Vec<usize> = received.iter().map(|(bytes, _)| *bytes).collect();
        assert_eq!(bytes, [32 << 20, 100 << 10]);
        assert!(
            received[1].1 < PATIENCE - Duration::from_millis(200),
            "how long it waited counts: {received:?}"
        );
        assert_eq!(peers.link().traffic.outbound(address).unwrap().expired.load(Relaxed), 1);
    });
}
