//! Requests that waited in the node for longer than whoever asked has patience are not begun.

use super::tests::{link, nobody};
use super::*;
use crate::message::MAX_FRAME_BYTES;
use crate::testing::run_in_folder;
use tokio::sync::Notify;

/// Notes which requests are begun; one that is large takes until it is told to end.
#[derive(Default)]
struct Slow {
    begun: Mutex<Vec<usize>>,
    may_end: Arc<Notify>,
}

impl Handler for Slow {
    fn handle(self: Arc<Self>, _: Peer, body: Body) -> BoxFuture<'static, Body> {
        self.begun.lock().push(body.bytes());
        let may_end = Arc::clone(&self.may_end);
        Box::pin(async move {
            if body.bytes() > LARGE_BYTES {
                may_end.notified().await;
            }
            Body::Mutated
        })
    }
}

/// Writes requests of so many bytes, each with this patience, at once.
async fn ask(writer: &mut Writing, env: &Env, patience: Duration, bodies: &[usize]) {
    let (queue, mut messages) = mpsc::channel(bodies.len());
    let deadline = env.clock.mono() + patience;
    for bytes in bodies {
        let body = Body::Mutate(vec![7; *bytes]);
        let message = Message { id: *bytes as u64, patience_micros: 0, members: 0, notes: None, body };
        assert!(queue.send(Queued { message, deadline, room: None }).await.is_ok());
    }
    drop(queue);
    write_queue(writer, &mut messages, &*env.clock, |_, _, _| {}).await;
}

#[test]
fn what_lay_in_the_buffer_while_there_was_no_room_to_work_on_it_is_not_begun_once_nobody_waits() {
    run_in_folder(async |env| {
        let (node, there, handler) = (nobody(&env).await, link(&env, 2), Arc::new(Slow::default()));
        let traffic = Arc::clone(&there.traffic);
        let served = serve(there, node, Arc::clone(&handler) as Arc<dyn Handler>).await.unwrap();
        env.tasks.spawn_local(served);
        let (mut reader, mut writer, _) = link(&env, 1).open(node).await.unwrap();
        // It takes all the room that there is.
        let largest = MAX_FRAME_BYTES - 27;
        ask(&mut writer, &env, Duration::from_secs(60), &[largest]).await;
        let has_begun = async {
            while handler.begun.lock().is_empty() {
                dodona_env::clock::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), has_begun).await.expect("the large one is begun");
        // One of them waits for room, the others behind it in the buffer: one patiently.
        let (short, long) = (Duration::from_millis(100), Duration::from_secs(60));
        let sent_at = env.clock.mono();
        ask(&mut writer, &env, short, &[1, 2, 3]).await;
        ask(&mut writer, &env, long, &[4]).await;
        dodona_env::clock::sleep(2 * short).await;
        handler.may_end.notify_one();
        let mut answered = Vec::new();
        for _ in 0..2 {
            answered.push(read_message(&mut reader).await.unwrap().0.id);
        }
        assert!(env.clock.mono() - sent_at >= short);
        assert_eq!(answered, [largest as u64, 4]);
        assert_eq!(*handler.begun.lock(), [largest, 4]);
        let counts = traffic.inbound(uuid::Uuid::from_u128(1)).unwrap();
        assert_eq!((counts.received.get().0, counts.expired.get().0), (5, 3));
    });
}
