//! Groups that take more than one read, and their pages.
#![allow(missing_docs)]

mod common;

use common::{TestNode, local};

#[test]
fn groups_of_more_rows_than_one_read_brings_are_whole_and_come_in_pages() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE TABLE ks.t (k int, a int, c int, v text, PRIMARY KEY (k, a, c))",
        )
        .await;
        let value = "v".repeat(1_500);
        for k in 1..=2 {
            for a in 1..=3 {
                for c in 0..10 {
                    let insert = |n| {
                        format!(
                            "INSERT INTO ks.t (k, a, c, v) VALUES ({k}, {a}, {}, '{value}');",
                            c * 100 + n
                        )
                    };
                    let rows = (0..100).map(insert).collect::<String>();
                    node.run_all(&format!("BEGIN UNLOGGED BATCH {rows} APPLY BATCH")).await;
                }
            }
        }
        let select = "SELECT k, a, count(v), max(c) FROM ks.t WHERE k IN (1, 2) GROUP BY k, a";
        let group = |k: i64, a: i64| vec![k, a, 1_000, 999];
        let all: Vec<Vec<i64>> = (1..=2).flat_map(|k| (1..=3).map(move |a| group(k, a))).collect();
        assert_eq!(node.pages(select, None).await, [&all[..]]);
        assert_eq!(node.pages(select, Some(6)).await, [&all[..]]);
        assert_eq!(node.pages(select, Some(4)).await, [all[..4].to_vec(), all[4..].to_vec()]);
        let each: Vec<_> = all.iter().map(|group| vec![group.clone()]).collect();
        assert_eq!(node.pages(select, Some(1)).await, each);
        // What is left of limits goes from page to page.
        let limited = format!("{select} PER PARTITION LIMIT 2 LIMIT 3");
        let first = [all[0].clone(), all[1].clone(), all[3].clone()];
        assert_eq!(node.pages(&limited, None).await, [first.to_vec()]);
        assert_eq!(node.pages(&limited, Some(2)).await, [first[..2].to_vec(), first[2..].to_vec()]);
        let one_each = format!("{select} PER PARTITION LIMIT 1");
        assert_eq!(node.pages(&one_each, None).await, [[group(1, 1), group(2, 1)]]);
        assert_eq!(node.pages(&one_each, Some(1)).await, [[group(1, 1)], [group(2, 1)]]);
        // Without groups there is one row, whatever the page.
        let count = node.pages("SELECT count(*) FROM ks.t", Some(1)).await;
        assert_eq!(count, [[[6_000]]]);
    });
}
