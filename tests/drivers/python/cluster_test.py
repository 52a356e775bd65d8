"""Three nodes and the DataStax Python driver: hosts and tokens, definitions made on all nodes at once, conditional
statements and counters over all of them, leases, what errors say while nodes do not answer, a node that is killed under load
and comes back with all it missed, events of that, requests that go to replicas, and nodes that are refused.

    cluster_test.py BINARY
"""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from cassandra import ConsistencyLevel, Timeout
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT, NoHostAvailable
from cassandra.policies import WhiteListRoundRobinPolicy
from cassandra.protocol import ErrorMessage
from cassandra.query import SimpleStatement

import error_fields
import lease

BINARY = sys.argv[1]
# Addresses that no other run of this test uses at the same time.
NETWORK = f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 1}"
NODES = [f"{NETWORK}.{n}" for n in (1, 2, 3)]
SECONDS = 60


def run(*arguments):
    """What a command of the binary prints; it must succeed."""
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def nodetool(node, *arguments):
    return run("nodetool", "-h", node, *arguments)


def until(what, is_so):
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"not after {SECONDS} s: {what}"
        time.sleep(0.05)


def connect(*nodes, consistency=ConsistencyLevel.QUORUM):
    """A session that speaks with these nodes alone; with all, it is the driver's default."""
    policy = {"load_balancing_policy": WhiteListRoundRobinPolicy(nodes)} if nodes else {}
    profile = ExecutionProfile(request_timeout=20, consistency_level=consistency, **policy)
    cluster = Cluster(list(nodes or NODES), execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    return cluster, cluster.connect()


def hosts_and_tokens():
    cluster, session = connect()
    assert sorted(host.address for host in cluster.metadata.all_hosts()) == NODES
    owners = list(cluster.metadata.token_map.token_to_host_owner.values())
    assert len(owners) == 48 and all(sum(owner.address == node for owner in owners) == 16 for node in NODES)
    session.execute("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}")
    session.execute("CREATE TABLE ks.load (key int PRIMARY KEY, value text)")
    session.execute("CREATE TABLE ks.register (key int PRIMARY KEY, value int, w0 int, w1 int, w2 int)")
    session.execute("CREATE TABLE ks.counts (key int PRIMARY KEY, n counter)")
    for node in NODES:
        held = nodetool(node, "getendpoints", "ks", "load", "7").split()
        assert sorted(held) == NODES, held
    cluster.shutdown()


def executed():
    """How many prepared statements each node was asked to execute so far."""
    counts = {}
    for node in NODES:
        metrics = urllib.request.urlopen(f"http://{node}:7199/metrics").read().decode()
        counts[node] = int(re.search(r'dodona_requests_total{opcode="EXECUTE"} (\d+)', metrics).group(1))
    return counts


def requests_go_to_replicas():
    """The driver's default policy knows tokens: with one replica, each node is asked for what it holds itself."""
    cluster, session = connect()
    session.execute("CREATE KEYSPACE alone WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    session.execute("CREATE TABLE alone.t (key int PRIMARY KEY)")
    insert = session.prepare("INSERT INTO alone.t (key) VALUES (?)")
    keys = range(60)
    held = Counter(nodetool(NODES[0], "getendpoints", "alone", "t", str(key)).strip() for key in keys)
    before = executed()
    for key in keys:
        session.execute(insert, (key,))
    asked = {node: count - before[node] for node, count in executed().items()}
    assert asked == {node: held[node] for node in NODES}, (asked, held)
    session.execute("DROP KEYSPACE alone")
    cluster.shutdown()


def definitions_at_once():
    connections = [connect(node) for node in NODES]

    def define(index):
        session = connections[index][1]
        for n in range(8):
            session.execute(f"CREATE TABLE ks.t_{index}_{n} (k int PRIMARY KEY)")
            # The same table from all nodes.
            session.execute(f"ALTER TABLE ks.load ADD c_{index}_{n} int")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(define, range(3)))
    seen = []
    for cluster, session in connections:
        local = session.execute("SELECT schema_version FROM system.local").one()[0]
        peers = [row.schema_version for row in session.execute("SELECT schema_version FROM system.peers")]
        assert peers == [local, local], (local, peers)
        tables = session.execute("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'ks'")
        columns = session.execute("SELECT column_name FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 'load'")
        seen.append((local, sorted(row[0] for row in tables), sorted(row[0] for row in columns)))
        cluster.shutdown()
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0][1]) == 3 + 24 and len(seen[0][2]) == 2 + 24, seen[0]


def add_on_condition(session, writer, number):
    """Adds one to the register, and leaves the addition's number in the writer's own column: that decides where the
    answer is that nobody knows (another one has finished or overtaken it)."""
    read = SimpleStatement(f"SELECT value, w{writer} FROM ks.register WHERE key = 1", consistency_level=ConsistencyLevel.SERIAL)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            row = session.execute(read).one()
            if row[1] == number:
                return
            session.execute(f"UPDATE ks.register SET value = %s, w{writer} = %s WHERE key = 1 IF value = %s",
                            (row.value + 1, number, row.value))
        except (Timeout, ErrorMessage):
            time.sleep(random.random() / 10)
    raise AssertionError(f"not added after {SECONDS} s")


def conditions_and_counters():
    connections = [connect(node) for node in NODES]
    connections[0][1].execute("INSERT INTO ks.register (key, value) VALUES (1, 0) IF NOT EXISTS")
    rounds = 10

    def add(index):
        session = connections[index][1]
        for number in range(rounds):
            session.execute("UPDATE ks.counts SET n = n + 1 WHERE key = 1")
            add_on_condition(session, index, number)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, range(3)))
    for cluster, session in connections:
        read = SimpleStatement("SELECT value FROM ks.register WHERE key = 1", consistency_level=ConsistencyLevel.SERIAL)
        assert session.execute(read).one().value == 3 * rounds
        assert session.execute("SELECT n FROM ks.counts WHERE key = 1").one().n == 3 * rounds
        cluster.shutdown()


def leases(directory):
    """Clients that take turns by a lease, of which some stand still for longer than it lasts, while a node is killed: only one
    believes to hold it at a time, and what it protects takes no writes of one before the last."""
    cluster, session = connect()
    session.execute(lease.TABLE.format("ks.locks"))
    session.execute("CREATE TABLE ks.things (id int PRIMARY KEY, fence bigint, writer int)")
    session.execute("INSERT INTO ks.things (id, fence, writer) VALUES (1, 0, 0)")
    guarded = session.prepare("UPDATE ks.things SET fence = ?, writer = ? WHERE id = 1 IF fence <= ?")
    holders, turns, late, wrong, lock = set(), [], Counter(), [], threading.Lock()
    stop = threading.Event()

    def take_turns(client):
        chance = random.Random(client)
        mine, stood = lease.Lease(session, "ks.locks", "one", seconds=3, margin=1), False
        while not stop.is_set():
            try:
                if not mine.acquire():
                    time.sleep(0.05)
                    continue
                with lock:
                    if holders:
                        wrong.append(f"{client} holds it beside {holders}")
                    holders.add(client)
                    turns.append(mine.fence)
                session.execute(guarded, (mine.fence, client, mine.fence))
                # Some for certain.
                stands_still = client < 4 and not stood or chance.random() < 0.1
                stood |= stands_still
                while mine.is_held() and not stands_still and chance.random() < 0.7:
                    session.execute(guarded, (mine.fence, client, mine.fence))
                    mine.renew()
                with lock:
                    holders.discard(client)
                if not stands_still:
                    mine.release()
                    continue
                time.sleep(4)
                applied = session.execute(guarded, (mine.fence, client, mine.fence)).was_applied
                with lock:
                    # Whoever came after it has written.
                    late[applied] += 1
            except (Timeout, ErrorMessage, NoHostAvailable):
                with lock:
                    holders.discard(client)

    clients = [threading.Thread(target=take_turns, args=(n,)) for n in range(1, 6)]
    for client in clients:
        client.start()
    time.sleep(6)
    run("cluster", "--dir", directory, "kill", "2")
    time.sleep(8)
    run("cluster", "--dir", directory, "restart", "2")
    time.sleep(6)
    stop.set()
    for client in clients:
        client.join()
    assert not wrong, wrong
    assert len(set(turns)) == len(turns) and len(turns) > 10, turns
    assert late[False] > 0, late
    last = session.execute(SimpleStatement("SELECT fence FROM ks.things WHERE id = 1", consistency_level=ConsistencyLevel.SERIAL))
    assert last.one().fence <= max(turns)
    print(f"{len(turns)} turns, {late[False]} late writes refused")
    cluster.shutdown()


def errors_while_nodes_do_not_answer(directory):
    cluster, session = connect(NODES[0])
    for table in error_fields.TABLES:
        session.execute(table)
    stopped = [int(open(f"{directory}/node{n}.pid").read()) for n in (2, 3)]
    try:
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        error_fields.while_nothing_answers(session)
        until("two of three are taken for dead", lambda: error_fields.are_unavailable(session))
        error_fields.once_they_are_dead(session)
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    until("all see each other again",
          lambda: all(nodetool(node, "status").count("\nUN ") == 3 for node in NODES))
    cluster.shutdown()


def a_node_that_is_killed(directory):
    cluster, session = connect()
    watcher, _ = connect(NODES[0])
    events = []
    watcher.control_connection._connection.register_watchers(
        {"STATUS_CHANGE": lambda event: events.append((event["change_type"], event["address"][0]))})
    insert = session.prepare("INSERT INTO ks.load (key, value) VALUES (?, ?)")
    select = session.prepare("SELECT value FROM ks.load WHERE key = ?")
    insert.is_idempotent = select.is_idempotent = True
    acknowledged, errors, stop = {}, [], threading.Event()

    def write(writer):
        n = 0
        while not stop.is_set():
            key, n = writer * 1_000_000 + n, n + 1
            try:
                session.execute(insert, (key, str(key)))
                acknowledged[key] = str(key)
                read = session.execute(select, (key,)).one()
                assert read and read.value == str(key), f"{key}: {read}"
            except Exception as error:
                errors.append(repr(error))
                return

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    time.sleep(2)
    run("cluster", "--dir", directory, "kill", "3")
    until("the driver hears that the node is down", lambda: ("DOWN", NODES[2]) in events)
    time.sleep(2)
    before = len(acknowledged)
    run("cluster", "--dir", directory, "restart", "3")
    until("the driver hears that the node is up", lambda: ("UP", NODES[2]) in events)
    until("it goes on", lambda: errors or len(acknowledged) > before + 100)
    stop.set()
    for writer in writers:
        writer.join()
    assert not errors, errors
    for key, value in acknowledged.items():
        assert session.execute(select, (key,)).one().value == value, key
    until("no hints wait", lambda: all("No hints wait." in nodetool(node, "netstats") for node in NODES))
    cluster.shutdown()
    watcher.shutdown()
    # What the node has itself: the others are gone.
    for node in ("1", "2"):
        run("cluster", "--dir", directory, "kill", node)
    cluster, session = connect(NODES[2], consistency=ConsistencyLevel.ONE)
    select = session.prepare("SELECT value FROM ks.load WHERE key = ?")
    lacking = [key for key, value in acknowledged.items() if (session.execute(select, (key,)).one() or [None])[0] != value]
    assert not lacking, f"{len(lacking)} of {len(acknowledged)} rows are lacking"
    assert session.execute("SELECT n FROM ks.counts WHERE key = 1").one().n == 30
    cluster.shutdown()
    run("cluster", "--dir", directory, "restart", "1")
    run("cluster", "--dir", directory, "restart", "2")
    print(f"{len(acknowledged)} rows acknowledged and found again")


def refused(data, address, *arguments):
    """What a node says that cannot start."""
    command = [BINARY, "start", "--data", data, "--listen", address, "--admin-listen", address, "--seeds", NODES[0]]
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"it runs: {error.stdout} {error.stderr}")
    assert done.returncode == 1, done
    return done.stderr


def nodes_that_are_refused(directory):
    new = f"{NETWORK}.9"
    message = refused(f"{directory}/other", new, "--cluster-name", "another")
    assert "correct cluster_name or the seeds" in message, message
    # The data of a node that runs, elsewhere.
    shutil.copytree(f"{directory}/node2", f"{directory}/copy")
    message = refused(f"{directory}/copy", new)
    assert "copied" in message and "empty" in message, message
    # The same disk twice.
    message = refused(f"{directory}/node2", new)
    assert "in use by another process" in message, message
    # A member that lost its disk.
    run("cluster", "--dir", directory, "kill", "3")
    message = refused(f"{directory}/empty", NODES[2])
    assert "nodetool removenode" in message, message
    run("cluster", "--dir", directory, "restart", "3")


def garbage_between_nodes():
    cluster, session = connect(NODES[0])
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 65_536, os.urandom(4_096)):
        with socket.create_connection((NODES[0], 7000), timeout=SECONDS) as connection:
            try:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4_096):
                    pass
            except OSError as error:
                assert not isinstance(error, TimeoutError), "the connection is left open"
        session.execute("INSERT INTO ks.load (key, value) VALUES (-1, 'still')")
    assert all(nodetool(node, "status").count("\nUN  ") == 3 for node in NODES)
    cluster.shutdown()


def main():
    directory = tempfile.mkdtemp()
    try:
        run("cluster", "--dir", f"{directory}/c", "up", "3", "--first", NODES[0])
        directory_of_cluster = f"{directory}/c"
        steps = [
            (hosts_and_tokens,), (requests_go_to_replicas,), (definitions_at_once,), (conditions_and_counters,), (garbage_between_nodes,),
            (leases, directory_of_cluster), (errors_while_nodes_do_not_answer, directory_of_cluster), (a_node_that_is_killed, directory_of_cluster), (nodes_that_are_refused, directory_of_cluster),
        ]
        for step, *arguments in steps:
            began = time.monotonic()
            step(*arguments)
            print(f"three nodes, {step.__name__.replace('_', ' ')}: ok ({time.monotonic() - began:.1f} s)", flush=True)
        run("cluster", "--dir", directory_of_cluster, "down")
        print(f"{len(steps)} passed, 0 failed")
    except BaseException:
        for n in (1, 2, 3):
            with open(f"{directory}/c/node{n}.log") as log:
                print(f"node {n}:\n" + "".join(log.readlines()[-10:]), file=sys.stderr)
        raise
    finally:
        for n in "123":
            subprocess.run([BINARY, "cluster", "--dir", f"{directory}/c", "kill", n], capture_output=True)
        shutil.rmtree(directory)


main()
