//! The ring: which node owns which tokens. A pure function of the metadata.

use dodona_types::Token;
use dodona_types::token::TokenRange;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// How far a member is with joining or leaving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It fetches what it will hold. It is written to already, and not read.
    Joining,
    /// It has what it holds, and is read. Those that it takes over from are still written to, as long
    /// as a node may not have heard of it.
    Arriving,
    /// It holds its ranges.
    #[default]
    Normal,
    /// Others fetch what it holds. They are written to already; it alone is read.
    Leaving,
    /// It is down, and others fetch what it holds from those that hold the same.
    Removing,
    /// Others have what it held, and are read. It is still written to, as long as a node may not have
    /// heard of it.
    Departing,
    /// It fetches what the member with this host id holds, which is down. It is written to already, and
    /// not read.
    Replacing(Uuid),
    /// It has that and is read. The other one is still written to, as long as a node may not have heard of
    /// it; it is no member any more once that is over.
    Succeeding(Uuid),
    /// It is to have the tokens [`Member::other_tokens`] instead of its own. It and others fetch what that
    /// brings them, and are written to already; its own are read.
    Moving,
    /// It has them, and they are read. Those before are still written to, as long as a node may not have
    /// heard of it.
    Moved,
}

impl Status {
    /// What comes next; none for a member that is gone then.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Joining => Some(Self::Arriving),
            Self::Replacing(other) => Some(Self::Succeeding(other)),
            Self::Arriving | Self::Succeeding(_) | Self::Moved | Self::Normal => Some(Self::Normal),
            Self::Moving => Some(Self::Moved),
            Self::Leaving | Self::Removing => Some(Self::Departing),
            Self::Departing => None,
        }
    }

    /// True for a member whose ranges are read.
    #[must_use]
    pub const fn is_read(self) -> bool {
        self.stays() || matches!(self, Self::Arriving | Self::Leaving | Self::Removing | Self::Succeeding(_))
    }

    /// True for a member that is one for good, whatever becomes of its tokens.
    #[must_use]
    pub const fn stays(self) -> bool {
        matches!(self, Self::Normal | Self::Moving | Self::Moved)
    }

    /// True for a member that is about to be none.
    #[must_use]
    pub const fn goes(self) -> bool {
        matches!(self, Self::Leaving | Self::Removing | Self::Departing)
    }

    /// True for a member that is new, and not read yet.
    #[must_use]
    pub const fn is_new(self) -> bool {
        matches!(self, Self::Joining | Self::Replacing(_))
    }
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its host id.
    pub host: Uuid,
    /// How far it is with joining or leaving.
    pub status: Status,
    /// Its data centre.
    pub data_center: String,
    /// Its rack.
    pub rack: String,
    /// Where other nodes reach it.
    pub internode: SocketAddr,
    /// Where clients reach it.
    pub native: SocketAddr,
    /// The ends of the token ranges it owns.
    pub tokens: Vec<Token>,
    /// While it moves, those that it will own, or owned until now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_tokens: Vec<Token>,
}

impl Member {
    /// True if an operator means this member: by its host id, or by its address with its port or without.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.host.to_string() == name
            || self.internode.to_string() == name
            || self.internode.ip().to_string() == name
    }

    /// The tokens that it owns on the other side of the change that is under way.
    fn tokens_on_other_side(&self) -> &[Token] {
        if matches!(self.status, Status::Moving | Status::Moved) { &self.other_tokens } else { &self.tokens }
    }
}

/// The place of a member in [`Ring::members`].
pub type MemberIndex = usize;

/// Members and their tokens.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    members: Arc<[Member]>,
    /// Of each member the place of the first one of its data centre.
    centers: Arc<[MemberIndex]>,
    /// Ends of ranges, sorted, each with the owner of the range.
    tokens: Vec<(Token, MemberIndex)>,
}

impl Ring {
    /// The ring of these members as it is read.
    #[must_use]
    pub fn new(members: impl Into<Arc<[Member]>>) -> Self {
        let replaced = |status| match status {
            Status::Succeeding(other) => Some(other),
            _ => None,
        };
        let members: Arc<[Member]> = members.into();
        let center = |member: &Member| {
            let first = members.iter().position(|first| first.data_center == member.data_center);
            first.unwrap_or_default()
        };
        let centers = members.iter().map(center).collect();
        Self::of(members, centers, Status::is_read, |member| &member.tokens, replaced)
    }

    /// The ring on the other side of the change that is under way: as it will be, or as it was. It is
    /// written to as well. The members and their places are the same.
    #[must_use]
    pub fn other_side(&self) -> Self {
        let owns = |status: Status| status.is_new() || status.stays() || status == Status::Departing;
        let replaced = |status| match status {
            Status::Replacing(other) => Some(other),
            _ => None,
        };
        let (members, centers) = (Arc::clone(&self.members), Arc::clone(&self.centers));
        Self::of(members, centers, owns, Member::tokens_on_other_side, replaced)
    }

    /// The ring of the members of which `owns` is true, but for those in whose place others are.
    fn of(
        members: Arc<[Member]>,
        centers: Arc<[MemberIndex]>,
        owns: impl Fn(Status) -> bool,
        tokens_of: impl Fn(&Member) -> &[Token],
        in_place_of: impl Fn(Status) -> Option<Uuid>,
    ) -> Self {
        let replaced: Vec<Uuid> = members.iter().filter_map(|member| in_place_of(member.status)).collect();
        let mut tokens: Vec<(Token, MemberIndex)> = members
            .iter()
            .enumerate()
            .filter(|(_, member)| owns(member.status) && !replaced.contains(&member.host))
            .flat_map(|(index, member)| tokens_of(member).iter().map(move |token| (*token, index)))
            .collect();
        tokens.sort_unstable();
        Self { members, centers, tokens }
    }

    /// A number of a member's data centre: the place of the first member there.
    #[must_use]
    pub fn center(&self, index: MemberIndex) -> MemberIndex {
        self.centers[index]
    }

    /// True if a member joins or leaves.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.members.iter().any(|member| member.status != Status::Normal)
    }

    /// True for a member that is given up: it is removed, or another one takes its place.
    #[must_use]
    pub fn is_given_up(&self, index: MemberIndex) -> bool {
        is_given_up(self.members.iter(), &self.members[index])
    }

    /// True for a member that clients are told of: it does not still fetch its data, and no other is read
    /// in its place.
    #[must_use]
    pub fn is_shown(&self, index: MemberIndex) -> bool {
        let shown = &self.members[index];
        !shown.status.is_new()
            && self.members.iter().all(|member| member.status != Status::Succeeding(shown.host))
    }

    /// All members.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with this host id.
    #[must_use]
    pub fn member(&self, host: Uuid) -> Option<&Member> {
        self.members.iter().find(|member| member.host == host)
    }

    /// The owners met when walking the ring from a token on, each range once.
    pub fn walk(&self, token: Token) -> impl Iterator<Item = MemberIndex> + '_ {
        let start = self.tokens.partition_point(|(end, _)| *end < token);
        self.tokens[start..].iter().chain(&self.tokens[..start]).map(|(_, owner)| *owner)
    }

    /// The members that own ranges.
    #[must_use]
    pub fn owners(&self) -> Vec<MemberIndex> {
        let mut owners: Vec<MemberIndex> = self.tokens.iter().map(|(_, owner)| *owner).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// The ends of all ranges, in order.
    pub fn ends(&self) -> impl Iterator<Item = Token> + '_ {
        self.tokens.iter().map(|(end, _)| *end)
    }

    /// All ranges of the ring.
    pub fn ranges(&self) -> impl Iterator<Item = TokenRange> + '_ {
        let before = self.tokens.iter().cycle().skip(self.tokens.len().saturating_sub(1));
        before.zip(&self.tokens).map(|((start, _), (end, _))| TokenRange { start: *start, end: *end })
    }
}

/// True for one of the members that is given up: it is removed, or another one takes its place.
pub fn is_given_up<'a>(members: impl Iterator<Item = &'a Member>, member: &Member) -> bool {
    member.status == Status::Removing || has_successor(members, member)
}

/// True for a member whose place another one takes.
pub fn has_successor<'a>(mut members: impl Iterator<Item = &'a Member>, member: &Member) -> bool {
    let takes_its_place = |other: &Member| matches!(other.status, Status::Replacing(host) | Status::Succeeding(host) if host == member.host);
    members.any(takes_its_place)
}

/// Tokens that cut the ring into `count` equal parts for each of `nodes`, for the node `index`:
/// what a cluster whose members are all known from the start uses.
#[must_use]
pub fn even_tokens(nodes: usize, index: usize, count: usize) -> Vec<Token> {
    let total = (nodes * count).max(1) as u128;
    (0..count)
        .map(|n| {
            let part = (n * nodes + index + 1) as u128;
            Token::from_ordinal(((u128::from(u64::MAX) * part) / total) as u64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_tokens_give_every_node_the_same_share() {
        let member = |index| Member {
            host: Uuid::from_u128(index as u128),
            status: Status::Normal,
            data_center: "dc1".into(),
            rack: "r1".into(),
            internode: SocketAddr::from(([127, 0, 0, 1], 7000)),
            native: SocketAddr::from(([127, 0, 0, 1], 9042)),
            tokens: even_tokens(3, index, 16),
            other_tokens: Vec::new(),
        };
        let ring = Ring::new((0..3).map(member).collect::<Vec<_>>());
        let mut shares = [0u128; 3];
        for range in ring.ranges() {
            let owner = ring.walk(range.end).next().unwrap();
            shares[owner] += u128::from(range.end.ordinal().wrapping_sub(range.start.ordinal()));
        }
        let third = u128::from(u64::MAX) / 3;
        assert!(shares.iter().all(|share| share.abs_diff(third) < third / 1_000), "{shares:?}");
    }
}
