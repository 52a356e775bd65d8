"""One partition that is many times larger than the memory of its node: written, read both ways, by name,
compacted, with the peak of the node's resident memory for each. The node may not have more than LIMIT_MB of
data (RLIMIT_DATA: heap, anonymous memory and stacks).

    python3 benches/large_partition.py target/release/dodona [GB [LIMIT_MB [MEMORY_MB]]]

It takes about three times as many GB on the disk of the temporary directory (TMPDIR).
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time

VALUE_BYTES = 10_000
ADDRESS = "127.0.4.1"


def status_mb(node, name):
    return int(re.search(name + r":\s+(\d+)", open(f"/proc/{node.pid}/status").read()).group(1)) / 1024


class Bench:
    def __init__(self, binary, node):
        self.binary, self.node = binary, node

    def run(self, *command):
        done = subprocess.run([self.binary, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0 or self.node.poll() is not None:
            sys.exit(f"{command}: {done.stdout[-2000:]} {done.stderr[-2000:]}\nthe node: {self.node.poll()}")
        return done.stdout

    def shell(self, statement):
        return self.run("shell", ADDRESS, "9042", "-e", statement)

    def measured(self, name, work):
        open(f"/proc/{self.node.pid}/clear_refs", "w").write("5")
        began = time.monotonic()
        answer = work()
        took = time.monotonic() - began
        print(f"{name:34} {took:7.1f} s   peak {status_mb(self.node, 'VmHWM'):5.0f} MB", flush=True)
        return answer


def main():
    binary = os.path.abspath(sys.argv[1])
    gigabytes, limit_mb, memory_mb = (int(given) for given in (sys.argv[2:] + ["10", "512", "256"][len(sys.argv) - 2:]))
    rows = gigabytes * 1_000_000_000 // VALUE_BYTES
    with tempfile.TemporaryDirectory() as directory:
        limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit_mb << 20, limit_mb << 20))
        log = open(f"{directory}/log", "w")
        node = subprocess.Popen([binary, "start", "--data", f"{directory}/data", "--listen", ADDRESS, "--admin-listen",
                                 ADDRESS, "--memory-bytes", str(memory_mb << 20)], stdout=log, stderr=log, preexec_fn=limit)
        try:
            while "is ready" not in open(f"{directory}/log").read():
                time.sleep(0.05)
            measure(Bench(binary, node), rows)
        finally:
            node.kill()
            node.wait()
            print(open(f"{directory}/log").read()[-1500:])


def measure(bench, rows):
    bench.shell("CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    bench.shell("CREATE TABLE bench.wide (key bigint, seq int, value blob, PRIMARY KEY (key, seq)) "
                "WITH compression = {'enabled': false}")
    print(f"{rows} rows of {VALUE_BYTES} bytes; at rest {status_mb(bench.node, 'VmRSS'):.0f} MB", flush=True)
    scan = ["bench", "scan", "--host", ADDRESS, "--keys", str(rows), "--rows-per-partition", str(rows), "--value-bytes",
            str(VALUE_BYTES), "--page-size", "100", "--connections", "1"]
    bench.measured("written, and one page read", lambda: bench.run(*scan, "--depth", "32", "--operations", "1"))
    key = re.search(r"(-?\d+)\s", bench.shell("SELECT DISTINCT key FROM bench.wide").split("+\n")[-1]
                    .split("-\n")[-1]).group(1)
    nodetool = ["nodetool", "-h", ADDRESS]

    def count(order):
        text = bench.shell(f"PAGING 100; SELECT seq FROM bench.wide WHERE key = {key} ORDER BY seq {order}")
        found = int(re.search(r"\((\d+) rows\)", text).group(1))
        assert found == rows, f"{found} of {rows} rows"

    def by_name():
        for number in range(100):
            seq = number * 7919 % rows
            answer = bench.shell(f"SELECT seq FROM bench.wide WHERE key = {key} AND seq = {seq}")
            assert "(1 rows)" in answer, answer

    def slices():
        middle = rows // 2
        for text in (f"seq >= {middle} LIMIT 1000", f"seq < {middle} ORDER BY seq DESC LIMIT 1000"):
            assert "(1000 rows)" in bench.shell(f"SELECT seq FROM bench.wide WHERE key = {key} AND {text}")

    def reads(when):
        bench.measured(f"{when}: 100 rows by name", by_name)
        bench.measured(f"{when}: slices both ways", slices)
        bench.measured(f"{when}: all forward, in pages", lambda: count("ASC"))
        bench.measured(f"{when}: all backward, in pages", lambda: count("DESC"))
        bench.measured(f"{when}: count(*)", lambda: bench.shell(f"SELECT count(*) FROM bench.wide WHERE key = {key}"))

    bench.measured("flushed", lambda: bench.run(*nodetool, "flush", "bench"))
    reads("as flushed")
    bench.run(*nodetool, "setcompactionthroughput", "0")
    bench.measured("major compaction", lambda: bench.run(*nodetool, "compact", "bench", "wide"))
    reads("compacted")
    bench.measured("a range of half of it deleted", lambda: bench.shell(
        f"DELETE FROM bench.wide WHERE key = {key} AND seq < {rows // 2}"))
    bench.measured("verified", lambda: bench.run(*nodetool, "verify", "bench"))
    print(re.sub(r"\n\s*\n", "\n", bench.run(*nodetool, "info")))


if __name__ == "__main__":
    main()
