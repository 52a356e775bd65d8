use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn lines(rows: u64, seed: u64, order: Order) -> Vec<String> {
    let mut out = Vec::new();
    write_rows(&RowsArgs { rows, seed, order }, &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_rows_of_a_seed_never_change() {
    // A set that was loaded once must be comparable for ever: these two figures may not move.
    let all = lines(5_000, 7, Order::Partition).join("\n");
    assert_eq!((all.len(), crc32fast::hash(all.as_bytes())), (3_975_440, 2_644_623_732));
}

#[test]
fn both_orders_hold_the_same_lines_and_each_number_once() {
    let (mut arrival, mut partition) = (lines(5_000, 3, Order::Arrival), lines(5_000, 3, Order::Partition));
    assert_ne!(arrival, partition);
    let numbers: Vec<u64> = partition
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..5_000).collect::<Vec<_>>());
    arrival.sort_unstable();
    partition.sort_unstable();
    assert_eq!(arrival, partition);
}

#[test]
fn no_two_rows_share_a_key_and_a_partition_is_in_the_order_of_its_clustering() {
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for line in lines(20_000, 1, Order::Partition) {
        let line: Value = serde_json::from_str(&line).unwrap();
        let row = &line["row"];
        let (partition, clustering) = match line["table"].as_str().unwrap() {
            "readings" => (format!("{}/{}", row["sensor"], row["day"]), row["at"].as_i64().unwrap()),
            _ => {
                let id: uuid::Uuid = row["id"].as_str().unwrap().parse().unwrap();
                (row["stream"].to_string(), id.get_timestamp().unwrap().to_gregorian().0 as i64)
            }
        };
        assert!(seen.insert((partition.clone(), clustering)));
        assert!(last.insert(partition, clustering).is_none_or(|last| last < clustering));
    }
}

#[test]
fn the_full_set_has_streams_from_one_row_to_two_hundred_thousand() {
    let plan = Plan::new(2_000_000, 1);
    let streams: Vec<u64> = plan
        .partitions()
        .iter()
        .filter(|partition| partition.table.name() == "events")
        .map(|partition| partition.rows)
        .collect();
    assert_eq!((streams.iter().min(), streams.iter().max()), (Some(&1), Some(&200_000)));
    assert_eq!(plan.partitions().iter().map(|partition| partition.rows).sum::<u64>(), 2_000_000);
}

#[test]
fn any_number_of_rows_can_be_asked_for() {
    for rows in [0, 1, 2, 3, 7, 1_441] {
        assert_eq!(lines(rows, 1, Order::Arrival).len() as u64, rows);
    }
}
