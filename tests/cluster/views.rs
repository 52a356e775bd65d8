//! What nodes tell of one another's work and state by `system_views`.

use crate::nodes::*;
use std::collections::BTreeSet;

/// The count of a table's row in a view.
fn count(node: &Node, view: &str) -> u64 {
    let of = "WHERE keyspace_name = 'ks' AND table_name = 't'";
    let answer = node.cql(&format!("SELECT count FROM system_views.{view} {of}"));
    let number = answer.lines().find_map(|line| line.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn replicas_count_what_they_do_and_coordinators_what_they_answer() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, _) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 10);
    for _ in 0..4 {
        nodes[1].cql("CONSISTENCY ALL; SELECT * FROM ks.t WHERE k = 3");
    }
    nodes[1].cql("CONSISTENCY ONE; SELECT * FROM ks.t WHERE k = 3; SELECT * FROM ks.t");
    let of = |view: &str| nodes.iter().map(|node| count(node, view)).collect::<Vec<_>>();
    assert_eq!(of("coordinator_write_latency"), [10, 0, 0]);
    assert_eq!(of("coordinator_read_latency"), [0, 5, 0]);
    assert_eq!(of("coordinator_scan_latency"), [0, 1, 0]);
    assert_eq!(of("local_write_latency"), [10, 10, 10]);
    assert_eq!(of("local_scan_latency"), [0, 1, 0]);
    // Data of one, digests of the others.
    assert_eq!(of("local_read_latency"), [4, 5, 4]);
    assert_eq!(of("rows_per_read"), [4, 6, 4]);
    let statistics = nodes[2].nodetool(&["tablestats", "ks.t"]);
    assert!(statistics.contains("\t\tLocal read count: 4\n"), "{statistics}");
    assert!(statistics.contains("\t\tLocal write count: 10\n"), "{statistics}");
    let histograms = nodes[2].nodetool(&["tablehistograms", "ks", "t"]);
    assert!(
        histograms.starts_with("ks/t histograms\nPercentile  SSTables     Write Latency"),
        "{histograms}"
    );

    let traffic = |view: &str, columns: &str| {
        let answer = nodes[0].cql(&format!("SELECT port, {columns} FROM system_views.internode_{view}"));
        let row = |line: &str| line.split(" | ").map(|cell| cell.trim().parse().ok()).collect::<Option<_>>();
        answer.lines().filter_map(row).collect::<Vec<Vec<u64>>>()
    };
    let ports = |rows: &[Vec<u64>]| rows.iter().map(|row| row[0] as u16).collect::<BTreeSet<u16>>();
    let others = nodes[1..].iter().map(|node| node.place.internode).collect::<BTreeSet<u16>>();
    let sent = traffic("outbound", "sent_count, sent_bytes, active_connections, pending_count");
    assert_eq!(ports(&sent), others);
    // Ten writes and gossip.
    assert!(sent.iter().all(|row| row[1] > 10 && row[2] > row[1] * 30 && row[3] >= 1), "{sent:?}");
    let received = traffic("inbound", "received_count, received_bytes, processed_count, expired_count");
    assert_eq!(ports(&received), others);
    assert!(received.iter().all(|row| row[1] > 4 && row[3] > 4 && row[3] + row[4] <= row[1]), "{received:?}");

    let known = nodes[2].cql("SELECT port, dc, rpc_ready FROM system_views.gossip_info");
    for node in &nodes {
        assert!(known.contains(&format!(" {} ", node.place.internode)), "{known}");
    }
    let killed = nodes.pop().unwrap().kill();
    until_within(UNTIL_DEAD, "it is seen to be down", || nodes[0].sees_up() == 2);
    nodes[0].cql("CONSISTENCY QUORUM; INSERT INTO ks.t (k, v) VALUES (1, 'meanwhile')");
    let hints = nodes[0].cql("SELECT port, dc, rack, status FROM system_views.pending_hints");
    let wanted = [&*killed.internode.to_string(), "datacenter1", "rack1", "DOWN"];
    assert!(hints.lines().any(|line| line.split(" | ").map(str::trim).eq(wanted)), "{hints}");
}
