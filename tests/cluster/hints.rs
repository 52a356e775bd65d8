//! Hints as operators want them: kept or not, delivered or not, dropped.

use crate::nodes::*;

const NONE: &str = "This node does not have any pending hints\n";

fn pending(node: &Node) -> String {
    node.nodetool(&["listpendinghints"])
}

#[test]
fn hints_are_kept_dropped_and_delivered_as_operators_say() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].cql(
        "CREATE KEYSPACE one WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}; \
         CREATE TABLE one.t (k int PRIMARY KEY)",
    );
    let lost = nodes.pop().unwrap();
    let address = format!("127.0.0.1:{}", lost.place.internode);
    let is_its =
        |k: &i32| nodes[0].nodetool(&["getendpoints", "one", "t", &k.to_string()]).contains(&address);
    let k = (0..1_000).find(is_its).unwrap();
    let to_nobody = format!("CONSISTENCY ANY; INSERT INTO one.t (k) VALUES ({k})");
    let lost = lost.kill();
    until_within(UNTIL_DEAD, "it is taken for dead", || nodes.iter().all(|node| node.sees_up() == 2));

    assert_eq!(pending(&nodes[0]), NONE);
    nodes[0].cql(&to_nobody);
    let listed = pending(&nodes[0]);
    assert!(listed.contains(&format!(" {address} rack1 datacenter1 DOWN ")), "{listed}");
    nodes[0].nodetool(&["truncatehints", &address]);
    assert_eq!(pending(&nodes[0]), NONE);
    let refused = nodes[0].run("nodetool", &["truncatehints", "10.9.8.7"]);
    assert!(
        String::from_utf8(refused.stderr).unwrap().contains("`10.9.8.7` is the address or host id of no")
    );

    let write = |node: &Node, value: &str| {
        node.cql(&format!("CONSISTENCY QUORUM; INSERT INTO ks.t (k, v) VALUES ({k}, '{value}')"));
    };
    nodes[0].nodetool(&["disablehandoff"]);
    assert_eq!(nodes[0].nodetool(&["statushandoff"]), "Hinted handoff is not running\n");
    let unavailable = nodes[0].try_cql(&to_nobody).unwrap_err();
    assert!(unavailable.starts_with("Unavailable"), "{unavailable}");
    write(&nodes[0], "disabled");
    nodes[0].nodetool(&["enablehandoff"]);
    nodes[0].nodetool(&["disablehintsfordc", "datacenter1"]);
    let status = nodes[0].nodetool(&["statushandoff"]);
    assert_eq!(status, "Hinted handoff is running\nData center datacenter1 is disabled\n");
    write(&nodes[0], "not for this data center");
    nodes[0].nodetool(&["enablehintsfordc", "datacenter1"]);
    nodes[0].nodetool(&["setmaxhintwindow", "0"]);
    write(&nodes[0], "not any more");
    assert_eq!(pending(&nodes[0]), NONE);
    nodes[0].nodetool(&["setmaxhintwindow", "60000"]);
    assert_eq!(nodes[0].nodetool(&["getmaxhintwindow"]), "Current max hint window: 60000 ms\n");

    // One node holds its hints back; what the other one delivers shows that there was time for it.
    nodes[0].nodetool(&["sethintedhandoffthrottlekb", "64"]);
    nodes[0].nodetool(&["pausehandoff"]);
    write(&nodes[1], "from the second");
    write(&nodes[0], "from the first");
    assert!(pending(&nodes[0]).contains(&address) && pending(&nodes[1]).contains(&address));
    let back = lost.start(seed);
    until("the other one's are delivered", || pending(&nodes[1]) == NONE);
    assert!(
        pending(&nodes[0]).contains(&format!("{address} rack1 datacenter1 UP ")),
        "{}",
        pending(&nodes[0])
    );
    nodes[0].nodetool(&["resumehandoff"]);
    until("it delivers again", || pending(&nodes[0]) == NONE);
    // Nothing but what the node itself has: the others are gone.
    nodes.clear();
    let own = back.cql(&format!("CONSISTENCY ONE; SELECT v FROM ks.t WHERE k = {k}"));
    assert!(own.contains("from the first"), "{own}");
}
