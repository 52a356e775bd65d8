//! Work on the engine that may wait for the disk, beside the event loop.

use crate::error::ClusterError;
use dodona_env::Tasks;
use dodona_env::task::BlockingFailed;
use dodona_storage::{Engine, StorageError};
use std::sync::Arc;

/// Does work on the engine where it may block.
///
/// # Errors
/// Those of the work; or it did not finish.
pub(crate) async fn on_engine<T: Send + 'static>(
    tasks: &Tasks,
    engine: &Arc<Engine>,
    work: impl FnOnce(&Engine) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, ClusterError> {
    let engine = Arc::clone(engine);
    what_came(tasks.blocking(move || work(&engine)).await)
}

/// The same of work that changes nothing: it is not begun once nobody awaits it.
///
/// # Errors
/// Those of the work; or it did not finish.
pub(crate) async fn read_from_engine<T: Send + 'static>(
    tasks: &Tasks,
    engine: &Arc<Engine>,
    work: impl FnOnce(&Engine) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, ClusterError> {
    let engine = Arc::clone(engine);
    what_came(tasks.blocking_read(move || work(&engine)).await)
}

fn what_came<T>(done: Result<Result<T, StorageError>, BlockingFailed>) -> Result<T, ClusterError> {
    Ok(done.map_err(|error| ClusterError::Invalid(error.to_string()))??)
}
