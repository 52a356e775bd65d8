//! A replica: executes what coordinators ask on the local engine.

use crate::message::Body;
use crate::transport::Handler;
use dodona_env::Tasks;
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
    tasks: Tasks,
}

impl Replica {
    /// A replica on an engine.
    #[must_use]
    pub const fn new(engine: Arc<Engine>, tasks: Tasks) -> Self {
        Self { engine, tasks }
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
        let read = self.tasks.blocking(move || engine.read_mutations(&command, MAX_ANSWER_BYTES)).await;
        read.map_err(|error| StorageError::LogFailed(error.to_string()))?
    }
}

impl Handler for Replica {
    fn handle(self: Arc<Self>, body: Body) -> BoxFuture<'static, Body> {
        Box::pin(async move {
            let answer = match body {
                Body::Mutate(mutation) => self.mutate(&mutation).await.map(|()| Body::Mutated),
                Body::Read(command) => match ReadCommand::decode(&command) {
                    Ok(command) => self.read(command).await.map(Body::Found),
                    Err(error) => Err(error.into()),
                },
                Body::Mutated | Body::Found(_) | Body::Failed(_) => {
                    return Body::Failed("not a request".into());
                }
            };
            answer.unwrap_or_else(|error| Body::Failed(error.to_string()))
        })
    }
}
