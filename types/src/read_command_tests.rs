use super::*;
use proptest::prelude::*;
use uuid::Uuid;

fn hex(command: &ReadCommand) -> String {
    let bytes = command.encode();
    assert_eq!(ReadCommand::decode(&bytes).unwrap(), *command);
    for cut in 0..bytes.len() {
        assert!(ReadCommand::decode(&bytes[..cut]).is_err());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn command(partitions: PartitionSelection) -> ReadCommand {
    ReadCommand::everything(TableId(Uuid::from_u128(7)), 9, partitions, 300)
}

fn key(bytes: &'static [u8]) -> PartitionKey {
    PartitionKey::new(Bytes::from_static(bytes))
}

/// Table and epoch.
const HEAD: &str = "000000000000000000000000000000070900000000000000";
/// Every row in order, nothing hidden, the time, and no limits.
const ALL: &str = "00010001ff0000d804ffffffffffffffffff01ffffffffffffffffff01";

#[test]
fn every_selection_of_partitions_has_these_bytes() {
    let of_key = command(PartitionSelection::Key(key(&[0xAB, 0xCD])));
    assert_eq!(hex(&of_key), format!("{HEAD}0002abcd{ALL}"));
    for (start, end, expected) in [
        (RangeBound::Unbounded, RangeBound::Unbounded, "0000"),
        (
            RangeBound::Token(Token(-2), true),
            RangeBound::Token(Token(5), false),
            "02feffffffffffffff010500000000000000",
        ),
        (RangeBound::Key(key(&[1]), true), RangeBound::Key(key(&[2, 3]), false), "04010103020203"),
    ] {
        let range = command(PartitionSelection::Range(PartitionRange { start, end }));
        assert_eq!(hex(&range), format!("{HEAD}01{expected}{ALL}"));
    }
}

#[test]
fn every_selection_of_rows_and_every_limit_has_these_bytes() {
    let whole = command(PartitionSelection::Key(key(&[])));
    let slices = vec![
        ClusteringSlice { start: Vec::new(), end: vec![1, 0] },
        ClusteringSlice { start: vec![2], end: vec![0xFF] },
    ];
    let of_slices = ReadCommand {
        clustering: ClusteringSelection::Slices(slices),
        reversed: true,
        now_seconds: -1,
        limits: ReadLimits { rows: 100, per_partition: 2 },
        ..whole.clone()
    };
    assert_eq!(hex(&of_slices), format!("{HEAD}0000000200020100010201ff0100016402"));
    let names = whole.clone().of_rows_or_first(vec![vec![1], vec![2, 3]]);
    let hidden = HiddenCells::new(vec![(ColumnId(300), i64::MAX), (ColumnId(3), -1)]);
    let of_names = [
        HEAD,
        // The key, and two names.
        "000001020101020203",
        // In order; what is hidden.
        "00020301ac02feffffffffffffffff01",
        "d804ffffffffffffffffff01ffffffffffffffffff01",
    ];
    assert_eq!(hex(&names.hiding(hidden)), of_names.concat());
    let first = whole.of_rows_or_first(Vec::new());
    assert_eq!(hex(&first), format!("{HEAD}000000010001ff0000d8040101"));
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(mut bytes: Vec<u8>, kinds in prop::array::uniform2(0u8..3)) {
        let _ = ReadCommand::decode(&bytes);
        bytes.splice(0..0, [&[0; 24][..], &kinds].concat());
        let _ = ReadCommand::decode(&bytes);
    }
}
