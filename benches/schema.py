"""Changes of the schema on three nodes, one after another from one client: how long they take, what the metadata log and the
nodes take afterwards, and how long a node takes to start again.

    python3 benches/schema.py BINARY [CHANGES]
"""

import os
import random
import subprocess
import sys
import tempfile
import time

from three_nodes import resident_mb, start, stop

BINARY = os.path.abspath(sys.argv[1])
CHANGES = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
CHUNK = 100


def statement(number):
    """Every other one makes a table of ten columns; the others add a column to the one before."""
    if number % 2:
        return f"ALTER TABLE ks.t{number - 1} ADD more text;"
    columns = ", ".join(f"c{column} text" for column in range(8))
    return f"CREATE TABLE ks.t{number} (k int, c int, {columns}, PRIMARY KEY (k, c));"


def main():
    network = f"127.{random.randrange(1, 250)}.{random.randrange(1, 250)}"
    address = lambda node: f"{network}.{node}"  # noqa: E731
    with tempfile.TemporaryDirectory() as directory:
        nodes = start(BINARY, directory, address)
        shell = lambda *more: subprocess.run([BINARY, "shell", address(2), *more], check=True, capture_output=True)  # noqa: E731
        shell("-e", "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}")
        before = [resident_mb(node) for node in nodes]
        times = []
        for first in range(0, CHANGES, CHUNK):
            path = f"{directory}/changes.cql"
            with open(path, "w") as file:
                file.write("\n".join(statement(number) for number in range(first, min(first + CHUNK, CHANGES))))
            began = time.monotonic()
            shell("-f", path)
            times.append((time.monotonic() - began) / CHUNK * 1_000)
        print(f"{CHANGES} changes: {times[0]:.1f} ms each at first, {times[-1]:.1f} ms at last, "
              f"{sum(times) * CHUNK / 1_000:.1f} s in all")
        log = sum(os.path.getsize(f"{directory}/n1/metadata/{name}") for name in os.listdir(f"{directory}/n1/metadata"))
        grown = sum(resident_mb(node) - was for node, was in zip(nodes, before)) / len(nodes)
        print(f"metadata log {log / 1e6:.1f} MB, memory {grown:.0f} MB more a node")
        began = time.monotonic()
        nodes[2].kill()
        nodes[2].wait()
        again = subprocess.Popen(
            [BINARY, "start", "--data", f"{directory}/n3", "--listen", address(3), "--admin-listen", address(3),
             "--seeds", address(1), "--cores", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        print("after kill -9:", again.stdout.readline().strip(), f"({(time.monotonic() - began) * 1_000:.0f} ms)")
        stop([*nodes[:2], again])


main()
