//! A node that is no member yet: it finds the cluster by its seeds and asks one of them to take it in.

use super::{ANSWER, PAUSE};
use crate::clock_offset::refuse_wrong_clock;
use crate::copied::refuse_copy;
use crate::error::ClusterError;
use crate::founding::{LISTEN, refuse_second_cluster};
use crate::identity::Identity;
use crate::metadata::log::ask;
use crate::metadata::message::{Answer, Request};
use crate::metadata::store::Store;
use crate::node::NodeSettings;
use crate::recovery::recover;
use crate::transport::{Introduction, Link, Peers};
use dodona_env::Env;
use dodona_storage::DirectoryLock;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a seed may take to answer the first one, which is about to begin a cluster.
const LOOK: Duration = Duration::from_millis(500);

/// Makes a new node a member of its seeds' cluster. Does nothing for a node that is a member
/// already, or that is to begin a cluster; but refuses one whose data directory was copied from a
/// member that runs, and recovers the metadata log of one that is told to. Waits for seeds that do not answer.
///
/// # Errors
/// The log cannot or need not be recovered. The cluster has another name, or does not take the node in; a seed and the node do not belong together, and no other seed
/// answers; the node's clock is off; the disk fails.
pub async fn enter(env: &Env, settings: &NodeSettings) -> Result<(), ClusterError> {
    let _lock = DirectoryLock::take(env)?;
    let known = Identity::read(&*env.disk)?;
    if let Some(identity) = &known
        && Store::exists(&*env.disk)?
    {
        refuse_copy(env, settings, identity).await?;
        return if settings.recover_metadata { recover(env, settings, identity).await } else { Ok(()) };
    }
    if settings.recover_metadata {
        return Err(ClusterError::Invalid(
            "there is no metadata log to recover: the data directory is new".into(),
        ));
    }
    if settings.seeds.is_empty() || !settings.members.is_empty() {
        return Ok(());
    }
    let host = known.as_ref().map_or_else(|| env.random.uuid_v4(), |identity| identity.host);
    let introduction = Introduction::new(Uuid::nil(), host);
    let link = Link::new(env.clone(), introduction, settings.internode_tls.clone());
    let peers = Peers::new(link.clone());
    let seeds: Vec<SocketAddr> =
        settings.seeds.iter().copied().filter(|seed| *seed != settings.internode).collect();
    // Who takes another one's place has a cluster, however long it is not found.
    let begins = settings.seeds.first() == Some(&settings.internode) && settings.replace.is_none();
    let found = async {
        let mut told = false;
        loop {
            let patience = if begins { LOOK } else { ANSWER };
            if let Some(found) = find(&peers, &seeds, patience).await {
                return Ok(found);
            }
            // It would wait for ever, or begin a cluster beside the one that there is.
            let unwelcome = seeds.iter().find_map(|seed| Some((seed, peers.unwelcome(*seed)?)));
            if let Some((seed, reason)) = unwelcome {
                let refused = format!("{seed} does not speak with this node: {reason}");
                return Err(ClusterError::Invalid(refused));
            }
            if !begins && !std::mem::replace(&mut told, true) {
                tracing::info!(?seeds, "waiting for a seed that knows the cluster");
            }
            dodona_env::clock::sleep(PAUSE).await;
        }
    };
    let listens = match (settings.new_cluster, seeds.is_empty()) {
        (true, true) => Duration::ZERO,
        (true, false) => LOOK,
        (false, _) => LISTEN,
    };
    let (seed, cluster, name) = tokio::select! {
        biased;
        found = found => found?,
        // No seed knows one.
        refused = refuse_second_cluster(&link, settings.internode, listens), if begins => return refused,
    };
    if name != settings.cluster_name {
        return Err(ClusterError::Invalid(format!(
            "the cluster of {seed} is called `{name}`, not `{}`: correct cluster_name or the seeds",
            settings.cluster_name
        )));
    }
    refuse_wrong_clock(&*env.clock, &peers, &seeds, settings.max_clock_offset).await?;
    Identity { host, cluster }.write(&*env.disk)?;
    join(env, settings, &peers, host, &seeds).await
}

/// The first seed that answers, its cluster's id and name.
async fn find(peers: &Peers, seeds: &[SocketAddr], patience: Duration) -> Option<(SocketAddr, Uuid, String)> {
    let asked = seeds.iter().map(|seed| async move {
        match ask(peers, *seed, &Request::Who, patience).await {
            Ok(Answer::Cluster(id, name)) => Some((*seed, id, name)),
            _ => None,
        }
    });
    let answers: FuturesUnordered<_> = asked.collect();
    let mut found = std::pin::pin!(answers.filter_map(std::future::ready));
    found.next().await
}

async fn join(
    env: &Env,
    settings: &NodeSettings,
    peers: &Peers,
    host: Uuid,
    seeds: &[SocketAddr],
) -> Result<(), ClusterError> {
    for seed in seeds.iter().cycle() {
        let member = Box::new(settings.member(host, Vec::new()));
        let request = match &settings.replace {
            Some(replaced) => Request::Replace(member, replaced.clone()),
            None => Request::Join(member, settings.num_tokens),
        };
        match ask(peers, *seed, &request, 2 * ANSWER).await {
            Ok(Answer::Joined(_, metadata)) => {
                Store::create(Arc::clone(&env.disk), (*metadata).clone(), &[], false)?;
                return Ok(());
            }
            Ok(Answer::Refused(reason)) => {
                return Err(ClusterError::Invalid(format!("{seed} does not take this node in: {reason}")));
            }
            Ok(Answer::Failed(reason)) => tracing::info!(%seed, reason, "joining has to wait"),
            Ok(_) => tracing::warn!(%seed, "an answer to another request"),
            Err(error) => tracing::info!(%seed, %error, "a seed does not take this node in yet"),
        }
        dodona_env::clock::sleep(PAUSE).await;
    }
    Err(ClusterError::Invalid("there is no seed to join by but this node itself".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run_in_folder;
    use crate::transport::of_later_release;

    #[test]
    fn a_node_that_has_no_version_in_common_with_its_seeds_does_not_wait_nor_begin_a_cluster() {
        run_in_folder(async |env| {
            let later = of_later_release(&env).await;
            for first in [None, Some(NodeSettings::default().internode)] {
                let settings = NodeSettings {
                    seeds: first.into_iter().chain([later]).collect(),
                    ..NodeSettings::default()
                };
                let refused =
                    tokio::time::timeout(2 * ANSWER, enter(&env, &settings)).await.expect("an answer");
                let refused = refused.unwrap_err().to_string();
                assert!(
                    refused.starts_with(&format!("{later} does not speak with this node: ")),
                    "{refused}"
                );
                assert!(refused.contains("upgrade the older of the two"), "{refused}");
            }
        });
    }
}
