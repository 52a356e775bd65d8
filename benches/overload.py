"""Overload: three nodes together on one core, RF 3, writes at QUORUM. What they sustain is found first, then ten times
that is offered for a minute, over ten times as many connections with deep pipelines, and then a light load again. Beside the
overload there is a client that has one request under way at each node.

    python3 benches/overload.py target/release/dodona [--seconds 60] [--brief]

It passes if memory stays below its bound, all nodes see all nodes up all the time, the overload's goodput is above 80 %
of the peak, that of as many connections and that of two to each node, and the light load fares as before within 5 s.
With --brief it takes less than a minute and is for a machine that may have other things to do: goodput above half of the
peak of as many connections is enough then, and 15 s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

from three_nodes import NODES, resident_mb, start, stop

# Of one node: twice the memtables, the block cache and the requests in flight that it may have (docs/OPERATIONS.md), and
# an eighth for the rest.
BOUND_MB = (2 * 64 + 256 + 256) * 9 // 8
MODERATE = ("--connections", "2", "--depth", "32")
# As many connections as the overload has, with about twice as many requests at once as saturate a node.
MANY = ("--connections", "20", "--depth", "6")
# 20 connections x 512 to each node: 160 times as many requests at once as saturate it, about a second's work.
DEEP = ("--connections", "20", "--depth", "512")
SINGLE = ("--connections", "1", "--depth", "1")


def address(node):
    return f"127.0.4.{node}"


def seen_up(binary, node):
    """How many nodes a node sees up; 0 if it does not answer within 10 s."""
    command = ["taskset", "-c", "1", binary, "nodetool", "-h", address(node), "status"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.count("\nUN  ")
    except subprocess.TimeoutExpired:
        return 0


def load(binary, seconds, shape, rate=None):
    """Loads each node from a process of its own on core 1. Returns op/s, p50 and p99 in ms (the worst of the three),
    errors, and the first error."""
    command = ["taskset", "-c", "1", binary, "bench", "write", *shape, "--duration", str(max(1, round(seconds))), "--keys", "100000",
               "--value-bytes", "100", "--replication-factor", "3", "--consistency", "QUORUM", "--json"]
    if rate:
        command += ["--rate", str(rate / len(NODES))]
    loaders = [subprocess.Popen([*command, "--host", address(node)], stdout=subprocess.PIPE, text=True) for node in NODES]
    outputs = [json.loads(loader.communicate()[0]) for loader in loaders]
    latency = [output["latency_micros"].get("write", {"p50": 0, "p99": 0}) for output in outputs]
    return (sum(output["operations_per_second"] for output in outputs), max(at["p50"] for at in latency) / 1000,
            max(at["p99"] for at in latency) / 1000, sum(output["errors"] for output in outputs),
            next((output["first_error"] for output in outputs if output["first_error"]), ""))


class Watcher(threading.Thread):
    """Looks at the nodes twice a second: their memory, and whom they see."""

    def __init__(self, binary, nodes):
        super().__init__(daemon=True)
        self.binary, self.nodes = binary, nodes
        self.over = threading.Event()
        self.most_mb, self.least_up, self.looks = 0, len(NODES), 0
        self.middle_mb = []

    def run(self):
        while not self.over.wait(0.5):
            self.most_mb = max(self.most_mb, *map(resident_mb, self.nodes))
            self.middle_mb.append(max(map(resident_mb, self.nodes)))
            self.least_up = min(self.least_up, *(seen_up(self.binary, node) for node in NODES))
            self.looks += 1


def show(what, figures, wanted=""):
    rate, p50, p99, errors, first = figures
    print(f"{what:26} {wanted:>9} {rate:9.0f} {p50:9.1f} {p99:9.1f} {errors:8}  {first}", flush=True)


def recovery(binary, before, rate):
    """Seconds from now until the light load fares as before."""
    began = time.monotonic()
    while time.monotonic() - began < 60:
        at = time.monotonic() - began
        now = load(binary, 1, MODERATE, rate)
        if now[0] > 0.95 * before[0] and now[3] == 0 and now[1] < 2 * before[1] + 1 and now[2] < 2 * before[2] + 20:
            return at
    return float("inf")


def measure(binary, nodes, seconds, brief):
    """Prints the table, and returns what was required of it."""
    part = 3 if brief else 1
    load(binary, 5 / part, MODERATE)
    print(f"{'':26} {'offered':>9} {'op/s':>9} {'p50 ms':>9} {'p99 ms':>9} {'errors':>8}")
    peak = load(binary, 15 / part, MODERATE)
    show("saturated, 3 x 2 x 32", peak)
    many = load(binary, 15 / part, MANY)
    show("saturated, 3 x 20 x 6", many)
    light = peak[0] * 0.3
    before = load(binary, 10 / part, MODERATE, light)
    show("light", before, f"{light:.0f}")
    watcher = Watcher(binary, nodes)
    idle_mb = max(map(resident_mb, nodes))
    watcher.start()
    single = []
    beside = threading.Timer(seconds / 4, lambda: single.append(load(binary, seconds / 4, SINGLE)))
    beside.start()
    over = load(binary, seconds, DEEP, 10 * peak[0])
    show("overload, 3 x 20 x 512", over, f"{10 * peak[0]:.0f}")
    after = recovery(binary, before, light)
    beside.join()
    show("one at a time beside it", single[0])
    watcher.over.set()
    watcher.join()
    show("light, afterwards", load(binary, 10 / part, MODERATE, light), f"{light:.0f}")
    third = max(len(watcher.middle_mb) // 3, 1)
    print(f"memory of the largest node: {idle_mb:.0f} MB before, at most {watcher.most_mb:.0f} MB "
          f"(first third {max(watcher.middle_mb[:third]):.0f} MB), {max(map(resident_mb, nodes)):.0f} MB afterwards")
    least, within = (0.5, 15) if brief else (0.8, 5)
    required = [
        (f"memory: {watcher.most_mb:.0f} MB of a bound of {BOUND_MB} MB", watcher.most_mb < BOUND_MB),
        (f"nodes seen up: at least {watcher.least_up}, looked {watcher.looks} times", watcher.least_up == len(NODES)),
        (f"goodput: {over[0] / many[0] * 100:.0f} % of the peak of as many connections", over[0] > least * many[0]),
        (f"as before after {after:.1f} s", after < within),
    ]
    of_peak = f"goodput: {over[0] / peak[0] * 100:.0f} % of the peak of two to each node"
    return required if brief else [*required, (of_peak, over[0] > 0.8 * peak[0])]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary", type=os.path.abspath)
    arguments.add_argument("--seconds", type=int)
    arguments.add_argument("--brief", action="store_true")
    given = arguments.parse_args()
    seconds = given.seconds or (16 if given.brief else 60)
    with tempfile.TemporaryDirectory() as directory:
        nodes = start(given.binary, directory, address, "--memtable-bytes", str(64 << 20))
        try:
            required = measure(given.binary, nodes, seconds, given.brief)
            fallen = [node for node in nodes if node.poll() is not None]
            required.append((f"nodes that run: {len(nodes) - len(fallen)}", not fallen))
        finally:
            stop(nodes)
    for what, is_so in required:
        print(f"{'PASS' if is_so else 'FAIL'}  {what}")
    sys.exit(not all(is_so for _, is_so in required))


main()
