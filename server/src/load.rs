//! Tells the other members how much data this node holds.

use crate::shared::Shared;
use dodona_cluster::gossip::state::Key;
use dodona_storage::Engine;
use std::sync::Arc;
use std::time::Duration;

/// How often (Cassandra `LoadBroadcaster`).
const PERIOD: Duration = Duration::from_secs(60);

/// Tells it now and once a minute.
pub(crate) async fn publish(shared: Arc<Shared>) {
    let node = &shared.node;
    loop {
        let engine = Arc::clone(&node.engine);
        if let Ok(bytes) = node.env.tasks.blocking(move || disk_bytes(&engine)).await {
            node.gossiper.set(Key::LOAD, bytes.to_string());
        }
        dodona_env::clock::sleep(PERIOD).await;
    }
}

/// Bytes of the files of all tables.
pub(crate) fn disk_bytes(engine: &Engine) -> u64 {
    let bytes = |table| engine.table_statistics(table).map_or(0, |statistics| statistics.disk_bytes);
    engine.table_ids().into_iter().map(bytes).sum()
}
