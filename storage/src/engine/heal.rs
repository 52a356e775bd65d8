//! Heals files at the start whose data are whole, and of which the manifest tells nothing: footer, filter, statistics and
//! top index can be made anew of them.

use super::scrub::keep_damaged;
use crate::error::{IoContext, Result};
use crate::manifest::{Edit, Manifest};
use crate::sstable::cache::BlockCache;
use crate::sstable::salvage::salvage_without_index;
use crate::sstable::{Sstable, SstableId, SstableWriter, Statistics};
use crate::table::TableSettings;
use dodona_env::Env;
use std::sync::Arc;
use uuid::Uuid;

/// Writes a damaged file anew, if all its data are there, and puts the new one into the manifest.
/// None if something would be lost. The damaged file is kept in the snapshot `healed-<its id>`.
pub(super) fn heal(
    env: &Env,
    cache: &Arc<BlockCache>,
    manifest: &mut Manifest,
    settings: &TableSettings,
    host: Uuid,
    damaged: SstableId,
) -> Result<Option<SstableId>> {
    let table = settings.id;
    let (file, known) = Sstable::open_unindexed(&env.disk, cache, table, damaged)?;
    let statistics = Statistics::new(table, settings.columns.clone(), host);
    let mut writer = SstableWriter::create(env, settings.writer.clone(), statistics)?;
    let salvaged = match salvage_without_index(&file, &known, None, &mut writer) {
        Ok((salvaged, true)) if salvaged.partitions > 0 => salvaged,
        other => {
            writer.abandon();
            return other.map(|_| None);
        }
    };
    let Some(id) = writer.finish()? else { return Ok(None) };
    let directory = keep_damaged(&*env.disk, &file, table, &format!("healed-{}", damaged.0))?;
    let mut edit = Edit::new(table);
    if let Some(files) = manifest.state().get(&table) {
        edit.levels = files.levels.get(&damaged).map(|level| (id, *level)).into_iter().collect();
        edit.repaired = files.repaired.get(&damaged).map(|at| (id, *at)).into_iter().collect();
    }
    edit.added = vec![id];
    edit.removed = vec![damaged];
    manifest.commit(&edit)?;
    env.disk.remove(file.path()).during("removing", file.path())?;
    tracing::warn!(
        path = file.path(),
        kept_in = directory,
        rows = salvaged.rows,
        "a damaged file was written anew; nothing of it is lost"
    );
    Ok(Some(id))
}
