//! Numbers the lives of a node, so that what it told in one is not taken for news in the next.

use super::state::Generation;
use crate::error::ClusterError;
use dodona_env::Env;
use dodona_storage::StorageError;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

const FILE: &str = "generation.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    generation: i64,
    checksum: String,
}

/// The lives of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// The last one, by its disk; 0 if there was none.
    pub before: Generation,
    /// The one that begins.
    pub present: Generation,
}

fn checksum(generation: i64) -> String {
    format!("{:08x}", crc32c::crc32c(&generation.to_le_bytes()))
}

/// Begins a life: of a generation greater than the last one, and not below the seconds since the
/// epoch. It is on disk when this returns.
///
/// # Errors
/// The file of the last one is damaged, or the operating system refuses.
pub fn begin(env: &Env) -> Result<Lives, ClusterError> {
    let before = read(env)?;
    let present = Generation(env.clock.wall_seconds().max(before.0.saturating_add(1)));
    write(env, present)?;
    Ok(Lives { before, present })
}

/// Has the disk as if the life behind this one had not begun.
///
/// # Errors
/// The operating system's.
pub fn put_back(env: &Env, before: Generation) -> Result<(), ClusterError> {
    write(env, before)
}

fn failed(action: &'static str, source: io::Error) -> ClusterError {
    StorageError::Io { action, path: FILE.into(), source: Arc::new(source) }.into()
}

fn read(env: &Env) -> Result<Generation, ClusterError> {
    let damaged = |reason: String| StorageError::Corrupt { path: FILE.into(), offset: 0, reason };
    let bytes = match env.disk.read(FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Generation(0)),
        Err(error) => return Err(failed("reading", error)),
    };
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if kept.checksum != checksum(kept.generation) {
        return Err(damaged("the checksum does not match".into()).into());
    }
    Ok(Generation(kept.generation))
}

fn write(env: &Env, Generation(generation): Generation) -> Result<(), ClusterError> {
    let kept = Kept { generation, checksum: checksum(generation) };
    let json = serde_json::to_vec_pretty(&kept).unwrap_or_default();
    env.disk.replace(FILE, &json).map_err(|error| failed("writing", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_life_has_a_greater_generation_even_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let env = dodona_env::os::env(folder.path()).unwrap();
        let first = begin(&env).unwrap();
        assert_eq!(first.before, Generation(0));
        assert!(first.present.0 >= env.clock.wall_seconds() - 5);
        let mut last = first.present;
        for _ in 0..5 {
            let lives = begin(&env).unwrap();
            assert_eq!(lives.before, last);
            assert!(lives.present > last);
            last = lives.present;
        }
        put_back(&env, first.present).unwrap();
        assert_eq!(begin(&env).unwrap().before, first.present);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let env = dodona_env::os::env(folder.path()).unwrap();
        let generation = begin(&env).unwrap().present;
        let text = String::from_utf8(env.disk.read(FILE).unwrap()).unwrap();
        let damaged = text.replace(&generation.0.to_string(), "1");
        env.disk.replace(FILE, damaged.as_bytes()).unwrap();
        assert!(begin(&env).unwrap_err().to_string().contains(FILE));
    }
}
