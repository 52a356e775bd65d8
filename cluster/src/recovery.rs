//! Goes on with the metadata log without those who voted on it, when a majority of them is lost for good.
//!
//! An operator has one survivor do so, for one start: it becomes the only one that votes, with what it has of the log. Terms and
//! versions of its log are beyond all that the others can come to, and it counts how often it was recovered: members that hear of
//! that give up the log that they have, and follow; requests of those that have not are refused. So a lost member that comes back
//! never decides anything.

use crate::error::ClusterError;
use crate::identity::Identity;
use crate::metadata::log::ask;
use crate::metadata::message::{Answer, Request};
use crate::metadata::state::was_removed;
use crate::metadata::store::Store;
use crate::metadata::{Change, Metadata, Outcome};
use crate::node::NodeSettings;
use crate::transport::{Introduction, Link, Peers};
use dodona_env::Env;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long another member may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

fn invalid(reason: impl Into<String>) -> ClusterError {
    ClusterError::Invalid(reason.into())
}

/// Makes the member of this data directory the only one that votes on the metadata log. To be called before it starts.
///
/// # Errors
/// There is no log; or it has a majority of those who vote; or it was recovered by another member; or the disk fails.
pub(crate) async fn recover(
    env: &Env,
    settings: &NodeSettings,
    identity: &Identity,
) -> Result<(), ClusterError> {
    let store = Store::open(Arc::clone(&env.disk), &settings.first_member(identity))?;
    let introduction = Introduction::new(identity.cluster, identity.host);
    let peers = Peers::new(Link::new(env.clone(), introduction, settings.internode_tls.clone()));
    let answered = ask_all(&store, &peers, identity).await?;
    let metadata = store.metadata();
    let number = metadata.number_of(identity.host).ok_or_else(|| invalid(was_removed(identity.host)))?;
    if metadata.members[&number].status.is_new() {
        return Err(invalid("this member still fetches its data: recover the metadata log on another one"));
    }
    let has_majority = |group: &BTreeSet<u64>| {
        2 * group.iter().filter(|voter| **voter == number || answered.contains(voter)).count() > group.len()
    };
    let groups = store.quorums();
    // One that has only followed does not know who votes.
    let knows_voters = groups.iter().any(|group| !group.is_empty());
    if (knows_voters && groups.iter().all(has_majority)) || agrees(&metadata, &peers, &answered).await {
        return Err(invalid(
            "a majority of the members that vote on the metadata log is there: start without --recover-metadata",
        ));
    }
    store.recover(number)?;
    let lost: Vec<String> = metadata
        .members
        .iter()
        .filter(|(other, _)| **other != number && !answered.contains(other))
        .map(|(_, member)| format!("{} at {}", member.host, member.internode))
        .collect();
    tracing::error!(
        version = metadata.version,
        "THE METADATA LOG GOES ON WITHOUT THOSE WHO VOTED ON IT. What they had agreed on and this node had not heard of is lost. Do \
         this on no other member; remove or replace those that are lost: {}",
        lost.join(", ")
    );
    Ok(())
}

/// Takes over the newest metadata of all other members that answer. Gives the numbers of those.
async fn ask_all(store: &Store, peers: &Peers, identity: &Identity) -> Result<BTreeSet<u64>, ClusterError> {
    let known = store.metadata();
    let others = known.members.iter().filter(|(_, member)| member.host != identity.host);
    let version = known.version;
    let asked = others.map(|(number, member)| async move {
        (*number, ask(peers, member.internode, &Request::Pull(version), ANSWER).await)
    });
    let mut answered = BTreeSet::new();
    for (number, answer) in join_all(asked).await {
        match answer {
            Ok(Answer::Metadata(newer)) if newer.recovery > known.recovery => {
                return Err(invalid(format!(
                    "the metadata log was recovered already, as {} has heard: start without --recover-metadata",
                    newer
                        .members
                        .get(&number)
                        .map_or_else(|| number.to_string(), |member| member.internode.to_string())
                )));
            }
            Ok(Answer::Metadata(newer)) => store.replace(newer)?,
            Ok(_) => {}
            Err(_) => continue,
        }
        answered.insert(number);
    }
    Ok(answered)
}

/// True if members that answer agree on the log without this one.
async fn agrees(metadata: &Metadata, peers: &Peers, answered: &BTreeSet<u64>) -> bool {
    let change = Change::Confirm { epoch: metadata.schema.epoch, members: metadata.members_version };
    let request = Request::Change(change);
    let members = answered.iter().filter_map(|number| metadata.members.get(number));
    let asked = members.map(|member| ask(peers, member.internode, &request, ANSWER));
    let is_change = |answer: &Result<Answer, ClusterError>| {
        matches!(answer, Ok(Answer::Changed(Outcome::Applied(_) | Outcome::Conflict)))
    };
    join_all(asked).await.iter().any(is_change)
}
