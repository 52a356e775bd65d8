"""Three nodes together on one core, as benchmarks of a cluster start and look at them."""

import re
import subprocess
import sys
import time

NODES = (1, 2, 3)


def start(binary, directory, address, *more):
    """Starts the nodes on core 0, each at `address(number)`, and returns their processes once all are ready."""
    nodes = []
    for node in NODES:
        command = ["taskset", "-c", "0", binary, "start", "--data", f"{directory}/n{node}", "--listen", address(node),
                   "--admin-listen", address(node), "--seeds", address(1), "--cores", "1", *more]
        log = open(f"{directory}/{node}.log", "w")
        nodes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
    while not all("is ready" in open(f"{directory}/{node}.log").read() for node in NODES):
        if any(node.poll() is not None for node in nodes):
            sys.exit("a node did not start: see the logs in " + directory)
        time.sleep(0.01)
    return nodes


def resident_mb(node):
    """Resident memory of a node."""
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{node.pid}/status").read()).group(1)) / 1024


def stop(nodes):
    """Kills the nodes."""
    for node in nodes:
        node.kill()
        node.wait()
