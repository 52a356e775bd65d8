"""One node beside the no-op server, and beside Apache Cassandra if one runs: CPU time of the server per operation, latency at
a fixed rate, reads from files, pages, memory. Servers on core 0, the loader on core 1; whoever is not measured stands still.

    python3 benches/server.py target/release/dodona [--cassandra HOST --pid PID --nodetool 'COMMAND -h HOST'] [--turns 3]

Cassandra has to be on core 0, and is warmed with 3 million writes and 3 million reads.
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time

KEYS, FILE_KEYS, IDLE_CLIENTS = 200_000, 2_000_000, 5_000


class Server:
    """A process that answers on a host."""

    def __init__(self, name, host, pid, nodetool=None):
        self.name, self.host, self.pid, self.nodetool = name, host, pid, nodetool

    def signal(self, number):
        os.kill(self.pid, number)

    def resident_mb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.pid}/status").read()).group(1)) / 1024


def started(command, until):
    """A process on core 0 that has printed `until`, and the line with it."""
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if until in line:
            return process, line.strip()
    raise SystemExit(f"{' '.join(command)} did not start")


class Run:
    """The servers, and what was measured of them."""

    def __init__(self, binary, servers):
        self.binary, self.servers = binary, servers

    def alone(self, server):
        """Lets one server run and no other."""
        for other in self.servers:
            other.signal(signal.SIGCONT if other is server else signal.SIGSTOP)
        time.sleep(0.5)

    def load(self, server, kind, connections, depth, *more):
        command = [self.binary, "bench", kind, "--host", server.host, "--connections", str(connections), "--depth", str(depth),
                   "--value-bytes", "100", "--pin", "1", "--server-pid", str(server.pid), "--json", *map(str, more)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
        if found["errors"]:
            raise SystemExit(f"{server.name}: {found['errors']} errors, the first: {found['first_error']}")
        return found

    def table(self, title, rows, columns):
        print(f"\n| {title} | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
        for name, values in rows:
            print(f"| {name} | " + " | ".join(values.get(column, "") for column in columns) + " |", flush=True)

    def saturated(self):
        """As fast as each server can."""
        rows = []
        for connections, depth in ((4, 64), (64, 4)):
            for kind in ("write", "read"):
                values = {}
                for server in self.servers:
                    self.alone(server)
                    operations = 300_000 if server.name == "Cassandra" else 1_500_000
                    warm = ["--warmup", operations // 5, "--operations", operations, "--keys", KEYS]
                    found = self.load(server, kind, connections, depth, *warm, *(["--no-load"] if kind == "read" else []))
                    values[server.name] = f"{found['server_cpu_micros_per_operation']:.2f}"
                rows.append((f"{kind}, {connections} x {depth}", values))
        self.table("CPU of the server per operation, µs", rows, [server.name for server in self.servers])

    def at_a_rate(self, turns):
        """10,000 operations in a second over 32 connections, evenly spaced; the median of the turns."""
        cpu, latency = [], []
        for kind in ("write", "read"):
            found = {server.name: [] for server in self.servers}
            for _ in range(turns):
                for server in self.servers:
                    self.alone(server)
                    found[server.name].append(self.load(server, kind, 32, 8, "--rate", 10_000, "--duration", 10, "--keys", KEYS,
                                                        *(["--no-load"] if kind == "read" else [])))
            middle = {name: statistics.median(run["server_cpu_micros_per_operation"] for run in runs) for name, runs in found.items()}
            cpu.append((kind, {name: f"{value:.1f} ({value / middle['no-op']:.2f} x)" for name, value in middle.items()}))
            for point in ("p50", "p99", "p99.9"):
                middle = {name: statistics.median(run["latency_micros"][kind][point] for run in runs) for name, runs in found.items()}
                latency.append((f"{kind}, {point}", {name: f"{value:.0f} ({value / middle['no-op']:.2f} x)" for name, value in middle.items()}))
        names = [server.name for server in self.servers]
        self.table("10,000 op/s, 32 connections: CPU per operation, µs", cpu, names)
        self.table("10,000 op/s: latency, µs", latency, names)

    def pages(self):
        values = {}
        for server in self.servers[1:]:
            self.alone(server)
            operations = 30_000 if server.name == "Cassandra" else 200_000
            found = self.load(server, "scan", 4, 32, "--operations", operations, "--warmup", operations // 5)
            values[server.name] = f"{found['server_cpu_micros_per_operation']:.1f}"
        self.table("CPU of a page, µs", [("50 rows of 1,000", values)], list(values))

    def files(self):
        """Reads of 2 million keys that lie in files, in the page cache."""
        values = {}
        for server in self.servers[1:]:
            self.alone(server)
            for _ in range(2):  # Without --no-load each writes all keys first.
                self.load(server, "read", 4, 64, "--operations", 1000, "--keys", FILE_KEYS)
            for command in ("flush bench", "compact bench kv"):
                subprocess.run([*server.nodetool.split(), *command.split()], check=True, stdout=subprocess.DEVNULL)
            operations = 300_000 if server.name == "Cassandra" else 1_000_000
            found = self.load(server, "read", 4, 64, "--no-load", "--keys", FILE_KEYS, "--operations", operations, "--warmup", operations // 5)
            values[server.name] = f"{found['server_cpu_micros_per_operation']:.2f}"
        self.table("CPU of a read from files, µs", [("4 x 64, 2 million keys", values)], list(values))


def idle_clients(server):
    """What clients that have said STARTUP and nothing since take."""
    before, clients = server.resident_mb(), []
    body = b"\x00\x01\x00\x0bCQL_VERSION\x00\x053.4.7"
    for _ in range(IDLE_CLIENTS):
        client = socket.create_connection((server.host, 9042))
        client.sendall(b"\x04\x00\x00\x00\x01" + len(body).to_bytes(4, "big") + body)
        answer = client.recv(9)
        assert answer[4] == 2, f"READY was expected, and {answer} came"
        clients.append(client)
    print(f"{IDLE_CLIENTS:,} idle clients: {server.resident_mb() - before:.1f} MB more", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--cassandra", metavar="HOST")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--nodetool")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", choices=("saturated", "rate", "pages", "files"), action="append")
    given = parser.parse_args()
    binary = os.path.abspath(given.binary)
    with tempfile.TemporaryDirectory() as directory:
        node, banner = started([binary, "start", "--data", f"{directory}/data", "--listen", "127.0.3.1", "--admin-port", "17191",
                                "--cores", "1"], "is ready")
        dodona = Server("Dodona", "127.0.3.1", node.pid, f"{binary} nodetool -p 17191")
        time.sleep(3)
        print(f"{banner}; {dodona.resident_mb():.1f} MB resident")
        idle_clients(dodona)
        no_op, _ = started([binary, "bench", "--no-op-server", "127.0.3.2:9042"], "")
        servers = [Server("no-op", "127.0.3.2", no_op.pid), dodona]
        if given.cassandra:
            servers.append(Server("Cassandra", given.cassandra, given.pid, given.nodetool))
        run = Run(binary, servers)
        try:
            parts = given.only or ("saturated", "rate", "pages", "files")
            if given.cassandra:
                run.alone(servers[2])
                for kind in ("write", "read"):
                    run.load(servers[2], kind, 4, 64, "--operations", 3_000_000, "--keys", KEYS)
            measures = {"saturated": run.saturated, "rate": lambda: run.at_a_rate(given.turns), "pages": run.pages, "files": run.files}
            for part in parts:
                measures[part]()
            print(f"memory of Dodona: {dodona.resident_mb():.0f} MB")
        finally:
            for server in servers:
                server.signal(signal.SIGCONT)
            node.kill()
            no_op.kill()


if __name__ == "__main__":
    main()
