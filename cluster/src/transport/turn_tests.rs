//! Large messages do not hold up small ones on their connection.

use super::tests::{link, nobody};
use super::wire::split;
use super::*;
use crate::testing::run_in_folder;
use std::sync::atomic::AtomicUsize;

const PATIENCE: Duration = Duration::from_secs(20);
/// More than goes into what the operating system keeps, so that most of what is asked for waits in the node.
const ANSWER_BYTES: usize = 8 << 20;

fn queued(id: u64, bytes: usize) -> Queued {
    let message =
        Message { id, patience_micros: 0, members: 0, notes: None, body: Body::Found(vec![7; bytes]) };
    Queued { message, deadline: Duration::MAX, room: None }
}

#[test]
fn large_messages_go_one_at_a_time_and_small_ones_that_have_come_meanwhile_before_the_next() {
    run_in_folder(async |env| {
        let (here, there) = tokio::io::duplex(4 << 10);
        let (mut reader, _writer) = split(Box::new(there), &env.clock);
        let (unread, mut writer) = split(Box::new(here), &env.clock);
        let (queue, mut messages) = mpsc::channel(100);
        let large = LARGE_BYTES + 1;
        for (id, bytes) in [(1, large), (2, 10), (3, 2 * large), (4, LARGE_BYTES), (5, large), (6, 10)] {
            assert!(queue.send(queued(id, bytes)).await.is_ok());
        }
        let clock = Arc::clone(&env.clock);
        env.tasks.spawn_local(async move {
            write_queue(&mut writer, &mut messages, &*clock, |_, _, _| {}).await;
            drop(unread);
        });
        let mut order = Vec::new();
        for place in 0..8 {
            order.push(read_message(&mut reader).await.unwrap().0.id);
            if place == 2 {
                // The first large one is under way.
                assert!(queue.send(queued(7, 10)).await.is_ok());
            } else if place == 4 {
                assert!(queue.send(queued(8, 10)).await.is_ok());
            }
        }
        assert_eq!(order, [2, 4, 6, 1, 7, 3, 8, 5]);
        drop(queue);
        assert!(read_message(&mut reader).await.is_err(), "there is no more, and the connection ends");
    });
}

/// Answers a request that is not empty with a large answer.
struct Answering;

impl Handler for Answering {
    fn handle(self: Arc<Self>, _: Peer, body: Body) -> BoxFuture<'static, Body> {
        let bytes = if body.bytes() == 0 { 10 } else { ANSWER_BYTES };
        Box::pin(std::future::ready(Body::Found(vec![7; bytes])))
    }
}

#[test]
fn a_small_answer_does_not_wait_for_all_large_ones() {
    run_in_folder(async |env| {
        let node = nobody(&env).await;
        let served = serve(link(&env, 2), node, Arc::new(Answering)).await.unwrap();
        env.tasks.spawn_local(served);
        let peers = Peers::new(link(&env, 1));
        let (arrived, all) = (AtomicUsize::new(0), 24);
        let large = (0..all).map(|_| async {
            let answer = peers.ask(node, Body::Read(vec![1]), PATIENCE).await.unwrap();
            assert_eq!(answer.bytes(), ANSWER_BYTES);
            arrived.fetch_add(1, Relaxed);
        });
        let small = async {
            let mut waits = Vec::new();
            while arrived.load(Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            while arrived.load(Relaxed) < all / 2 {
                let (before, began) = (arrived.load(Relaxed), env.clock.mono());
                peers.ask(node, Body::Read(Vec::new()), PATIENCE).await.unwrap();
                waits.push((arrived.load(Relaxed) - before, env.clock.mono() - began));
            }
            waits
        };
        let (_, waits) = tokio::join!(futures_util::future::join_all(large), small);
        println!("large answers that went before a small one, and how long it took: {waits:?}");
        // All eight that wait would go before it; now what is being written does, and what the operating system has of others.
        assert!(waits.len() >= 4 && waits.iter().all(|(before, _)| *before < 7), "{waits:?}");
    });
}
