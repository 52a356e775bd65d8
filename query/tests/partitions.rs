//! SELECT of more partitions by their keys than are read at the same time.
#![allow(missing_docs)]

mod common;

use common::{TestNode, local};

const KEYS: i64 = 100;

/// Rows of a partition; some have none.
const fn length(key: i64) -> i64 {
    // Two are longer than what is read of one before its turn.
    if key == 10 || key == 37 { 40 } else { key % 5 }
}

async fn fill(node: &TestNode) {
    node.run_all(
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
         CREATE TABLE ks.t (k int, c int, v text, PRIMARY KEY (k, c))",
    )
    .await;
    for k in 0..KEYS {
        let value = "v".repeat(if length(k) == 40 { 16_000 } else { 10 });
        let insert = |c| format!("INSERT INTO ks.t (k, c, v) VALUES ({k}, {c}, '{value}')");
        node.run_all(&(0..length(k)).map(|c| insert(c) + "\n").collect::<String>()).await;
    }
}

/// The rows of the partitions one after another, so many of each at most; against their order those of all partitions are sorted.
fn rows(of_each: i64, is_reversed: bool) -> Vec<Vec<i64>> {
    let of_partition = |k: i64| {
        let rows = (0..length(k)).map(move |c| if is_reversed { length(k) - 1 - c } else { c });
        rows.take(of_each as usize).map(move |c| vec![k, c])
    };
    let mut rows: Vec<Vec<i64>> = (0..KEYS).flat_map(of_partition).collect();
    if is_reversed {
        rows.sort_by_key(|row| -row[1]);
    }
    rows
}

#[test]
fn rows_come_in_the_order_of_the_keys_with_limits_and_pages() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        fill(&node).await;
        let keys = (0..KEYS).map(|k| k.to_string()).collect::<Vec<_>>().join(", ");
        for (clauses, of_each, is_reversed) in [
            ("", i64::MAX, false),
            ("ORDER BY c DESC", i64::MAX, true),
            ("PER PARTITION LIMIT 2", 2, false),
            ("ORDER BY c DESC PER PARTITION LIMIT 30", 30, true),
        ] {
            let all = rows(of_each, is_reversed);
            for limit in [1, 3, 33, 60, all.len() - 1, all.len(), 10_000] {
                let expected = &all[..limit.min(all.len())];
                let select = format!("SELECT k, c FROM ks.t WHERE k IN ({keys}) {clauses} LIMIT {limit}");
                for size in [None, Some(1), Some(7), Some(50), Some(5_000)] {
                    let pages = node.pages(&select, size).await;
                    assert_eq!(pages.concat(), expected, "{clauses} LIMIT {limit} in pages of {size:?}");
                    // What is sorted comes as a whole.
                    let size = size.filter(|_| !is_reversed);
                    let most = size.map_or(usize::MAX, |size| size as usize);
                    let is_full = |page: &Vec<Vec<i64>>| page.len() == most;
                    assert!(
                        pages[..pages.len() - 1].iter().all(is_full),
                        "{clauses} LIMIT {limit} of {size:?}"
                    );
                }
            }
        }
        // Values that are filtered or counted behind what is read.
        let counted = format!("SELECT k, count(*) FROM ks.t WHERE k IN ({keys}) GROUP BY k");
        let with_rows = (0..KEYS).filter(|k| length(*k) > 0).map(|k| vec![k, length(k)]);
        assert_eq!(node.pages(&counted, Some(9)).await.concat(), with_rows.collect::<Vec<_>>());
        let filtered = format!(
            "SELECT k, c FROM ks.t WHERE k IN ({keys}) AND v = 'vvvvvvvvvv' LIMIT 70 ALLOW FILTERING"
        );
        let short = rows(i64::MAX, false).into_iter().filter(|row| length(row[0]) < 40).take(70);
        assert_eq!(node.pages(&filtered, Some(9)).await.concat(), short.collect::<Vec<_>>());
    });
}
