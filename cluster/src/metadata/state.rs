//! What the log's changes come to, and how each is applied.

use super::schema_change::{self, SchemaChange};
use crate::ring::{Member, Status};
use dodona_types::Token;
use dodona_types::schema::Schema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use uuid::Uuid;

/// A change of the metadata. All members come to the same by it, so that one that does not know all that it says, down to a field, has no
/// part in it: it is refused as a whole, and so are the metadata. A field that is added is left out as long as it says what was so before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Change {
    /// Changes definitions, all or none.
    Schema {
        /// The epoch of the schema that the changes were worked out against.
        expected_epoch: u64,
        /// The changes.
        changes: Vec<SchemaChange>,
        /// They are refused while a member joins, moves or leaves: it would not be known who fetches what from whom.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        while_members_stay: bool,
    },
    /// Takes a member in that fetches its data from now on.
    Join {
        /// The version at which members last changed when the tokens were chosen.
        expected: u64,
        /// The member.
        member: Box<Member>,
    },
    /// The member goes a step further in joining or leaving ([`Status::next`]).
    Advance {
        /// The member.
        host: Uuid,
        /// Where it stands.
        from: Status,
    },
    /// The member begins to hand on what it holds.
    Leave(Uuid),
    /// The member is down for good: others take over what it holds from those that hold the same.
    Remove(Uuid),
    /// The member goes on as if it had never begun to leave; one that joins is given up.
    Cancel(Uuid),
    /// The member takes other tokens, and gives up those that it has.
    Move {
        /// The member.
        host: Uuid,
        /// As many as it has.
        tokens: Vec<Token>,
    },
    /// The member is down for good and goes at once: nobody fetches what it held.
    Assassinate(Uuid),
    /// The member is reached elsewhere.
    Moved {
        /// The member.
        host: Uuid,
        /// Where other nodes reach it.
        internode: SocketAddr,
        /// Where clients reach it.
        native: SocketAddr,
    },
    /// Changes nothing: tells whoever asks that nobody can have acted by anything later than what it
    /// knows, or that it is behind.
    Confirm {
        /// The epoch of the schema that it knows.
        epoch: u64,
        /// The version of the members that it knows.
        members: u64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema { changes, .. } => write!(formatter, "{} changes of the schema", changes.len()),
            Self::Join { member, .. } => write!(formatter, "{} joins", member.host),
            Self::Advance { host, from } => write!(formatter, "{host} is no longer {from:?}"),
            Self::Leave(host) => write!(formatter, "{host} leaves"),
            Self::Remove(host) => write!(formatter, "{host} is removed"),
            Self::Cancel(host) => write!(formatter, "{host} is left as it was"),
            Self::Move { host, tokens } => write!(formatter, "{host} moves to {tokens:?}"),
            Self::Assassinate(host) => write!(formatter, "{host} is removed at once"),
            Self::Moved { host, internode, .. } => write!(formatter, "{host} is at {internode}"),
            Self::Confirm { epoch, members } => {
                write!(formatter, "the schema is at {epoch}, the members at {members}")
            }
        }
    }
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is applied: this is the version.
    Applied(u64),
    /// What it was worked out against has changed: work it out again.
    Conflict,
    /// It cannot be applied now, and why.
    Busy(String),
    /// It cannot be applied, and why.
    Refused(String),
}

/// What all changes come to. Immutable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The place in the log of the last change that led here: one with a place up to it is not applied
    /// again.
    pub version: u64,
    /// The schema, without the keyspaces that every node has.
    pub schema: Schema,
    /// Members by their numbers, which are never used again.
    pub members: BTreeMap<u64, Member>,
    /// The version at which members last changed.
    pub members_version: u64,
    /// The number of the last member that was taken in.
    pub last_number: u64,
    /// Which log this is of, if it went on without those who had voted on it (`recovery.rs`): in the upper half how often that
    /// was so, in the lower one the number of the member that did it last. Only the log with the greatest counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recovery: u64,
}

const fn is_zero(recovery: &u64) -> bool {
    *recovery == 0
}

impl Metadata {
    /// The metadata of a cluster of these members, to begin with.
    #[must_use]
    pub fn of_members(members: impl IntoIterator<Item = Member>, schema: Schema) -> Self {
        let members: BTreeMap<u64, Member> = (1..).zip(members).collect();
        let last_number = members.len() as u64;
        Self { version: 1, schema, members, members_version: 1, last_number, recovery: 0 }
    }

    /// The number of the member with this host id.
    #[must_use]
    pub fn number_of(&self, host: Uuid) -> Option<u64> {
        self.members.iter().find(|(_, member)| member.host == host).map(|(number, _)| *number)
    }

    /// The member with this host id.
    #[must_use]
    pub fn member(&self, host: Uuid) -> Option<&Member> {
        self.members.values().find(|member| member.host == host)
    }

    /// The metadata behind a change at this place in the log.
    ///
    /// # Errors
    /// What came of it, if it is not applied.
    pub fn apply(&self, change: &Change, index: u64) -> Result<Self, Outcome> {
        let mut next = self.clone();
        next.version = index;
        match change {
            Change::Schema { expected_epoch, changes, while_members_stay } => {
                if *while_members_stay {
                    self.refuse_while_members_change()?;
                }
                next.schema = schema_change::apply(&self.schema, *expected_epoch, changes).map_err(
                    |error| match error {
                        crate::ClusterError::SchemaConflict => Outcome::Conflict,
                        error => Outcome::Refused(error.to_string()),
                    },
                )?;
                return Ok(next);
            }
            Change::Confirm { epoch, members } => {
                let is_so = (*epoch, *members) == (self.schema.epoch, self.members_version);
                return if is_so { Ok(next) } else { Err(Outcome::Conflict) };
            }
            Change::Join { expected, member } => {
                if *expected != self.members_version {
                    return Err(Outcome::Conflict);
                }
                if let Status::Replacing(host) = member.status {
                    next.give_up_leaving(host);
                    next.refuse_replacement(member, host)?;
                } else {
                    self.refuse_join(member)?;
                }
                next.last_number += 1;
                next.members.insert(next.last_number, Member::clone(member));
            }
            Change::Advance { host, from } => match from.next() {
                Some(to) => {
                    next.set_status(*host, *from, to)?;
                    next.change_tokens(*host, *from);
                    if let Status::Succeeding(other) = from {
                        next.members.retain(|_, member| member.host != *other);
                    }
                }
                None => {
                    let number = self.known(*host)?;
                    next.members
                        .remove(&number)
                        .filter(|member| member.status == *from)
                        .ok_or_else(|| Outcome::Refused(format!("{host} is not {from:?}")))?;
                }
            },
            Change::Leave(host) => {
                self.refuse_to_lose(*host)?;
                next.set_status(*host, Status::Normal, Status::Leaving)?;
            }
            Change::Remove(host) => {
                next.give_up_leaving(*host);
                next.refuse_to_lose(*host)?;
                // It may have begun to leave before it was lost.
                if next.set_status(*host, Status::Leaving, Status::Removing).is_err() {
                    next.set_status(*host, Status::Normal, Status::Removing)?;
                }
            }
            Change::Cancel(host) => {
                let number = self.known(*host)?;
                match self.members[&number].status {
                    status if status.is_new() => drop(next.members.remove(&number)),
                    Status::Removing => next.set_status(*host, Status::Removing, Status::Normal)?,
                    Status::Moving => next.give_up_moving(),
                    _ => next.set_status(*host, Status::Leaving, Status::Normal)?,
                }
            }
            Change::Move { host, tokens } => {
                self.refuse_while_changing(*host)?;
                self.refuse_tokens(*host, tokens)?;
                next.set_status(*host, Status::Normal, Status::Moving)?;
                let number = self.known(*host)?;
                if let Some(member) = next.members.get_mut(&number) {
                    member.other_tokens.clone_from(tokens);
                }
            }
            Change::Assassinate(host) => {
                let number = self.known(*host)?;
                next.give_up_leaving(*host);
                next.refuse_while_changing(*host)?;
                next.refuse_to_lose(*host)?;
                next.members.remove(&number);
            }
            Change::Moved { host, internode, native } => {
                // A member says that of itself.
                let number = self.number_of(*host).ok_or_else(|| Outcome::Refused(was_removed(*host)))?;
                self.refuse_address(*host, *internode)?;
                if let Some(member) = next.members.get_mut(&number) {
                    (member.internode, member.native) = (*internode, *native);
                }
            }
        }
        next.members_version = next.version;
        Ok(next)
    }

    fn known(&self, host: Uuid) -> Result<u64, Outcome> {
        self.number_of(host).ok_or_else(|| Outcome::Refused(format!("{host} is not a member")))
    }

    fn refuse_address(&self, host: Uuid, internode: SocketAddr) -> Result<(), Outcome> {
        let taken = self.members.values().find(|member| member.internode == internode && member.host != host);
        taken.map_or(Ok(()), |member| {
            Err(Outcome::Refused(format!(
                "{internode} is the address of {}: if that node has lost its data, start with --replace {}, or \
                 remove it first (nodetool removenode {}, on another node)",
                member.host, member.host, member.host
            )))
        })
    }

    fn refuse_join(&self, member: &Member) -> Result<(), Outcome> {
        if self.number_of(member.host).is_some() {
            return Err(Outcome::Refused(format!("{} is a member already", member.host)));
        }
        self.refuse_address(member.host, member.internode)?;
        self.refuse_while_changing(member.host)?;
        self.refuse_taken(&member.tokens)
    }

    fn refuse_taken(&self, tokens: &[Token]) -> Result<(), Outcome> {
        let taken = |token: &Token| self.members.values().any(|other| other.tokens.contains(token));
        match tokens.iter().find(|token| taken(token)) {
            Some(token) => Err(Outcome::Refused(format!("the token {token} is taken"))),
            None => Ok(()),
        }
    }

    /// A member has as many tokens behind a move as before.
    fn refuse_tokens(&self, host: Uuid, tokens: &[Token]) -> Result<(), Outcome> {
        let present = &self.members[&self.known(host)?].tokens;
        if tokens.len() != present.len() {
            return Err(Outcome::Refused(format!(
                "{host} has {} tokens, not {}",
                present.len(),
                tokens.len()
            )));
        }
        self.refuse_taken(tokens)
    }

    /// A member takes the place of one that stays as it is until then.
    fn refuse_replacement(&self, member: &Member, host: Uuid) -> Result<(), Outcome> {
        let replaced = &self.members[&self.known(host)?];
        if replaced.status != Status::Normal {
            return Err(Outcome::Busy(format!("{host} is {:?}", replaced.status)));
        }
        let differs = |what: &str, own: &str, other: &str| {
            Err(Outcome::Refused(format!(
                "the node has {what} `{own}`, and {host}, which it is to replace, `{other}`"
            )))
        };
        if member.data_center != replaced.data_center {
            return differs("data centre", &member.data_center, &replaced.data_center);
        }
        if member.rack != replaced.rack {
            return differs("rack", &member.rack, &replaced.rack);
        }
        if member.tokens != replaced.tokens {
            return Err(Outcome::Conflict);
        }
        let mut others = self.clone();
        others.members.retain(|_, other| other.host != host);
        others.refuse_join(member)
    }

    /// Whoever moves stays where it is.
    fn give_up_moving(&mut self) {
        for member in self.members.values_mut().filter(|member| member.status == Status::Moving) {
            member.status = Status::Normal;
            member.other_tokens.clear();
        }
    }

    /// A member that moves goes over to its other tokens, and then forgets those before.
    fn change_tokens(&mut self, host: Uuid, from: Status) {
        let Some(member) = self.members.values_mut().find(|member| member.host == host) else { return };
        match from {
            Status::Moving => std::mem::swap(&mut member.tokens, &mut member.other_tokens),
            Status::Moved => member.other_tokens.clear(),
            _ => {}
        }
    }

    /// Has others than this member, which is down, stay as they are: it will never fetch what they hand on.
    fn give_up_leaving(&mut self, host: Uuid) {
        self.give_up_moving();
        for member in self.members.values_mut().filter(|member| member.host != host) {
            if matches!(member.status, Status::Leaving | Status::Removing) {
                member.status = Status::Normal;
            }
        }
    }

    fn refuse_to_lose(&self, host: Uuid) -> Result<(), Outcome> {
        self.refuse_while_changing(host)?;
        let mut holders = self.members.values().filter(|member| member.status == Status::Normal);
        if holders.all(|member| member.host == host) {
            return Err(Outcome::Refused(format!("{host} is the only member that holds data")));
        }
        Ok(())
    }

    /// Who holds what changes by one thing at a time.
    fn refuse_while_members_change(&self) -> Result<(), Outcome> {
        let changing = self.members.values().find(|member| member.status != Status::Normal);
        changing.map_or(Ok(()), |member| Err(Outcome::Busy(keeps_replication(member))))
    }

    /// One member joins or leaves at a time: so each knows from whom it takes what.
    fn refuse_while_changing(&self, host: Uuid) -> Result<(), Outcome> {
        let mut changing = self.members.values().filter(|member| member.status != Status::Normal);
        changing.find(|member| member.host != host).map_or(Ok(()), |member| {
            let (host, status) = (member.host, member.status);
            Err(Outcome::Busy(format!("{host} is {status:?}: one member joins or leaves at a time")))
        })
    }

    fn set_status(&mut self, host: Uuid, from: Status, to: Status) -> Result<(), Outcome> {
        let number = self.known(host)?;
        let member = self.members.get_mut(&number).filter(|member| member.status == from);
        let member = member.ok_or_else(|| Outcome::Refused(format!("{host} is not {from:?}")))?;
        member.status = to;
        Ok(())
    }
}

/// What whoever alters a replication is told while a member changes.
#[must_use]
pub fn keeps_replication(changing: &Member) -> String {
    format!(
        "Cannot alter the replication of a keyspace while a member joins, leaves or moves: {} is {:?}",
        changing.internode, changing.status
    )
}

/// What a node is told that is no member any more.
#[must_use]
pub fn was_removed(host: Uuid) -> String {
    format!(
        "the node {host} was removed from its cluster: to take it in again, start it with an empty data directory"
    )
}

#[cfg(test)]
#[path = "state_tests.rs"]
pub(super) mod tests;
