//! A member that has lost its disk, and is the only seed that it knows of.

use crate::nodes::*;

/// The rows of `ks.t` at ONE.
fn count(node: &Node) -> Option<usize> {
    let shown = node.try_cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t").ok()?;
    shown.lines().find_map(|line| line.trim().parse().ok())
}

#[test]
fn a_seed_without_its_disk_does_not_begin_a_second_cluster_and_takes_its_own_place() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 100);
    let wiped = nodes.remove(0).kill();
    std::fs::remove_dir_all(&wiped.data).unwrap();
    // Its flags are those of the first start: it is its own first seed, and knows no other.
    let alone = wiped.refused(seed, &[]);
    assert!(alone.contains("takes this node for a member of its own"), "{alone}");
    assert!(alone.contains(&format!("--replace 127.0.0.1:{}", wiped.internode)), "{alone}");
    assert!(!wiped.data.join("commitlog").exists(), "it has begun nothing");
    // Another seed tells it more.
    let others = format!("127.0.0.1:{seed},127.0.0.1:{}", nodes[0].place.internode);
    let told = wiped.refused(seed, &["--seeds", &others]);
    assert!(told.contains("if that node has lost its data, start with --replace"), "{told}");
    for node in &nodes {
        assert_eq!(count(node), Some(100));
    }
    let down = |node: &Node| node.nodetool(&["status", "system_traces"]).contains("\nDN  ");
    until_within(UNTIL_DEAD, "it is seen to be down", || nodes.iter().all(down));
    let own = format!("127.0.0.1:{seed}");
    let back = wiped.start_with(seed, &["--seeds", &others, "--replace", &own]);
    until("all see three", || nodes.iter().chain([&back]).all(|node| node.sees_up() == 3));
    drop(nodes);
    assert_eq!(count(&back), Some(100));
}

#[test]
fn a_member_without_seeds_that_began_a_second_cluster_stops() {
    let directory = tempfile::tempdir().unwrap();
    let first = Place::new(directory.path(), "one");
    let alone = |place: &Place| {
        let mut command = std::process::Command::new(BINARY);
        let ports = [place.port, place.internode, place.admin].map(|port| port.to_string());
        command
            .args(["start", "--cores", "1", "--log-level", "warn", "--port", &ports[0]])
            .args(["--internode-port", &ports[1], "--admin-port", &ports[2], "--data"])
            .arg(&place.data)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        Node { place: place.clone(), process: command.spawn().unwrap() }
    };
    let node = alone(&first);
    until("it serves", || first.is_serving());
    let second = Place::new(directory.path(), "two").start(first.internode);
    until("both see both", || node.sees_up() == 2 && second.sees_up() == 2);
    second.cql(SCHEMA);
    node.kill();
    std::fs::remove_dir_all(&first.data).unwrap();
    let mut node = alone(&first);
    until("it ends", || node.process.try_wait().unwrap().is_some());
    let mut message = String::new();
    std::io::Read::read_to_string(&mut node.process.stderr.take().unwrap(), &mut message).unwrap();
    assert!(message.contains("takes this node for a member of its own"), "{message}");
    assert!(second.place.is_serving());
}
