"""Loads a node through the Python driver, kills it with SIGKILL in the middle, again and again, and reads back
every row that was acknowledged.

    kill_test.py BINARY [ROUNDS] [SECONDS OF LOAD A ROUND]
"""
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.policies import FallthroughRetryPolicy

BINARY = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 2.0
WRITERS = 4


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(data, port, admin):
    process = subprocess.Popen(
        [BINARY, "start", "--data", data, "--listen", "127.0.0.1", "--port", str(port), "--admin-port", str(admin)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the node ended with code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
            return process
        except OSError:
            time.sleep(0.02)
    sys.exit("the node is not ready after 30 seconds")


def connect(port):
    profile = ExecutionProfile(request_timeout=10, retry_policy=FallthroughRetryPolicy())
    cluster = Cluster(["127.0.0.1"], port=port, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    return cluster, cluster.connect()


def value_of(partition, row, round_number):
    return f"{partition}/{row}/{round_number}/" + "x" * ((partition * 31 + row) % 200)


def write(session, insert, writer, round_number, acknowledged, stop):
    rng = random.Random(writer * 1000 + round_number)
    while not stop.is_set():
        partition, row = writer * 1000 + rng.randrange(50), rng.randrange(2_000)
        try:
            session.execute(insert, (partition, row, value_of(partition, row, round_number)))
        except Exception:
            return
        acknowledged[(partition, row)] = round_number


def verify(session, acknowledged):
    for partition in sorted({key[0] for key in acknowledged}):
        rows = {row.seq: row.value for row in session.execute("SELECT seq, value FROM kill.t WHERE key = %s", (partition,))}
        for (key, seq), round_number in acknowledged.items():
            if key == partition:
                # A write that was under way when the node was killed may be there as well.
                allowed = [value_of(key, seq, n) for n in range(round_number, ROUNDS)]
                assert rows.get(seq) in allowed, f"row ({key}, {seq}): {rows.get(seq)!r}, acknowledged {allowed[0]!r}"


def main():
    port, admin = free_port(), free_port()
    acknowledged = {}
    with tempfile.TemporaryDirectory() as data:
        for round_number in range(ROUNDS):
            node = start(data, port, admin)
            cluster, session = connect(port)
            session.execute("CREATE KEYSPACE IF NOT EXISTS kill WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
            session.execute("CREATE TABLE IF NOT EXISTS kill.t (key int, seq int, value text, PRIMARY KEY (key, seq))")
            verify(session, acknowledged)
            insert = session.prepare("INSERT INTO kill.t (key, seq, value) VALUES (?, ?, ?)")
            stop = threading.Event()
            writers = [threading.Thread(target=write, args=(session, insert, n, round_number, acknowledged, stop)) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            time.sleep(SECONDS * (0.5 + random.random()))
            os.kill(node.pid, signal.SIGKILL)
            node.wait()
            stop.set()
            for writer in writers:
                writer.join()
            cluster.shutdown()
        node = start(data, port, admin)
        cluster, session = connect(port)
        verify(session, acknowledged)
        cluster.shutdown()
        node.terminate()
        assert node.wait(timeout=30) == 0, "the node should stop cleanly"
    print(f"{ROUNDS} kills, {len(acknowledged)} rows acknowledged and found again")
    print("1 passed, 0 failed")


main()
