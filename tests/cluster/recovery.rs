//! Two of three nodes are lost for good: the one that is left goes on with schema and members.

use crate::nodes::*;

#[test]
fn the_last_of_three_recovers_the_metadata_log_and_takes_new_nodes_in() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 100);
    let status = nodes[0].nodetool(&["status", "system_traces"]);
    let host_of = |port: u16| {
        let line = status.lines().find(|line| line.contains(&format!(":{port} "))).unwrap();
        line.split_whitespace().rev().nth(1).unwrap().to_owned()
    };
    // Nothing is lost yet.
    let third = nodes.pop().unwrap().kill();
    let needless = third.refused(seed, &["--recover-metadata"]);
    assert!(needless.contains("a majority") && needless.contains("start without"), "{needless}");
    let new = Place::new(directory.path(), "new").refused(seed, &["--recover-metadata"]);
    assert!(new.contains("the data directory is new"), "{new}");
    let second = nodes.pop().unwrap().kill();
    for lost in [&second, &third] {
        std::fs::remove_dir_all(&lost.data).unwrap();
    }
    let left = nodes.pop().unwrap();
    let stuck = left.try_cql("CREATE TABLE ks.more (k int PRIMARY KEY)").unwrap_err();
    assert!(stuck.contains("no majority of the members"), "{stuck}");
    let place = left.kill();
    let left = place.start_with(seed, &["--recover-metadata"]);
    assert!(place.log().contains("GOES ON WITHOUT THOSE WHO VOTED"), "{}", place.log());
    // It may have come with the log, or not.
    left.cql("CREATE TABLE IF NOT EXISTS ks.more (k int PRIMARY KEY)");
    let count = left.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == "100"), "{count}");
    let down = |node: &Node| node.nodetool(&["status", "system_traces"]).matches("\nDN  ").count();
    until_within(UNTIL_DEAD, "both are seen to be down", || down(&left) == 2);
    left.nodetool(&["assassinate", &format!("127.0.0.1:{}", second.internode)]);
    left.nodetool(&["removenode", &host_of(third.internode)]);
    assert_eq!(left.sees_up(), 1);
    // The flag is for one start.
    let place = left.kill();
    let again = place.refused(seed, &["--recover-metadata"]);
    assert!(again.contains("start without --recover-metadata"), "{again}");
    let left = place.start(seed);
    let new = [second, third].map(|place| place.start(seed));
    until("all see all", || new.iter().chain([&left]).all(|node| node.sees_up() == 3));
    new[1].cql("CREATE TABLE ks.last (k int PRIMARY KEY)");
    let place = left.kill();
    // Those who joined vote, and hold everything.
    let count = new[0].cql("CONSISTENCY QUORUM; SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == "100"), "{count}");
    until("two of three agree", || {
        new[0].try_cql("CREATE TABLE IF NOT EXISTS ks.rest (k int PRIMARY KEY)").is_ok()
    });
    drop(place);
}
