#!/usr/bin/env python3
"""Compares what drivers know of a schema with what they know of it on Apache Cassandra.

    compare.py GOLDEN OUT

Tables of system keyspaces that are not there are listed in missing.txt; there may be no others.
"""
import difflib
import pathlib
import re
import sys


def tables(lines):
    return {line.split(":")[0] for line in lines}


def main():
    golden, out = map(pathlib.Path, sys.argv[1:])
    missing = set((pathlib.Path(__file__).parent / "missing.txt").read_text().split())
    failures = 0
    for path in sorted(golden.glob("*.txt")):
        wanted, got = path.read_text().splitlines(), (out / path.name).read_text().splitlines()
        if path.name == "system.txt":
            there = missing & tables(got)
            if there:
                print(f"listed as missing, but there: {', '.join(sorted(there))}")
                failures += 1
            wanted = [line for line in wanted if line.split(":")[0] not in missing]
        if path.name == "cqlsh.txt":
            wanted = [line for block in path.read_text().split("\n\n") if not (missing & set(re.findall(r"system_views\.\w+", block)))
                      for line in [*block.splitlines(), ""]]
            got = [line for block in (out / path.name).read_text().split("\n\n") for line in [*block.splitlines(), ""]]
        differences = list(difflib.unified_diff(wanted, got, f"Cassandra, {path.name}", f"Dodona, {path.name}", lineterm="", n=1))
        print("\n".join(differences) or f"metadata of {path.stem}: {len(wanted)} lines, the same")
        failures += bool(differences)
    print(f"{7 - failures} passed, {failures} failed")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
