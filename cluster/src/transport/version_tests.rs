//! Nodes of which one speaks a version that the other does not, or both speak two.

use super::tests::{link, listen, nobody};
use super::wire::write_message;
use super::*;
use crate::message::FIRST;
use crate::message::PREFIX_BYTES;
use crate::testing::run_in_folder;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(10);

fn speaks(env: &Env, host: u128, oldest: u16, newest: u16) -> Link {
    let mut link = link(env, host);
    link.introduction.versions = Versions { oldest, newest };
    link
}

/// Answers each request with the same.
struct Echo;

impl Handler for Echo {
    fn handle(self: Arc<Self>, _: Peer, body: Body) -> BoxFuture<'static, Body> {
        Box::pin(std::future::ready(body))
    }
}

type Said = Rc<RefCell<Vec<u8>>>;

async fn pass_on(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    said: Said,
) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        said.borrow_mut().extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Passes on what is said on the first connection to a node, and keeps it: what comes from who connects, and what goes there.
async fn overhear(env: &Env, node: SocketAddr) -> (SocketAddr, [Said; 2]) {
    let listener = env.net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let (address, said) = (listener.local_addr().unwrap(), [Said::default(), Said::default()]);
    let (env, [asked, answered]) = (env.clone(), said.clone());
    env.tasks.clone().spawn_local(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (from_asker, to_asker) = tokio::io::split(stream);
        let (from_node, to_node) = tokio::io::split(env.net.connect(node).await.unwrap());
        tokio::join!(pass_on(from_asker, to_node, asked), pass_on(from_node, to_asker, answered));
    });
    (address, said)
}

/// Of which version each frame is.
fn versions(said: &Said) -> Vec<u16> {
    let (said, mut at, mut versions) = (said.borrow(), 0, Vec::new());
    while at < said.len() {
        let (length, _) = Message::prefix(said[at..at + PREFIX_BYTES].try_into().unwrap()).unwrap();
        at += PREFIX_BYTES;
        versions.push(u16::from_le_bytes([said[at], said[at + 1]]));
        at += length;
    }
    versions
}

#[test]
fn requests_and_answers_are_of_the_newest_version_that_both_nodes_speak() {
    run_in_folder(async |env| {
        for (asks, answers, agreed) in [
            ((2, 3), (2, 2), 2),
            ((2, 2), (2, 3), 2),
            ((2, 3), (2, 3), 3),
            ((2, 3), (3, 4), 3),
            ((2, 2), (2, 2), 2),
        ] {
            let node = nobody(&env).await;
            let served = serve(speaks(&env, 2, answers.0, answers.1), node, Arc::new(Echo)).await.unwrap();
            env.tasks.spawn_local(served);
            let (address, [asked, answered]) = overhear(&env, node).await;
            let peers = Peers::new(speaks(&env, 1, asks.0, asks.1));
            for body in [Body::Mutate(vec![7; 9]), Body::Read(vec![8; 20_000])] {
                assert_eq!(peers.ask(address, body.clone(), PATIENCE).await.unwrap(), body);
            }
            for said in [asked, answered] {
                assert_eq!(versions(&said), [FIRST, agreed, agreed], "{asks:?} {answers:?}");
            }
        }
        // Nothing in common: both say so.
        let node = nobody(&env).await;
        let served = serve(speaks(&env, 2, 3, 4), node, Arc::new(Echo)).await.unwrap();
        env.tasks.spawn_local(served);
        let peers = Peers::new(speaks(&env, 1, 2, 2));
        assert!(peers.ask(node, Body::Mutated, PATIENCE).await.is_err());
        let told = peers.unwelcome(node).unwrap();
        assert!(told.contains("2 to 2") && told.contains("3 to 4"), "{told}");
    });
}

#[test]
fn a_request_of_another_version_than_was_agreed_on_ends_its_connection() {
    run_in_folder(async |env| {
        let (told, heard) = oneshot::channel();
        let address = listen(speaks(&env, 2, 2, 3), async |mut reader, writer| {
            let first = read_message(&mut reader).await.map(|(message, _)| message.body);
            told.send((first, read_message(&mut reader).await.map(drop))).unwrap();
            drop(writer);
        })
        .await;
        let (mut reader, mut writer, _) = speaks(&env, 1, 2, 3).open(address).await.unwrap();
        write_message(&mut writer, Body::Mutated).await.unwrap();
        writer.version = 2;
        write_message(&mut writer, Body::Mutated).await.unwrap();
        let (first, second) = heard.await.unwrap();
        assert_eq!(first.unwrap(), Body::Mutated);
        let reason = second.unwrap_err().to_string();
        assert_eq!(reason, "a frame of version 2 of the protocol between nodes, and 3 was agreed on");
        assert!(read_message(&mut reader).await.is_err());
    });
}

#[test]
fn an_answer_of_another_version_than_was_agreed_on_ends_its_connection_and_the_next_is_opened() {
    run_in_folder(async |env| {
        let listener = env.net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let (address, there) = (listener.local_addr().unwrap(), speaks(&env, 2, 2, 3));
        env.tasks.spawn_local(async move {
            for version in [2, 3] {
                let (mut reader, mut writer, _) =
                    there.meet(listener.accept().await.unwrap().0).await.unwrap();
                writer.version = version;
                let (Message { id, .. }, _) = read_message(&mut reader).await.unwrap();
                let (answers, mut queue) = mpsc::channel(1);
                let message =
                    Message { id, patience_micros: 0, members: 0, notes: None, body: Body::Mutated };
                assert!(answers.send(Queued { message, deadline: Duration::MAX, room: None }).await.is_ok());
                drop(answers);
                write_queue(&mut writer, &mut queue, &*there.env.clock, |_, _, _| {}).await;
                // Whoever asked is the one to close it.
                assert!(read_message(&mut reader).await.is_err());
            }
        });
        let peers = Peers::new(speaks(&env, 1, 2, 3));
        let refused = peers.ask(address, Body::Mutated, PATIENCE).await.unwrap_err().to_string();
        assert!(refused.ends_with("broke"), "{refused}");
        assert_eq!(peers.ask(address, Body::Mutated, PATIENCE).await.unwrap(), Body::Mutated);
    });
}
