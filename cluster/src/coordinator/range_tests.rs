use super::*;
use dodona_types::PartitionKey;

fn keys() -> Vec<PartitionKey> {
    (0..=255u8).map(|byte| PartitionKey::new(vec![byte].into())).collect()
}

fn contains(range: &PartitionRange, key: &PartitionKey) -> bool {
    range.starts_before(key.as_ref()) && range.ends_after(key.as_ref())
}

#[test]
fn parts_hold_each_partition_once() {
    let keys = keys();
    let mut ends: Vec<Token> = [3usize, 40, 90, 200].map(|index| keys[index].token()).to_vec();
    ends.extend([Token(0), Token::MAX]);
    ends.sort_unstable();
    let bounds = [
        RangeBound::Unbounded,
        RangeBound::Token(keys[40].token(), true),
        RangeBound::Token(keys[40].token(), false),
        RangeBound::Key(keys[90].clone(), true),
        RangeBound::Key(keys[90].clone(), false),
        RangeBound::Key(keys[7].clone(), true),
        RangeBound::Token(Token(0), false),
    ];
    for start in &bounds {
        for end in &bounds {
            let range = PartitionRange { start: start.clone(), end: end.clone() };
            let starts = std::iter::once(None).chain(ends.iter().copied().map(Some));
            let parts: Vec<PartitionRange> =
                starts.zip(&ends).filter_map(|(start, end)| part_of(&range, start, *end)).collect();
            for key in &keys {
                let holding = parts.iter().filter(|part| contains(part, key)).count();
                assert_eq!(holding, usize::from(contains(&range, key)), "{range:?} {key:?} {parts:?}");
            }
        }
    }
}

#[test]
fn more_ranges_are_read_at_once_the_fewer_rows_and_bytes_come() {
    let come = |so_far, left| Come { so_far, left };
    let no_bytes = come(0, 1_000);
    assert_eq!(concurrency(come(0, 100), no_bytes, 1), MAX_CONCURRENCY);
    assert_eq!(concurrency(come(50, 50), no_bytes, 1), 1);
    assert_eq!(concurrency(come(10, 90), no_bytes, 1), 9);
    assert_eq!(concurrency(come(5, u64::MAX - 5), no_bytes, 1), MAX_CONCURRENCY);
    assert_eq!(concurrency(come(10, 90), come(400, 600), 1), 2);
    assert_eq!(concurrency(come(10, 990), come(800, 200), 4), 1);
    assert_eq!(concurrency(come(10, 990), come(1_000, 0), 4), 1);
}
