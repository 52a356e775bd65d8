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

fn checksum(generation: i64) -> String {
    format!("{:08x}", crc32c::crc32c(&generation.to_le_bytes()))
}

/// The generation of a life that begins now: greater than the last one, and not below the seconds
/// since the epoch. It is on disk when this returns.
///
/// # Errors
/// The file of the last one is damaged, or the operating system refuses.
pub fn begin(env: &Env) -> Result<Generation, ClusterError> {
    let failed = |action: &'static str, error: io::Error| StorageError::Io {
        action,
        path: FILE.into(),
        source: Arc::new(error),
    };
    let damaged = |reason: String| StorageError::Corrupt { path: FILE.into(), offset: 0, reason };
    let wall = env.clock.wall_seconds();
    let generation = match env.disk.read(FILE) {
        Ok(bytes) => {
            let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
            if kept.checksum != checksum(kept.generation) {
                return Err(damaged("the checksum does not match".into()).into());
            }
            wall.max(kept.generation.saturating_add(1))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => wall,
        Err(error) => return Err(failed("reading", error).into()),
    };
    let json =
        serde_json::to_vec_pretty(&Kept { generation, checksum: checksum(generation) }).unwrap_or_default();
    env.disk.replace(FILE, &json).map_err(|error| failed("writing", error))?;
    Ok(Generation(generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_life_has_a_greater_generation_even_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let env = dodona_env::os::env(folder.path()).unwrap();
        let first = begin(&env).unwrap();
        assert!(first.0 >= env.clock.wall_seconds() - 5);
        assert!((1..5).map(|_| begin(&env).unwrap()).is_sorted());
        assert!(begin(&env).unwrap().0 >= first.0 + 5);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let env = dodona_env::os::env(folder.path()).unwrap();
        let generation = begin(&env).unwrap();
        let text = String::from_utf8(env.disk.read(FILE).unwrap()).unwrap();
        let damaged = text.replace(&generation.0.to_string(), "1");
        env.disk.replace(FILE, damaged.as_bytes()).unwrap();
        assert!(begin(&env).unwrap_err().to_string().contains(FILE));
    }
}
