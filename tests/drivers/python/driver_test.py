"""The DataStax Python driver against a running node: schema metadata, prepared statements, every
type, paging, batches and errors, over protocol versions 3 to 5 and every compression.

    driver_test.py HOST PORT
"""
import datetime
import decimal
import ipaddress
import sys
import uuid

from cassandra import ConsistencyLevel, InvalidRequest, AlreadyExists
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, SimpleStatement
from cassandra.util import Date, Time, Duration, OrderedMapSerializedKey

HOST, PORT = sys.argv[1], int(sys.argv[2])
ROWS = 1_000

TYPES = {
    "ascii": "plain", "bigint": -(2**62), "blob": b"\x00\xff\x80", "boolean": True,
    "date": Date(19_000), "decimal": decimal.Decimal("-12345.6789"), "double": 1.5e300,
    "duration": Duration(14, -3, 0) if False else Duration(14, 3, 7_000_000_001), "float": 0.5,
    "inet": "2001:db8::1", "int": -7, "smallint": -300, "text": "zażółć \U0001f600",
    "time": Time(12_345_678_901_234), "timestamp": datetime.datetime(2026, 1, 2, 3, 4, 5, 678_000),
    "timeuuid": uuid.uuid1(), "tinyint": -5, "uuid": uuid.uuid4(), "varint": 10**40,
    "list<int>": [3, 1, 2], "set<text>": {"a", "b"}, "map<text, bigint>": {"x": 1, "y": 2},
    "frozen<list<int>>": [1, 1], "tuple<int, text>": (1, "one"),
}


def connect(version, compression=False):
    profile = ExecutionProfile(request_timeout=20)
    cluster = Cluster([HOST], port=PORT, protocol_version=version, compression=compression,
                      execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    return cluster, cluster.connect()


def schema_and_types(session, keyspace):
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
    session.set_keyspace(keyspace)
    names = [f"c{i}" for i in range(len(TYPES))]
    columns = ", ".join(f"{name} {cql}" for name, cql in zip(names, TYPES))
    session.execute(f"CREATE TABLE every (id int PRIMARY KEY, {columns})")
    insert = session.prepare(f"INSERT INTO every (id, {', '.join(names)}) VALUES ({', '.join('?' * (len(names) + 1))})")
    values = list(TYPES.values())
    session.execute(insert, [1, *values])
    row = session.execute("SELECT * FROM every WHERE id = 1").one()
    for name, cql, value in zip(names, TYPES, values):
        got = getattr(row, name)
        if isinstance(got, OrderedMapSerializedKey):
            got = dict(got)
        if cql == "set<text>":
            got = set(got)
        assert got == value, f"{cql}: wrote {value!r}, read {got!r}"
    session.execute(insert, [2] + [None] * len(values))
    row = session.execute("SELECT * FROM every WHERE id = 2").one()
    assert all(getattr(row, name) is None for name in names), row


def metadata(cluster, keyspace):
    cluster.refresh_schema_metadata()
    tables = cluster.metadata.keyspaces[keyspace].tables
    assert len(tables["every"].columns) == len(TYPES) + 1
    assert tables["wide"].clustering_key[0].name == "seq"
    assert "CREATE TABLE" in tables["wide"].as_cql_query()
    assert cluster.metadata.token_map is not None
    assert [host.release_version for host in cluster.metadata.all_hosts()] == ["5.0.6"]


def paging(session):
    session.execute("CREATE TABLE wide (bucket text, seq int, payload text, PRIMARY KEY (bucket, seq)) "
                    "WITH CLUSTERING ORDER BY (seq DESC)")
    insert = session.prepare("INSERT INTO wide (bucket, seq, payload) VALUES (?, ?, ?)")
    futures = [session.execute_async(insert, ("b", n, f"row {n}")) for n in range(ROWS)]
    for future in futures:
        future.result()
    statement = SimpleStatement("SELECT seq, payload FROM wide WHERE bucket = 'b'", fetch_size=97)
    rows = list(session.execute(statement))
    assert [row.seq for row in rows] == list(range(ROWS - 1, -1, -1)), len(rows)
    assert all(row.payload == f"row {row.seq}" for row in rows)
    assert session.execute("SELECT count(*) FROM wide").one()[0] == ROWS
    ascending = session.execute("SELECT seq FROM wide WHERE bucket = 'b' AND seq >= 10 AND seq < 20 ORDER BY seq ASC")
    assert [row.seq for row in ascending] == list(range(10, 20))


def batches_and_deletes(session):
    batch = BatchStatement()
    insert = session.prepare("INSERT INTO wide (bucket, seq, payload) VALUES (?, ?, ?)")
    for n in range(10):
        batch.add(insert, ("batch", n, "x"))
    session.execute(batch)
    session.execute("DELETE FROM wide WHERE bucket = 'batch' AND seq > 2 AND seq <= 5")
    session.execute("UPDATE wide USING TTL 1000 SET payload = 'new' WHERE bucket = 'batch' AND seq = 9")
    rows = list(session.execute("SELECT seq, payload, ttl(payload) FROM wide WHERE bucket = 'batch'"))
    assert [row.seq for row in rows] == [9, 8, 7, 6, 2, 1, 0], rows
    assert rows[0].payload == "new" and 990 <= rows[0][2] <= 1000
    session.execute("TRUNCATE wide")
    assert not list(session.execute("SELECT * FROM wide"))


def conditions(session):
    session.execute("CREATE TABLE register (key int PRIMARY KEY, value int, owner text)")
    insert = session.prepare("INSERT INTO register (key, value) VALUES (?, ?) IF NOT EXISTS")
    first, again = session.execute(insert, (1, 10)), session.execute(insert, (1, 20))
    assert first.was_applied and not again.was_applied
    assert again.one().value == 10
    update = session.prepare("UPDATE register SET value = ? WHERE key = ? IF value = ?")
    assert session.execute(update, (11, 1, 10)).was_applied
    refused = session.execute(update, (12, 1, 10))
    assert not refused.was_applied and refused.one().value == 11
    batch = BatchStatement()
    batch.add(update, (13, 1, 11))
    batch.add(session.prepare("UPDATE register SET owner = ? WHERE key = ?"), ("me", 1))
    assert session.execute(batch).was_applied
    serial = SimpleStatement("SELECT value, owner FROM register WHERE key = 1", consistency_level=ConsistencyLevel.SERIAL)
    assert tuple(session.execute(serial).one()) == (13, "me")
    assert session.execute("DELETE FROM register WHERE key = 1 IF EXISTS").was_applied
    assert not session.execute("DELETE FROM register WHERE key = 1 IF EXISTS").was_applied


def errors(session, keyspace):
    for statement, error in [
        ("SELECT * FROM nowhere", InvalidRequest),
        ("SELEC", SyntaxException),
        (f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}", AlreadyExists),
        ("SELECT * FROM wide WHERE payload = 'x'", InvalidRequest),
    ]:
        try:
            session.execute(statement)
        except error:
            continue
        raise AssertionError(f"{statement} should be refused")


def explanation(session):
    session.execute("CREATE TABLE explained (k int, c int, v text, PRIMARY KEY (k, c))")
    session.execute("INSERT INTO explained (k, c, v) VALUES (7, 1, 'x')")
    select = session.prepare("EXPLAIN SELECT * FROM explained WHERE k = ?")
    assert select.routing_key_indexes == [0]
    by_what = {row.what: row for row in session.execute(select, [7])}
    assert by_what["SELECT"].detail == "reads one partition by its key"
    assert (by_what["memtable"].rows, by_what["memtable"].partition) == (1, "k = 7")
    assert by_what["replica"].detail == "read here"
    session.execute("EXPLAIN DELETE FROM explained WHERE k = 7")
    assert session.execute("SELECT v FROM explained WHERE k = 7").one().v == "x"


def traces(session):
    def events(statement, *values):
        trace = session.execute(statement, *values, trace=True).get_query_trace(max_wait_sec=10)
        assert trace.duration is not None and trace.coordinator and trace.parameters["consistency_level"]
        elapsed = [event.source_elapsed for event in trace.events]
        assert elapsed == sorted(elapsed) and elapsed[-1] <= trace.duration, elapsed
        return [event.description for event in trace.events]

    found = events("SELECT * FROM explained WHERE k = 7")
    assert found[0] == "Parsing SELECT * FROM explained WHERE k = 7", found
    for part in ["reads one partition by its key", "must answer at", "Reading 1 of 1 memtables", "tombstones met", "1 rows read"]:
        assert any(part in event for event in found), (part, found)
    insert = session.prepare("INSERT INTO explained (k, c, v) VALUES (?, 2, 'y')")
    found = events(insert, [7])
    assert found[0] == "Found the prepared statement", found
    assert "Appended 1 mutations to the commit log and the memtables" in found, found
    found = events("UPDATE explained SET v = 'z' WHERE k = 7 AND c = 2 IF v = 'y'")
    assert any(event.startswith("Paxos Prepare: asking 1 replicas") for event in found), found


def main():
    passed = 0
    for version, compression in [(3, False), (4, False), (5, False), (4, "lz4"), (4, "snappy"), (5, "lz4")]:
        cluster, session = connect(version, compression)
        keyspace = f"py_{version}_{compression or 'plain'}".lower()
        session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
        schema_and_types(session, keyspace)
        paging(session)
        metadata(cluster, keyspace)
        batches_and_deletes(session)
        conditions(session)
        explanation(session)
        traces(session)
        errors(session, keyspace)
        session.execute(f"DROP KEYSPACE {keyspace}")
        cluster.shutdown()
        passed += 1
        print(f"python driver, protocol v{version}, compression {compression or 'none'}: ok")
    print(f"{passed} passed, 0 failed")


main()
