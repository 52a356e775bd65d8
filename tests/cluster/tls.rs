//! TLS between nodes.

use crate::nodes::*;
use std::path::PathBuf;
use std::process::Command;

/// Certificates of an authority of their own.
fn certificates(directory: PathBuf) -> PathBuf {
    let made =
        Command::new(BINARY).arg("certificates").arg(&directory).args(["--host", "127.0.0.1"]).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
    directory
}

#[test]
fn nodes_with_certificates_are_a_cluster_and_strangers_stay_outside() {
    let directory = tempfile::tempdir().unwrap();
    let ours = certificates(directory.path().join("ours"));
    let places =
        ["one", "two", "three"].map(|name| Place::new(directory.path(), name).with_certificates(&ours));
    let (nodes, seed) = start_all(&places);
    nodes[1].cql(SCHEMA);
    nodes[0].cql("CONSISTENCY QUORUM; INSERT INTO ks.t (k, v) VALUES (1, 'by TLS')");
    assert!(nodes[2].cql("CONSISTENCY QUORUM; SELECT v FROM ks.t WHERE k = 1").contains("by TLS"));
    let foreign = certificates(directory.path().join("theirs"));
    let foreign = Place::new(directory.path(), "foreign").with_certificates(&foreign);
    let plain = Place::new(directory.path(), "plain");
    let _strangers = [foreign.spawn(seed, &[]), plain.spawn(seed, &[])];
    until("the strangers and the seed say why", || {
        foreign.log().contains("its certificate is not signed by an authority of internode_tls_authority")
            && plain.log().contains("it speaks TLS, and this node does not: set internode_tls_certificate")
            && places[0].log().contains("a peer is not listened to")
    });
    let status = nodes[0].nodetool(&["status", "system_traces"]);
    assert_eq!(status.matches("127.0.0.1:").count(), 3, "{status}");
    // Other certificates of the same authority.
    for name in ["127.0.0.1.pem", "127.0.0.1.key"] {
        std::fs::remove_file(ours.join(name)).unwrap();
    }
    let lacking = nodes[0].run("nodetool", &["reloadssl"]);
    assert!(String::from_utf8_lossy(&lacking.stderr).contains("127.0.0.1.pem: "), "{lacking:?}");
    certificates(ours);
    assert_eq!(nodes[0].nodetool(&["reloadssl"]), "");
    nodes[1].cql("CONSISTENCY ALL; INSERT INTO ks.t (k, v) VALUES (2, 'still')");
}

#[test]
fn a_cluster_goes_over_to_tls_one_node_after_another() {
    let directory = tempfile::tempdir().unwrap();
    let ours = certificates(directory.path().join("ours"));
    let plain = ["one", "two", "three"].map(|name| Place::new(directory.path(), name));
    let (mut nodes, seed) = start_all(&plain);
    nodes[0].cql(SCHEMA);
    for is_tls_optional in [true, false] {
        for place in &plain {
            let place = Place { is_tls_optional, ..place.clone() }.with_certificates(&ours);
            nodes.remove(0).kill();
            nodes.push(place.start(seed));
            until("all see all", || nodes.iter().all(|node| node.sees_up() == 3));
            nodes[2].cql("CONSISTENCY ALL; INSERT INTO ks.t (k, v) VALUES (1, 'on the way')");
            nodes[0].cql("CONSISTENCY ALL; SELECT v FROM ks.t WHERE k = 1");
        }
    }
    let stranger = Place::new(directory.path(), "stranger");
    let _stranger = stranger.spawn(seed, &[]);
    until("no one is spoken with in plain", || stranger.log().contains("it speaks TLS"));
}
