//! Writes from one data centre to another.

use crate::model::Action;
use crate::script::{Cluster, KEYS, comes_to_its_end, until};
use crate::world::mutation;
use dodona_cluster::Node;
use dodona_types::Consistency;
use std::time::Duration;

const FAR: [usize; 3] = [2, 3, 4];

const TWO_AND_THREE: Cluster =
    Cluster { begin: 5, joins: 0, far: FAR.len(), copies: 2, grace: 864_000, repairs: false, watch: |_| {} };

async fn write_everywhere(node: &Node, key: u8) -> bool {
    let written = mutation((key, 0), node.timestamps.next(), Action::Put(7), 0);
    node.coordinator.write(std::slice::from_ref(&written), Consistency::All).await.is_ok()
}

/// Writes until all are reached.
async fn begin(node: &Node) {
    while !write_everywhere(node, 0).await {
        dodona_env::clock::sleep(Duration::from_millis(100)).await;
    }
}

/// Requests that a node has sent to those far away.
fn sent_afar(node: &Node) -> u64 {
    let members = node.placement();
    let to = |place: &usize| {
        let to = node.outbound(members.ring.members()[*place].internode);
        to.map_or(0, |(counts, _)| counts.sent.get().0)
    };
    FAR.iter().map(to).sum()
}

#[test]
fn a_write_crosses_the_way_to_another_data_centre_once() {
    comes_to_its_end(TWO_AND_THREE, |first, shared| async move {
        begin(&first).await;
        let before = sent_afar(&first);
        for key in 0..KEYS {
            assert!(write_everywhere(&first, key).await);
            assert_eq!(shared.holders(key), [0, 1, 2, 3, 4]);
        }
        let sent = sent_afar(&first) - before;
        // Some messages of gossip are among them.
        assert!((u64::from(KEYS)..u64::from(KEYS) + 12).contains(&sent), "{sent}");
    });
}

#[test]
fn a_replica_that_the_others_of_its_data_centre_do_not_reach_is_written_to_all_the_same() {
    comes_to_its_end(TWO_AND_THREE, |first, shared| async move {
        begin(&first).await;
        turmoil::hold("n5", "n3");
        turmoil::hold("n5", "n4");
        // Until it is seen that connections are broken.
        let mut in_a_row = 0;
        for _ in 0..200 {
            in_a_row = if write_everywhere(&first, 0).await { in_a_row + 1 } else { 0 };
            if in_a_row == 10 {
                break;
            }
        }
        for key in 1..KEYS {
            assert!(write_everywhere(&first, key).await, "{key}");
            assert_eq!(shared.holders(key), [0, 1, 2, 3, 4]);
        }
        until(|| first.hints.pending().is_empty()).await;
    });
}
