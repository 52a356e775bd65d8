"""Bytes that a row takes in memory and in files: a node of each system with the same rows of 8-byte keys and 100-byte
values, before and after a flush.

    python3 benches/bytes_per_row.py target/release/dodona [--rows 1000000] [--cassandra COMMAND --nodetool COMMAND]

The commands of Cassandra are as in `systems.py`; its memtables must have room for all rows.
"""

import argparse
import os
import re
import subprocess
import tempfile

from systems import Cassandra, Dodona


def told(system, name):
    """A figure of the table, as nodetool tells it."""
    found = re.search(rf"{re.escape(name)}: (\d+)", system.tool(1, "tablestats", "bench.kv"))
    return int(found.group(1)) if found else 0


def run(system, binary, rows):
    try:
        system.launch(1)
        load = [binary, "bench", "read", "--host", system.address(1), "--connections", "2", "--depth", "32", "--operations",
                "1", "--value-bytes", "100"]
        subprocess.run([*load, "--keys", "1"], check=True, stdout=subprocess.DEVNULL)
        before = system.peak_mb()
        subprocess.run([*load, "--keys", str(rows)], check=True, stdout=subprocess.DEVNULL)
        grown = (system.peak_mb() - before) * (1 << 20) / rows
        memtable, off_heap = told(system, "Memtable data size") / rows, told(system, "Memtable off heap memory used") / rows
        flushed = told(system, "Memtable switch count") > 1
        system.tool(1, "flush", "bench")
        files = system.file_bytes() / rows
        print(f"{system.name:9} memtable, as it says: {memtable:.0f} (off heap: {off_heap:.0f}), process grown by "
              f"{grown:.0f}, files: {files:.0f} bytes a row{' - flushed before its end' if flushed else ''}", flush=True)
    finally:
        system.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cassandra")
    parser.add_argument("--nodetool")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    with tempfile.TemporaryDirectory() as directory:
        run(Dodona(directory, binary, "--memory-bytes", str(2 << 30)), binary, arguments.rows)
        if arguments.cassandra:
            run(Cassandra(directory, arguments.cassandra, arguments.nodetool), binary, arguments.rows)


main()
