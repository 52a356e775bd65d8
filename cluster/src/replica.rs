//! A replica: executes what coordinators ask on the local engine.

use crate::error::ClusterError;
use crate::message::Body;
use crate::paxos::acceptor::Acceptor;
use crate::paxos::message::Request;
use crate::paxos::state::Answer;
use crate::placement::Placement;
use crate::transport::{Handler, Peer};
use arc_swap::ArcSwap;
use dodona_env::Env;
use dodona_env::net::BoxFuture;
use dodona_storage::{Engine, StorageError};
use dodona_types::MutationView;
use dodona_types::read_command::ReadCommand;
use std::sync::Arc;

/// The most bytes that an answer to a read may have.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;

/// The local engine as peers see it.
pub struct Replica {
    engine: Arc<Engine>,
    env: Env,
    acceptor: Acceptor,
    placement: Arc<ArcSwap<Placement>>,
}

impl Replica {
    /// A replica on an engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, env: Env, placement: Arc<ArcSwap<Placement>>) -> Self {
        let acceptor = Acceptor::new(env.clone(), Arc::clone(&engine), &placement.load().schema);
        Self { engine, env, acceptor, placement }
    }

    /// Does what a proposer of Paxos asks.
    ///
    /// # Errors
    /// The table is not known, or the engine does not read or write.
    pub async fn paxos(&self, request: Request) -> Result<Answer, ClusterError> {
        let schema = Arc::clone(&self.placement.load().schema);
        let table = schema.table_by_id(request.table).ok_or(StorageError::NoSuchTable(request.table))?;
        self.acceptor.handle(request, table.params.gc_grace_seconds).await
    }

    /// Applies a mutation, and returns once it is safe.
    ///
    /// # Errors
    /// The mutation is malformed, or the engine does not take it.
    pub async fn mutate(&self, mutation: &[u8]) -> Result<(), StorageError> {
        let view = MutationView::parse(mutation)?;
        view.validate()?;
        self.engine.wait_for_room().await;
        let position = self.engine.apply(&[view])?;
        self.engine.wait_safe(position).await
    }

    /// Executes a read, and gives what it finds as mutations.
    ///
    /// # Errors
    /// The engine could not read.
    pub async fn read(&self, command: ReadCommand) -> Result<Vec<u8>, StorageError> {
        let engine = Arc::clone(&self.engine);
        let read = self.env.tasks.blocking(move || engine.read_mutations(&command, MAX_ANSWER_BYTES)).await;
        read.map_err(|error| StorageError::LogFailed(error.to_string()))?
    }
}

impl Handler for Replica {
    fn handle(self: Arc<Self>, _: Peer, body: Body) -> BoxFuture<'static, Body> {
        Box::pin(async move {
            let answer = match body {
                Body::Mutate(mutation) => self.mutate(&mutation).await.map(|()| Body::Mutated),
                Body::Read(command) => match ReadCommand::decode(&command) {
                    Ok(command) => self.read(command).await.map(Body::Found),
                    Err(error) => Err(error.into()),
                },
                Body::Paxos(request) => {
                    let answer = match Request::decode(&request) {
                        Ok(request) => self.paxos(request).await,
                        Err(error) => Err(error),
                    };
                    return answer.map_or_else(
                        |error| Body::Failed(error.to_string()),
                        |answer| Body::PaxosAnswer(answer.encode()),
                    );
                }
                // The node's coordinator does that.
                Body::Count(_) => return Body::Failed("no leader of counters".into()),
                _ => return Body::Failed("not a request to a replica".into()),
            };
            answer.unwrap_or_else(|error| Body::Failed(error.to_string()))
        })
    }
}
