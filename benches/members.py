"""A repair that finds nothing to do, and a join: three nodes that hold rows of 1 KB, two copies of each, and a fourth.

    python3 benches/members.py target/release/dodona [--rows 500000] [--nodes 3] [--copies 2] [--cassandra COMMAND
        --nodetool COMMAND]

With two nodes and three copies, a third node is to hold all that there is.
The commands of Cassandra are as in `systems.py`. One system runs at a time, on all cores.
"""

import subprocess
import time

from systems import compare


def measure(system, what, work):
    """Does it, and prints how long it took and the CPU time of all nodes."""
    before, began = system.cpu_seconds(), time.monotonic()
    work()
    took, cpu = time.monotonic() - began, system.cpu_seconds() - before
    print(f"{system.name:9} {what:44} {took:7.1f} s  {cpu:7.1f} s of CPU  {system.peak_mb():6.0f} MB at most in a node",
          flush=True)


def join(system, number):
    """Starts a further node, and waits until the first one sees it to be a member with its data."""
    system.launch(number)
    while sum(line.startswith("UN ") for line in system.tool(1, "status", "bench").splitlines()) < number:
        time.sleep(0.2)
    print(*(line for line in system.tool(1, "status", "bench").splitlines() if line.startswith("U")), sep="\n")


def run(system, binary, rows, nodes, copies):
    """All of it with one system."""
    old = range(1, nodes + 1)
    try:
        started = [system.launch(number) for number in old]
        print(f"{system.name:9} {nodes} nodes from nothing, one after another: {sum(started):.1f} s", flush=True)
        load = [binary, "bench", "read", "--host", system.address(1), "--connections", "2", "--depth", "32", "--keys",
                str(rows), "--value-bytes", "1000", "--operations", "1", "--replication-factor", str(copies),
                "--consistency", "QUORUM"]
        measure(system, f"{rows} rows written", lambda: subprocess.run(load, check=True, stdout=subprocess.DEVNULL))
        for number in old:
            system.tool(number, "flush")
        print(f"{system.name:9} bytes of files for each copy of a row: {system.file_bytes() / (min(nodes, copies) * rows):.0f}", flush=True)
        measure(system, "a full repair", lambda: system.tool(1, "repair", "--full", "bench"))
        measure(system, "an incremental repair, the first", lambda: system.tool(1, "repair", "bench"))
        measure(system, "an incremental repair, nothing to compare", lambda: system.tool(1, "repair", "bench"))
        measure(system, "a further node from nothing to a full member", lambda: join(system, nodes + 1))
    finally:
        system.stop()


compare(__doc__, 500_000, run, nodes=3, copies=2)
