"""The two systems that are compared, as benchmarks start them: clusters of processes on loopback addresses.

The command that starts a node of Cassandra in the foreground has `{ip}`, `{seeds}` and `{dir}`, which are replaced; that
of its nodetool `{port}`, for the JMX port of a node.
"""

import argparse
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time


class System:
    """A cluster of one of the two systems, of processes by the numbers of their nodes."""

    def __init__(self, directory):
        self.directory = directory
        self.nodes = {}

    def launch(self, number):
        """Starts a node, and returns the seconds until clients can connect."""
        began = time.monotonic()
        with open(f"{self.directory}/{number}.log", "w") as log:
            command = self.command(number)
            self.nodes[number] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while not serves(self.address(number)):
            if self.nodes[number].poll() is not None:
                sys.exit(f"node {number} has ended: see the logs in {self.directory}")
            time.sleep(0.05)
        return time.monotonic() - began

    def cpu_seconds(self):
        """CPU time of all nodes so far."""
        ticks = 0
        for node in self.nodes.values():
            fields = open(f"/proc/{node.pid}/stat").read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def peak_mb(self):
        """The most memory of one node so far."""
        status = (open(f"/proc/{node.pid}/status").read() for node in self.nodes.values())
        return max(int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) for text in status) / 1024

    def tool(self, number, *arguments):
        """What nodetool prints of a node."""
        done = subprocess.run([*self.nodetool(number), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        if done.returncode != 0:
            sys.exit(f"nodetool {' '.join(arguments)}: {done.stdout}")
        return done.stdout

    def file_bytes(self):
        """Bytes of all nodes' files of tables."""
        found = (os.path.join(folder, name) for number in self.nodes
                 for folder, _, names in os.walk(self.files(number)) for name in names)
        return sum(map(os.path.getsize, found))

    def stop(self):
        """Kills the nodes."""
        for node in self.nodes.values():
            node.kill()
            node.wait()


class Dodona(System):
    name = "Dodona"

    def __init__(self, directory, binary, *more):
        super().__init__(directory)
        self.binary, self.more = binary, more

    def address(self, number):
        return f"127.0.6.{number}"

    def command(self, number):
        address = self.address(number)
        return [self.binary, "start", "--data", f"{self.directory}/n{number}", "--listen", address, "--admin-listen",
                address, "--seeds", self.address(1), "--log-level", "warn", *self.more]

    def nodetool(self, number):
        return [self.binary, "nodetool", "-h", self.address(number)]

    def files(self, number):
        return f"{self.directory}/n{number}/tables"


class Cassandra(System):
    name = "Cassandra"

    def __init__(self, directory, start, nodetool):
        super().__init__(directory)
        self.start, self.tool_command = start, nodetool

    def address(self, number):
        return f"127.0.7.{number}"

    def command(self, number):
        places = {"ip": self.address(number), "seeds": self.address(1), "dir": f"{self.directory}/c{number}"}
        return shlex.split(self.start.format(**places))

    def nodetool(self, number):
        return shlex.split(self.tool_command.format(port=7199 + number))

    def files(self, number):
        return f"{self.directory}/c{number}/data/bench"


def serves(address):
    """True if clients can connect."""
    try:
        with socket.create_connection((address, 9042), timeout=1):
            return True
    except OSError:
        return False


def compare(description, rows, run, *more, **numbers):
    """Has `run` measure Dodona, started with `more` arguments, and Cassandra if the command line has one. `numbers` are
    options of its own, with what they are if nothing is said."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, default=rows)
    for name, number in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=number)
    parser.add_argument("--cassandra")
    parser.add_argument("--nodetool")
    arguments = parser.parse_args()
    chosen = {name: getattr(arguments, name) for name in numbers}
    binary = os.path.abspath(arguments.binary)
    with tempfile.TemporaryDirectory() as directory:
        run(Dodona(directory, binary, *more), binary, arguments.rows, **chosen)
        if arguments.cassandra:
            run(Cassandra(directory, arguments.cassandra, arguments.nodetool), binary, arguments.rows, **chosen)
