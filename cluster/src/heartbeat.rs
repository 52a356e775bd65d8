//! When a node was last alive: a file in its data directory, written every minute.
//!
//! A node that was down for longer than a table's `gc_grace_seconds` has rows whose tombstones others may have purged
//! meanwhile. A repair, or a read, would bring them back.

use crate::error::ClusterError;
use crate::hints::HintSettings;
use crate::metadata::Metadata;
use crate::replication::Replication;
use dodona_env::{Disk, Env};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const FILE: &str = "heartbeat";
const PERIOD: Duration = Duration::from_secs(60);
const HOUR: i64 = 3_600;

/// The heartbeat that a data directory has: seconds since the epoch. None in a new one; a damaged file is told of, and
/// counts as none.
fn read(disk: &dyn Disk) -> Result<Option<i64>, io::Error> {
    let bytes = match disk.read(FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes);
    let seconds = text.trim_end().split_once(' ').filter(|(seconds, sum)| checksum(seconds) == *sum);
    let seconds = seconds.and_then(|(seconds, _)| seconds.parse().ok());
    if seconds.is_none() {
        tracing::warn!("the file `{FILE}` is damaged: it is not known how long this node was down");
    }
    Ok(seconds)
}

/// Writes a heartbeat.
///
/// # Errors
/// The operating system's.
pub fn write(disk: &dyn Disk, seconds: i64) -> io::Result<()> {
    let seconds = seconds.to_string();
    disk.replace(FILE, format!("{seconds} {}\n", checksum(&seconds)).as_bytes())
}

fn checksum(seconds: &str) -> String {
    format!("{:08x}", crc32c::crc32c(seconds.as_bytes()))
}

/// Refuses a member that was down for longer than the `gc_grace_seconds` of a table with several copies. Tables whose
/// tombstones go before hints do are not counted: who asks for that runs the risk with every restart.
///
/// # Errors
/// It was; the file cannot be read.
pub(crate) fn refuse_stale(env: &Env, metadata: &Metadata, host: Uuid) -> Result<(), ClusterError> {
    if metadata.members.len() < 2 {
        return Ok(());
    }
    let last = read(&*env.disk).map_err(|error| {
        ClusterError::Invalid(format!("the file `{FILE}` of the data directory cannot be read: {error}"))
    })?;
    let Some(last) = last else { return Ok(()) };
    let down_for = env.clock.wall_seconds().saturating_sub(last);
    let least = HintSettings::default().max_hint_window.as_secs();
    let schema = &metadata.schema;
    let mut stale = schema.tables().filter(|table| {
        let grace = table.params.gc_grace_seconds;
        let keyspace = schema.keyspaces.get(&table.keyspace);
        let replication = keyspace.and_then(|keyspace| Replication::from_options(&keyspace.replication).ok());
        u64::from(grace) >= least
            && down_for > i64::from(grace)
            && replication.is_some_and(|replication| replication.factor(None) > 1)
    });
    let Some(first) = stale.next() else { return Ok(()) };
    let others = match stale.count() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Err(ClusterError::Invalid(format!(
        "this node was last alive {} ago, longer than gc_grace_seconds ({}) of {}.{}{others}: other nodes may have purged \
         tombstones that it has not seen, and what they delete would come back. Remove its data directory and start it with \
         --replace {host}; or, if nothing was deleted meanwhile (all nodes were down, say), start it once with \
         check_data_resurrection = false",
        days_and_hours(down_for),
        first.params.gc_grace_seconds,
        first.keyspace,
        first.name,
    )))
}

fn days_and_hours(seconds: i64) -> String {
    let hours = seconds / HOUR;
    format!("{} days and {} hours", hours / 24, hours % 24)
}

/// Writes the heartbeat every minute, for as long as the node lives.
pub(crate) async fn beat(env: Env) {
    loop {
        dodona_env::clock::sleep(PERIOD).await;
        let (disk, now) = (Arc::clone(&env.disk), env.clock.wall_seconds());
        match env.tasks.blocking(move || write(&*disk, now)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the heartbeat could not be written"),
            Err(error) => tracing::debug!(%error, "the heartbeat could not be written"),
        }
    }
}
