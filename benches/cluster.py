"""Three nodes together on one core, RF 3, QUORUM, two connections x 32 to each: CPU time of all servers
per operation, latency and memory.

    python3 benches/cluster.py target/release/dodona
"""

import os
import re
import subprocess
import sys
import tempfile
import time

from three_nodes import NODES, resident_mb, start, stop


def address(node):
    return f"127.0.3.{node}"


def cpu_seconds(nodes):
    """CPU time of all nodes so far."""
    ticks = 0
    for node in nodes:
        fields = open(f"/proc/{node.pid}/stat").read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def load(binary, nodes, kind, operations, *more):
    """Loads each node from a process of its own on core 1, and prints what came of it."""
    command = ["taskset", "-c", "1", binary, "bench", kind, "--connections", "2", "--depth", "32", "--operations",
               str(operations), "--keys", "100000", "--value-bytes", "100", "--replication-factor", "3",
               "--consistency", "QUORUM", *more]
    before, began = cpu_seconds(nodes), time.monotonic()
    loaders = [subprocess.Popen([*command, "--host", address(node)], stdout=subprocess.PIPE, text=True)
               for node in NODES]
    outputs = [loader.communicate()[0] for loader in loaders]
    took, cpu = time.monotonic() - began, cpu_seconds(nodes) - before
    p99 = [int(p99) for output in outputs for p99 in re.findall(r"p99 +(\d+)", output)]
    count = len(NODES) * operations
    print(f"{kind:6} {count / took:7.0f} op/s   {cpu / count * 1e6:6.1f} µs of CPU each   p99 {max(p99) / 1000:.1f} ms")


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        began = time.monotonic()
        nodes = start(binary, directory, address)
        print(f"three nodes from nothing: ready after {time.monotonic() - began:.2f} s")
        try:
            time.sleep(3)
            before = cpu_seconds(nodes)
            time.sleep(5)
            idle = (cpu_seconds(nodes) - before) / 5
            print(f"idle: {sum(map(resident_mb, nodes)):.0f} MB, {idle * 100:.1f} % of a core")
            load(binary, nodes, "write", 3000)
            load(binary, nodes, "write", 60000)
            load(binary, nodes, "read", 60000, "--no-load")
            print(f"afterwards: {sum(map(resident_mb, nodes)):.0f} MB")
        finally:
            stop(nodes)


main()
