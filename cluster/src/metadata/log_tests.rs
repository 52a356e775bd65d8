use super::super::state::tests::member;
use super::*;
use crate::ring::Member;
use dodona_types::schema::Schema;

fn voters(members: Vec<Member>, voting: &[u64]) -> Vec<u64> {
    let metadata = Metadata::of_members(members, Schema::default());
    voters_of(&metadata, &voting.iter().copied().collect()).into_iter().collect()
}

#[test]
fn who_leaves_or_is_replaced_votes_no_longer_and_who_took_its_place_does() {
    let normal = |number| member(number, Status::Normal);
    let third = Uuid::from_u128(3);
    let with = |status| vec![normal(1), normal(2), normal(3), member(4, status)];
    assert_eq!(voters(with(Status::Normal), &[1, 2, 3]), [1, 2, 3]);
    // It could still be given up.
    assert_eq!(voters(with(Status::Replacing(third)), &[1, 2, 3]), [1, 2, 3]);
    assert_eq!(voters(with(Status::Succeeding(third)), &[1, 2, 3]), [1, 2, 4]);
    assert_eq!(voters(with(Status::Leaving), &[1, 2, 4]), [1, 2, 3]);
    assert_eq!(voters(vec![normal(1), normal(2)], &[1]), [1, 2]);
}
