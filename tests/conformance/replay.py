#!/usr/bin/env python3
"""Replays the conformance scripts over a socket and compares the answers with those recorded.

    replay.py ADDRESS [--port 9042] [--protocol 4] [--page-size 7] [SCRIPT...]

Needs `pip install cassandra-driver`. With --cassandra, lines that begin with "~ " (Dodona's own answers) do not count:
then the address is an Apache Cassandra, and a difference is an answer that is not stable.
"""
import argparse
import pathlib
import sys
import time

from answers import Case, answer, connect, read_script, use_fresh_keyspace, without_chance


def replay(session, path, options):
    keyspace = path.name.split(".")[0]
    use_fresh_keyspace(session, keyspace)
    cases = [part for part in read_script(path.read_text()) if isinstance(part, Case)]
    differences = 0
    for case in cases:
        got = answer(session, case.statement, case.binding, options.page_size)
        wanted = case.recorded if options.cassandra else case.expected()
        if list(map(without_chance, got)) != list(map(without_chance, wanted)):
            differences += 1
            bound = "" if case.binding is None else f"\n< {case.binding}"
            print(f"{path.name} > {case.statement}{bound}\n  recorded: " + "\n            ".join(wanted))
            print("  answered: " + "\n            ".join(got))
    session.execute(f"DROP KEYSPACE {keyspace}")
    return len(cases), differences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--port", type=int, default=9042)
    parser.add_argument("--protocol", type=int, default=5)
    parser.add_argument("--page-size", type=int)
    parser.add_argument("--cassandra", action="store_true")
    parser.add_argument("scripts", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    paths = options.scripts or sorted(pathlib.Path(__file__).parent.glob("*.cql.txt"))
    begin = time.monotonic()
    cluster, session = connect(options.address, options.port, options.protocol)
    with cluster:
        results = [replay(session, path, options) for path in paths]
    count, differences = map(sum, zip(*results))
    seconds = time.monotonic() - begin
    print(f"conformance over v{options.protocol}: {count} statements in {seconds:.1f} s, {differences} answers differ")
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
