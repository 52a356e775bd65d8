"""The main job on generated data: rows of mixed types are loaded through the Go driver, the node is killed with SIGKILL
in the middle of the load and at its end, and everything that was acknowledged is read back through the Java driver and
compared, value by value. At last the comparison itself is tried: it must notice a changed value, a lost row and a row
that nobody wrote.

    run.py BINARY LOADER VERIFIER_CLASSPATH [ROWS] [SEED]
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

BINARY, LOADER, CLASSPATH = sys.argv[1:4]
ROWS = int(sys.argv[4]) if len(sys.argv) > 4 else 20_000
SEED = int(sys.argv[5]) if len(sys.argv) > 5 else 1
# A request of protocol version 4 without a body, which any node answers that is ready.
OPTIONS = bytes([4, 0, 0, 0, 5, 0, 0, 0, 0])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Node:
    """A node that is started over and over on one data directory."""

    def __init__(self, data):
        self.data, self.port, self.admin, self.peak_mib, self.process = data, free_port(), free_port(), 0, None

    def start(self):
        begun = time.monotonic()
        log = open(os.path.join(self.data, "..", "log"), "a")
        self.process = subprocess.Popen(
            [BINARY, "start", "--data", self.data, "--port", str(self.port), "--admin-port", str(self.admin)],
            stdout=log, stderr=log)
        while time.monotonic() < begun + 120:
            if self.process.poll() is not None:
                sys.exit(f"the node ended with code {self.process.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=120) as client:
                    client.sendall(OPTIONS)
                    client.recv(1)
                return time.monotonic() - begun
            except OSError:
                time.sleep(0.005)
        sys.exit("the node is not ready after 120 seconds")

    def note_peak(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        self.peak_mib = max(self.peak_mib, peak // 1024)

    def cql(self, statement):
        subprocess.run([BINARY, "shell", "127.0.0.1", str(self.port), "-e", statement], check=True)

    def stop(self):
        self.note_peak()
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0, "the node should stop cleanly"


def generator(order):
    return subprocess.Popen(
        [BINARY, "dataset", "rows", "--rows", str(ROWS), "--seed", str(SEED), "--order", order], stdout=subprocess.PIPE)


def load(node, acknowledged, kill_after):
    """Loads until so many rows are acknowledged; then the node is gone."""
    rows = generator("arrival")
    subprocess.run(
        [LOADER, "-port", str(node.port), "-rows", str(ROWS), "-acknowledged", acknowledged,
         "-kill", str(node.process.pid), "-after", str(kill_after)], stdin=rows.stdout, check=True)
    rows.stdout.close()
    rows.wait()
    assert node.process.wait(timeout=10) == -9, "the node should have been killed"


def verify(node, acknowledged):
    rows = generator("partition")
    done = subprocess.run(
        ["java", "-cp", CLASSPATH, "Verify", "127.0.0.1", str(node.port), acknowledged],
        stdin=rows.stdout, capture_output=True, text=True)
    rows.stdout.close()
    rows.wait()
    node.note_peak()
    return done


def try_the_comparison(node, acknowledged):
    """Damages the table, each time in another way, and demands that the comparison says so."""
    with generator("partition") as rows:
        row = json.loads(rows.stdout.readline())["row"]
    partition = f"sensor = {row['sensor']} AND day = '{row['day']}'"
    written, foreign = f"{partition} AND at = {row['at']}", f"{partition} AND at = {row['at'] + 7 * 86_400_000}"
    for damage, complaint in [
        (f"UPDATE dataset.readings SET status = 1 WHERE {foreign}", "a row nobody wrote"),
        (f"DELETE FROM dataset.readings WHERE {foreign}", None),
        (f"UPDATE dataset.readings SET sequence = 123456789 WHERE {written}", "column sequence: read 123456789"),
        (f"DELETE FROM dataset.readings WHERE {written}", "was acknowledged and is not there"),
    ]:
        node.cql(damage)
        if complaint:
            done = verify(node, acknowledged)
            if done.returncode != 1 or complaint not in done.stderr:
                sys.exit(f"the comparison should say '{complaint}': {done.stdout} {done.stderr}")
    print("the comparison notices a foreign row, a changed value and a lost row")


def size_mib(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names) >> 20


def main():
    with tempfile.TemporaryDirectory() as folder:
        data, acknowledged = os.path.join(folder, "data"), os.path.join(folder, "acknowledged")
        os.mkdir(data)
        node = Node(data)
        print(f"ready on an empty directory in {node.start():.2f} s")
        node.cql(subprocess.run([BINARY, "dataset", "schema"], check=True, capture_output=True, text=True).stdout)
        for when, kill_after in [("in the middle", ROWS // 2), ("at the end", ROWS)]:
            load(node, acknowledged, kill_after)
            print(f"killed {when}: {size_mib(data)} MiB on disk, ready again in {node.start():.2f} s", flush=True)
            done = verify(node, acknowledged)
            if done.returncode != 0:
                sys.exit(done.stderr)
            print(done.stdout.strip(), flush=True)
        print(f"at most {node.peak_mib} MiB resident; {size_mib(data)} MiB on disk")
        try_the_comparison(node, acknowledged)
        node.stop()
    print("1 passed, 0 failed")


main()
