//! A traced request shows what each node did for it.

use crate::nodes::*;

/// The activities of each node, by its port for others.
fn events(node: &Node, of: &Place) -> Vec<String> {
    let read = node.cql("CONSISTENCY ALL; SELECT source_port, activity, thread FROM system_traces.events");
    let port = of.internode.to_string();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    read.lines()
        .map(cells)
        .filter(|cells| cells.first() == Some(&port))
        .map(|cells| format!("{}: {}", cells[2], cells[1]))
        .collect()
}

#[test]
fn what_replicas_do_for_a_traced_request_is_in_its_trace() {
    let directory = tempfile::tempdir().unwrap();
    let (nodes, _) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].cql("CONSISTENCY ALL; INSERT INTO ks.t (k, v) VALUES (1, 'not traced')");
    assert!(nodes.iter().all(|node| events(&nodes[0], &node.place).is_empty()));
    let shown = nodes[0].cql("CONSISTENCY ALL; TRACING ON; INSERT INTO ks.t (k, v) VALUES (1, 'one')");
    let lines: Vec<&str> =
        shown.lines().filter(|line| line.contains(" | 127.0.0.1 | ")).map(str::trim).collect();
    assert!(lines[0].starts_with("Execute CQL3 query | "), "{shown}");
    assert!(lines.last().is_some_and(|line| line.starts_with("Request complete | ")), "{shown}");
    assert!(lines.len() > 3 && shown.contains("Appended a mutation to the commit log"), "{shown}");
    for replica in &nodes[1..] {
        let wanted = [
            "replica: Appended a mutation to the commit log and the memtable",
            "replica: The commit log has it",
        ];
        assert_eq!(events(&nodes[0], &replica.place), wanted);
    }
    let own = events(&nodes[0], &nodes[0].place);
    assert!(own.iter().all(|event| event.starts_with("coordinator: ")) && own.len() > 3, "{own:?}");
    // One replica gives the data, the other two digests.
    nodes[1].cql("CONSISTENCY ALL; TRACING ON; SELECT v FROM ks.t WHERE k = 1");
    let read = [&nodes[0], &nodes[2]].map(|replica| events(&nodes[0], &replica.place));
    for events in &read {
        assert!(events.iter().any(|event| event.contains("Reading 1 of 1 memtables")), "{events:?}");
        assert!(
            events.iter().any(|event| event.contains("digest") || event.contains("Merged")),
            "{events:?}"
        );
    }
    nodes[2].cql("CONSISTENCY ALL; TRACING ON; INSERT INTO ks.t (k, v) VALUES (2, 'two') IF NOT EXISTS");
    let paxos: Vec<String> =
        nodes[..2].iter().flat_map(|replica| events(&nodes[0], &replica.place)).collect();
    for step in ["Prepare: promised", "Propose: accepted", "Commit: accepted"] {
        assert!(paxos.iter().any(|event| event == &format!("replica: Paxos {step}")), "{step}: {paxos:?}");
    }
}
