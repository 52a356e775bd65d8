#!/usr/bin/env python3
"""Runs the conformance scripts on a real Apache Cassandra and writes its answers into them.

    record.py ADDRESS [SCRIPT...]

Needs `pip install cassandra-driver`. Each script runs in a fresh keyspace that is named after it. See
README.md for the form of the scripts; lines that begin with "~ " (Dodona's own answers) are kept.
"""
import pathlib
import sys

from answers import Case, answer, connect, read_script, script_text, use_fresh_keyspace


def record(session, path):
    keyspace = path.name.split(".")[0]
    use_fresh_keyspace(session, keyspace)
    parts = read_script(path.read_text())
    cases = [part for part in parts if isinstance(part, Case)]
    for case in cases:
        case.recorded = answer(session, case.statement, case.binding)
    path.write_text(script_text(parts))
    session.execute(f"DROP KEYSPACE {keyspace}")
    print(f"{path.name}: {len(cases)} statements")


def main():
    address, *names = sys.argv[1:]
    here = pathlib.Path(__file__).parent
    paths = [pathlib.Path(name) for name in names] or sorted(here.glob("*.cql.txt"))
    cluster, session = connect(address)
    with cluster:
        for path in paths:
            record(session, path)


if __name__ == "__main__":
    main()
