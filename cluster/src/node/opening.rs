//! What a node finds in its data directory, or begins there.

use super::settings::NodeSettings;
use crate::error::ClusterError;
use crate::hints::Lookup;
use crate::identity::Identity;
use crate::metadata::store::Store;
use crate::metadata::{MAX_VOTERS, Metadata};
use crate::placement::Placement;
use crate::ring::Member;
use arc_swap::ArcSwap;
use dodona_env::Env;
use dodona_types::schema::Schema;
use std::sync::Arc;

/// Who the node is; in a new data directory it begins a cluster.
pub(super) fn identity(env: &Env, settings: &NodeSettings) -> Result<Identity, ClusterError> {
    if let Some(identity) = Identity::read(&*env.disk)? {
        return Ok(identity);
    }
    let given = settings.members.iter().find(|member| member.internode == settings.internode);
    let identity = Identity {
        host: given.map_or_else(|| env.random.uuid_v4(), |member| member.host),
        // Those who begin a cluster together agree on its id without a word.
        cluster: settings.members.first().map_or_else(|| env.random.uuid_v4(), |first| first.host),
    };
    identity.write(&*env.disk)?;
    Ok(identity)
}

/// Opens the metadata log, or begins the one of a new cluster.
pub(super) fn open_store(
    env: &Env,
    settings: &NodeSettings,
    identity: &Identity,
) -> Result<Store, ClusterError> {
    let disk = Arc::clone(&env.disk);
    let here = settings.first_member(identity);
    let store = if Store::exists(&*disk)? {
        Store::open(disk, &here)?
    } else if settings.members.is_empty() {
        Store::create(disk, Metadata::of_members([here], Schema::default()), &[1], true)?
    } else {
        let metadata = Metadata::of_members(settings.members.iter().cloned(), Schema::default());
        let voters: Vec<u64> = metadata.members.keys().copied().take(MAX_VOTERS).collect();
        Store::create(disk, metadata, &voters, false)?
    };
    Ok(store.with(env.mutants.clone()))
}

/// What hints ask of the placement, whatever that is by then.
pub(super) fn lookup(placement: &Arc<ArcSwap<Placement>>) -> Lookup {
    let (tables, members) = (Arc::clone(placement), Arc::clone(placement));
    Lookup {
        gc_grace: Arc::new(move |id| {
            tables.load().schema.table_by_id(id).map(|table| table.params.gc_grace_seconds)
        }),
        data_center: Arc::new(move |host| {
            members.load().ring.member(host).map(|member| member.data_center.clone())
        }),
    }
}

/// A node stays where it is: its data are placed by it.
pub(super) fn check_place(settings: &NodeSettings, member: &Member) -> Result<(), ClusterError> {
    let (data_center, rack) = (&settings.data_center, &settings.rack);
    if (data_center, rack) == (&member.data_center, &member.rack) {
        return Ok(());
    }
    Err(ClusterError::Invalid(format!(
        "this node is in data centre `{}`, rack `{}`, and cannot start in `{data_center}`, `{rack}`: set \
         data_center and rack back, or let it join anew with an empty data directory",
        member.data_center, member.rack
    )))
}
