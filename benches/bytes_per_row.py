"""Bytes that a row takes in memory and in files: a node of each system with the same rows of 8-byte keys and values that
compress well, before and after a flush.

    python3 benches/bytes_per_row.py target/release/dodona [--rows 1000000] [--value-bytes 100] [--cassandra COMMAND --nodetool COMMAND]

The commands of Cassandra are as in `systems.py`; its memtables must have room for all rows.
"""

import re
import subprocess

from systems import compare


def told(statistics, name):
    """A figure of the table, as nodetool tells it."""
    found = re.search(rf"{re.escape(name)}: (\d+)", statistics)
    return int(found.group(1)) if found else 0


def run(system, binary, rows, value_bytes):
    try:
        system.launch(1)
        load = [binary, "bench", "read", "--host", system.address(1), "--connections", "2", "--depth", "32", "--operations",
                "1", "--value-bytes", str(value_bytes)]
        subprocess.run([*load, "--keys", "1"], check=True, stdout=subprocess.DEVNULL)
        before = system.peak_mb()
        subprocess.run([*load, "--keys", str(rows)], check=True, stdout=subprocess.DEVNULL)
        grown = (system.peak_mb() - before) * (1 << 20) / rows
        statistics = system.tool(1, "tablestats", "bench.kv")
        memtable, off_heap = (told(statistics, f"Memtable {name}") / rows for name in ("data size", "off heap memory used"))
        flushed = told(statistics, "Memtable switch count") > 1
        system.tool(1, "flush", "bench")
        files = system.file_bytes() / rows
        print(f"{system.name:9} memtable, as it says: {memtable:.0f} (off heap: {off_heap:.0f}), process grown by "
              f"{grown:.0f}, files: {files:.0f} bytes a row{' - flushed before its end' if flushed else ''}", flush=True)
    finally:
        system.stop()


compare(__doc__, 1_000_000, run, "--memory-bytes", str(2 << 30), value_bytes=100)
