use super::super::latency::tests::SetClock;
use super::*;
use crate::ring::{Member, Ring, Status, even_tokens};
use dodona_types::schema::{Column, ColumnKind, Keyspace, Options, Schema, Table, TableParams};
use dodona_types::{ColumnId, CqlType};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const TABLE: TableId = TableId(Uuid::from_u128(7));

fn latencies() -> Latencies {
    Latencies::new(Arc::new(SetClock::default()))
}

/// Believes that these hosts are dead.
pub(crate) struct Dead(pub(crate) Vec<u128>);

impl Liveness for Dead {
    fn is_alive(&self, host: Uuid) -> bool {
        !self.0.contains(&host.as_u128())
    }
}

/// Members 0, 1, 2 in `a` and 3, 4, 5 in `b`; those of `joining` are on their way in.
pub(crate) fn placement(options: &[(&str, &str)], joining: &[usize]) -> Placement {
    let member = |index: usize| Member {
        host: Uuid::from_u128(index as u128),
        status: if joining.contains(&index) { Status::Joining } else { Status::Normal },
        data_center: if index < 3 { "a".into() } else { "b".into() },
        rack: format!("r{index}"),
        internode: SocketAddr::from(([127, 0, 0, 1], 7000)),
        native: SocketAddr::from(([127, 0, 0, 1], 9042)),
        tokens: even_tokens(6, index, 4),
        other_tokens: Vec::new(),
    };
    let table = Table {
        id: TABLE,
        keyspace: "k".into(),
        name: "t".into(),
        epoch: 1,
        columns: Vec::new(),
        next_column: 0,
        dropped_columns: BTreeMap::new(),
        compact_storage: None,
        params: TableParams::default(),
    };
    let keyspace = Keyspace {
        name: "k".into(),
        replication: options
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect::<Options>(),
        durable_writes: true,
        tables: BTreeMap::from([("t".into(), Arc::new(table))]),
        types: BTreeMap::new(),
    };
    let column = |id, name: &str, cql_type, kind| Column {
        id: ColumnId(id),
        name: name.into(),
        cql_type,
        kind,
        position: 0,
        descending: false,
    };
    let batches = Table {
        id: TableId(Uuid::from_u128(8)),
        keyspace: "system".into(),
        name: "batches".into(),
        columns: vec![
            column(0, "id", CqlType::Timeuuid, ColumnKind::PartitionKey),
            column(
                1,
                "mutations",
                CqlType::List { element: Arc::new(CqlType::Blob), frozen: false },
                ColumnKind::Regular,
            ),
        ],
        next_column: 2,
        ..(*keyspace.tables["t"]).clone()
    };
    let system = Keyspace {
        name: "system".into(),
        replication: Options::from([("class".to_owned(), "LocalStrategy".to_owned())]),
        durable_writes: true,
        tables: BTreeMap::from([("batches".into(), Arc::new(batches))]),
        types: BTreeMap::new(),
    };
    let keyspaces = [keyspace, system].map(|keyspace| (keyspace.name.clone(), Arc::new(keyspace)));
    let schema = Schema { epoch: 1, keyspaces: BTreeMap::from(keyspaces) };
    Placement::new(Arc::new(schema), Ring::new((0..6).map(member).collect::<Vec<_>>()), 0, 1)
}

fn planner<'a>(placement: &'a Placement, liveness: &'a Dead) -> Planner<'a> {
    let (defects, pending) = (Defects::default(), Pending::Awaited);
    Planner { placement, liveness, keeps_hints: true, defects, pending }
}

pub(crate) const BOTH: &[(&str, &str)] = &[("class", "NetworkTopologyStrategy"), ("a", "3"), ("b", "3")];

fn write(placement: &Placement, dead: &[u128], consistency: Consistency) -> Result<Plan, ClusterError> {
    let liveness = Dead(dead.to_vec());
    let planner = planner(placement, &liveness);
    planner.write(TABLE, Token(0), consistency)
}

fn refused(plan: Result<Plan, ClusterError>) -> (u32, u32, Option<String>) {
    match plan {
        Err(ClusterError::Unavailable { required, alive, data_center, .. }) => (required, alive, data_center),
        other => panic!("{other:?}"),
    }
}

#[test]
fn levels_need_what_cassandra_needs() {
    let all = placement(BOTH, &[]);
    assert_eq!(write(&all, &[], Consistency::Quorum).unwrap().block_for, 4);
    assert_eq!(refused(write(&all, &[1, 2, 4], Consistency::Quorum)), (4, 3, None));
    assert_eq!(refused(write(&all, &[1, 2], Consistency::LocalQuorum)), (2, 1, None));
    assert!(
        write(&all, &[3, 4, 5], Consistency::LocalQuorum).is_ok(),
        "the other data centre is of no matter"
    );
    assert_eq!(refused(write(&all, &[4, 5], Consistency::EachQuorum)), (2, 1, Some("b".into())));
    assert_eq!(refused(write(&all, &[5], Consistency::All)), (6, 5, None));
    assert!(write(&all, &[1, 2, 3, 4, 5], Consistency::Any).is_ok());
}

#[test]
fn those_to_come_are_written_to_and_waited_for() {
    let placement = placement(&[("class", "NetworkTopologyStrategy"), ("a", "2"), ("b", "2")], &[2]);
    let pending = |plan: &Plan| plan.replicas.iter().filter(|target| target.pending).count() as u32;
    let token = (-40..40)
        .map(|n| Token(n * 200_000_000_000_000_000))
        .find(|token| !placement.pending(TABLE, *token).unwrap().is_empty());
    let liveness = Dead(Vec::new());
    let planner = planner(&placement, &liveness);
    for (consistency, before) in [
        (Consistency::One, 1),
        (Consistency::Quorum, 3),
        (Consistency::LocalQuorum, 2),
        (Consistency::EachQuorum, 4),
    ] {
        let plan = planner.write(TABLE, token.unwrap(), consistency).unwrap();
        assert_eq!((pending(&plan), plan.block_for), (1, before + 1), "{consistency}");
        let read = planner.read(TABLE, token.unwrap(), consistency, &latencies()).unwrap();
        assert_eq!((pending(&read), read.block_for), (0, before), "{consistency}");
    }
}

#[test]
fn those_to_come_are_brought_what_was_read_where_they_count() {
    let all = placement(BOTH, &[1, 4]);
    let liveness = Dead(Vec::new());
    let planner = planner(&all, &liveness);
    let pending = |token: i64, level| {
        let targets = planner.pending(TABLE, Token(token), level).unwrap();
        targets.iter().map(|target| (target.host.as_u128(), target.pending)).collect::<Vec<_>>()
    };
    let both: Vec<i64> = (-40..40)
        .map(|part| part << 57)
        .filter(|token| pending(*token, Consistency::Quorum).len() == 2)
        .collect();
    assert!(!both.is_empty());
    for token in both {
        assert_eq!(pending(token, Consistency::LocalQuorum), [(1, true)]);
        assert_eq!(pending(token, Consistency::EachQuorum).len(), 2);
    }
}

#[test]
fn reads_go_to_this_node_then_near_then_fast_ones() {
    let placement = placement(BOTH, &[]);
    let (liveness, latencies) = (Dead(vec![1]), latencies());
    for (host, millis) in [(2, 9), (3, 5), (4, 1), (5, 3)] {
        latencies.note(Uuid::from_u128(host), std::time::Duration::from_millis(millis));
    }
    let planner = planner(&placement, &liveness);
    let order = |consistency| {
        let plan = planner.read(TABLE, Token(0), consistency, &latencies).unwrap();
        plan.replicas.iter().map(|target| target.host.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(order(Consistency::Quorum), [0, 2, 4, 5, 3]);
    assert_eq!(order(Consistency::LocalQuorum), [0, 2]);
}

#[test]
fn a_read_at_each_quorum_asks_each_data_center_for_its_share_first() {
    let (all, liveness) = (placement(BOTH, &[]), Dead(Vec::new()));
    let planner = planner(&all, &liveness);
    let plan = planner.read(TABLE, Token(0), Consistency::EachQuorum, &latencies()).unwrap();
    let first = &plan.replicas[..plan.block_for as usize];
    assert_eq!((first.len(), first.iter().filter(|target| target.near).count()), (4, 2));
}
