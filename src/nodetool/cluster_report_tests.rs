//! What nodetool prints of clusters.

use super::*;
use serde_json::json;

fn member(address: &str, data_center: &str, status: &str, tokens: &[&str]) -> Value {
    json!({
        "address": address, "data_center": data_center, "rack": "r1", "status": status, "tokens": tokens,
        "load_bytes": 71_711, "owns": 0.6667, "host_id": "00000000-0000-0000-0000-000000000001",
    })
}

#[test]
fn the_status_has_a_heading_for_each_data_centre() {
    let members = [
        member("127.0.0.1", "b", "UN", &["1"]),
        member("127.0.0.2", "a", "DN", &["2", "3"]),
        member("127.0.0.3", "b", "UJ", &["4"]),
    ];
    let text = status(&json!({ "members": members, "note": null }));
    assert_eq!(text.matches("Datacenter: ").count(), 2);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "Datacenter: a",
            "=============",
            "Status=Up/Down",
            "|/ State=Normal/Leaving/Joining/Moving",
            "--  Address    Load        Tokens  Owns (effective)  Host ID                               Rack ",
            "DN  127.0.0.2  70.03 KiB   2       66.7%             00000000-0000-0000-0000-000000000001  r1   ",
        ]
    );
    assert!(lines.iter().any(|line| line.starts_with("UJ  127.0.0.3")));
}

#[test]
fn what_is_not_known_of_members_is_a_question_mark_and_the_note_says_why() {
    let unknown = json!({ "address": "127.0.0.1", "data_center": "a", "status": "DN", "tokens": ["1"] });
    let text = status(&json!({ "members": [unknown], "note": "name a keyspace" }));
    assert!(text.contains("DN  127.0.0.1  ?           1       ?     "), "{text}");
    assert!(text.contains("  Owns  Host ID") && text.ends_with("\nNote: name a keyspace\n"), "{text}");
}

#[test]
fn the_ring_has_a_line_for_each_token_and_begins_with_the_last_one() {
    let members = [
        member("127.0.0.1", "a", "UN", &["-5", "30"]),
        member("127.0.0.2", "a", "DL", &["20"]),
        member("127.0.0.3", "a", "UM", &["25"]),
    ];
    let text = ring(&json!({ "members": members, "note": null }));
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1..4].concat()[..4], ["Datacenter:", "a", "==========", "Address"]);
    assert_eq!(lines[4], ["30"]);
    assert_eq!(lines[5], ["127.0.0.1", "r1", "Up", "Normal", "70.03", "KiB", "66.67%", "-5"]);
    assert_eq!(lines[6], ["127.0.0.2", "r1", "Down", "Leaving", "70.03", "KiB", "66.67%", "20"]);
    assert_eq!(lines[7], ["127.0.0.3", "r1", "Up", "Moving", "70.03", "KiB", "66.67%", "25"]);
    assert_eq!(lines[8].last(), Some(&"30"));
    assert!(text.contains("nodetool status"));
}

#[test]
fn gossip_is_told_as_key_version_and_value() {
    let values = [json!({ "key": "LOAD", "version": 7, "value": "71711" })];
    let of = |address: &str| json!({ "address": address, "generation": 5, "heartbeat": 9, "values": values });
    let text = gossip(&json!({ "endpoints": [of("127.0.0.2:7000"), of("127.0.0.1:7000")] }));
    let one = "  generation:5\n  heartbeat:9\n  LOAD:7:71711\n";
    assert_eq!(text, format!("/127.0.0.1:7000\n{one}/127.0.0.2:7000\n{one}"));
    assert_eq!(gossip_status(&json!({ "running": false })), "not running\n");
}

#[test]
fn the_cluster_is_described_with_who_has_which_schema_and_who_does_not_answer() {
    let text = cluster(&json!({
        "name": "c", "partitioner": "p", "cluster_id": "i", "schema_epoch": 3,
        "schema_versions": { "v1": ["127.0.0.1", "127.0.0.2"] }, "unreachable": ["127.0.0.3"],
        "live": 2, "joining": 0, "moving": 0, "leaving": 1, "versions": { "5.0.6": ["127.0.0.1"] },
        "data_centers": [{ "name": "a", "nodes": 3, "down": 1 }],
        "keyspaces": [{ "name": "ks", "class": "org.apache.cassandra.locator.SimpleStrategy",
                        "options": { "replication_factor": "3" } }],
    }));
    for expected in [
        "\tName: c\n",
        "\t\tv1: [127.0.0.1, 127.0.0.2]\n",
        "\t\tUNREACHABLE: [127.0.0.3]\n",
        "\tLive: 2\n",
        "\tLeaving: 1\n\tUnreachable: 1\n",
        "\ta #Nodes: 3 #Down: 1\n",
        "\t5.0.6: [127.0.0.1]\n",
        "\tks -> Replication class: SimpleStrategy {replication_factor=3}\n",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn ranges_are_told_with_who_holds_them() {
    let replica = json!({ "address": "127.0.0.1", "native": "127.0.0.1", "data_center": "a", "rack": "r" });
    let range = json!({ "start": "-5", "end": "7", "replicas": [replica] });
    let text = ranges(&json!({ "schema_version": "v", "ranges": [range] }));
    assert_eq!(
        text,
        "Schema Version:v\nTokenRange: \n\tTokenRange(start_token:-5, end_token:7, endpoints:[127.0.0.1], \
         rpc_endpoints:[127.0.0.1], endpoint_details:[EndpointDetails(host:127.0.0.1, datacenter:a, rack:r)])\n"
    );
    assert_eq!(endpoints(&json!({ "endpoints": ["127.0.0.1", "127.0.0.2"] })), "127.0.0.1\n127.0.0.2\n");
}

#[test]
fn members_that_are_being_removed_are_named() {
    assert_eq!(removal(&json!({ "removed": [] })), "RemovalStatus: No token removals in process.\n");
    let removed = json!({ "removed": [{ "address": "127.0.0.2", "host": "h" }] });
    assert_eq!(removal(&removed), "RemovalStatus: Removing 127.0.0.2 (h). Others fetch what it held.\n");
}

#[test]
fn what_is_fetched_and_the_hints_for_each_target_are_told() {
    let target = json!({ "address": "127.0.0.2", "alive": false, "files": 2, "bytes": 2_048, "oldest_age_seconds": 30 });
    let hints =
        json!({ "handed_off": true, "waiting": [target], "written": 5, "delivered": 1, "handed_on": 2 });
    let fetched = json!({ "ranges": 4, "ranges_done": 3, "ranges_kept": 2, "files": 1, "partitions": 5, "bytes": 1_024 });
    let text = network(&json!({ "mode": "NORMAL", "fetched": fetched, "sent_bytes": 2_048, "hints": hints }));
    assert_eq!(
        text,
        "Mode: NORMAL\nFetching: 3 of 4 ranges (2 of them before), 1 files, 5 partitions, 1.00 KiB\nSent to nodes that fetch: 2.00 KiB\n\
         Hints for 127.0.0.2 (down): 2.00 KiB in 2 files, the oldest 30 s old\n\
         Hints since the start: 5 written, 1 delivered, 2 handed on, 0 refused, 0 lost, 0 expired\n"
    );
    let nothing = network(&json!({ "mode": "LEAVING", "sent_bytes": 0 }));
    let lines: Vec<&str> = nothing.lines().take(4).collect();
    let expected =
        ["Mode: LEAVING", "Nothing is fetched.", "Sent to nodes that fetch: 0 bytes", "No hints wait."];
    assert_eq!(lines, expected);
}
