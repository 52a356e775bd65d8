"""Three nodes from nothing until a write at QUORUM with RF 3 is acknowledged by the last of them, all on one core, the best of
three times.

    python3 benches/start.py target/release/dodona [SECONDS]

It passes if that takes at most so long: 3 s unless told otherwise.
"""

import os
import subprocess
import sys
import tempfile
import time

from three_nodes import NODES, resident_mb, start, stop


def address(node):
    return f"127.0.5.{node}"


def once(binary):
    """Seconds until the nodes are ready and until the write is acknowledged, and their memory together then."""
    with tempfile.TemporaryDirectory() as directory:
        began = time.monotonic()
        nodes = start(binary, directory, address)
        try:
            ready = time.monotonic() - began
            command = [binary, "bench", "write", "--host", address(NODES[-1]), "--connections", "1", "--depth", "1",
                       "--operations", "1", "--keys", "1", "--replication-factor", "3", "--consistency", "QUORUM"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return ready, time.monotonic() - began, sum(map(resident_mb, nodes))
        finally:
            stop(nodes)


def main():
    binary, most = os.path.abspath(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 3
    times = []
    for _ in range(3):
        ready, served, memory = once(binary)
        times.append(served)
        print(f"ready after {ready:.2f} s, a write at QUORUM after {served:.2f} s, {memory:.0f} MB together")
    print(f"{'PASS' if min(times) <= most else 'FAIL'}  three nodes serve QUORUM after {min(times):.2f} s, {most:g} s at most")
    sys.exit(min(times) > most)


main()
