#!/usr/bin/env python3
"""Runs random statements on an Apache Cassandra and on Dodona at once and compares all they answer.

    run.py CASSANDRA DODONA [--admin 127.0.0.1:7199] [--seed 1] [--minutes 10] [--scripts N] [--found DIRECTORY]

Needs `pip install cassandra-driver`. Each seed is a script: a schema and some hundred statements. A difference is shrunk
and written to the directory as a script of tests/conformance; record.py adds Cassandra's answers.
"""
import argparse
import collections
import pathlib
import random
import re
import signal
import sys
import time

from cassandra import DriverException

from changes import Changes
from compare import difference, parts
from pair import Pair, Step
from reads import Reads
from schema import Schema
from shrink import Shrinker

MARK = re.compile("\u00ab(\\d+)\u00bb")


class Script:
    """The statements of one seed."""

    def __init__(self, seed, length):
        self.rng, self.values, self.length = random.Random(seed), [], length
        self.schema = Schema(self.rng)
        self.changes = Changes(self.rng, self.schema, self.mark)
        self.reads = Reads(self.changes)

    def mark(self, value):
        """Stands for a value until it is known whether it is bound."""
        self.values.append(value)
        return f"\u00ab{len(self.values) - 1}\u00bb"

    def step(self, text, page_size=None):
        values = [self.values[int(at)] for at in MARK.findall(text)]
        self.values = []
        flush = self.rng.random() < 0.03
        if values and "\u00ab" in text and self.rng.random() < 0.25:
            wires = [value.wire if self.rng.random() < 0.98 else self.rng.choice([None, "unset", b"", b"\x00\x01"]) for value in values]
            texts = ["null" if wire is None else wire if wire == "unset" else "0x" + wire.hex() for wire in wires]
            return Step(MARK.sub("?", text), " | ".join(texts), page_size, flush)
        literals = iter(values)
        return Step(MARK.sub(lambda _: next(literals).cql, text), None, page_size, flush)

    def steps(self):
        for statement in self.schema.statements:
            yield Step(statement)
        since = 0
        for _ in range(self.length):
            table = self.rng.choice(self.schema.tables)
            roll = self.rng.random()
            if roll < 0.5:
                since += 1
                yield self.step(self.changes.statement(table))
                if since % 3 == 0:
                    yield Step(self.reads.everything(table))
            else:
                page_size = self.rng.choice([1, 2, 3, 7]) if self.rng.random() < 0.3 else None
                yield self.step(self.reads.statement(table), page_size)


def write(directory, name, steps, kind):
    lines = [f"-- {kind}"]
    for step in steps:
        lines += step.lines()
        if step.flush or step.page_size:
            lines.append(f"-- (flush: {step.flush}, pages of: {step.page_size})")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.cql.txt"
    path.write_text("\n".join(lines) + "\n")
    print(f"  written to {path}", flush=True)


def run_script(pair, seed, options, known, seen):
    """Runs one script to its end, or to the first difference of data: one that is known ends it as well."""
    keyspace, steps = f"diff_{seed}", []
    pair.fresh(keyspace)
    for step in Script(seed, options.length).steps():
        steps.append(step)
        theirs, ours = pair.both(step)
        kind = difference(theirs, ours)
        if kind is None:
            continue
        if kind.startswith("known: "):
            known[kind[7:]] += 1
            if parts(theirs, ours):
                break
            continue
        seen[kind] += 1
        alone = all(re.match(r"[A-Z][A-Za-z]+ ", half) for half in kind.split(" / "))
        if seen[kind] <= options.each:
            print(f"seed {seed}, statement {len(steps)}: {kind}\n  {step.statement}\n  < {step.binding}, pages of {step.page_size}")
            show(theirs, ours)
            if options.shrink:
                small = Shrinker(pair, keyspace + "_s", kind).shrunk(steps)
                print("" if small else "  not repeated", flush=True)
                pair.drop(keyspace + "_s")
                pair.use(keyspace)
            elif alone:
                small = [one for one in steps[:-1] if one.statement.startswith("CREATE")] + [step]
            else:
                small = None
            write(options.found, f"seed{seed}_{len(steps)}", small or steps, kind)
        if not alone and kind != "warnings" and not (kind == "columns" and step.statement.startswith("SELECT")):
            break
    pair.drop(keyspace)


def show(theirs, ours):
    for at, (a, b) in enumerate(zip(theirs, ours)):
        if a != b:
            print(f"  Cassandra: {a[:400]}\n  Dodona:    {b[:400]}")
            return
    print(f"  Cassandra: {len(theirs)} lines: {theirs[-1][:300]}\n  Dodona:    {len(ours)} lines: {ours[-1][:300]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cassandra")
    parser.add_argument("dodona")
    parser.add_argument("--admin", default="127.0.0.1:7199")
    parser.add_argument("--protocol", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scripts", type=int, default=1 << 60)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--length", type=int, default=250)
    parser.add_argument("--each", type=int, default=1, help="how many differences of a kind are shown")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    parser.add_argument("--found", type=pathlib.Path, default=pathlib.Path("found"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pair = Pair(options.cassandra, options.dodona, options.admin, options.protocol)
    begin, known, seen, scripts = time.monotonic(), collections.Counter(), collections.Counter(), 0
    try:
        while scripts < options.scripts and time.monotonic() - begin < 60 * options.minutes:
            run_script(pair, options.seed + scripts, options, known, seen)
            scripts += 1
    except (DriverException, OSError, KeyboardInterrupt) as error:
        # A server is gone: what was found until then counts.
        seen[f"ended in seed {options.seed + scripts}: {error!r}"] += 1
    minutes = (time.monotonic() - begin) / 60
    for reason, count in known.most_common():
        print(f"known, {count} times: {reason}")
    for kind, count in seen.most_common():
        print(f"different, {count} times: {kind}")
    print(f"{scripts} scripts, {pair.statements} statements in {minutes:.1f} minutes, {sum(seen.values())} differences")
    pair.close()
    sys.exit(bool(seen))


if __name__ == "__main__":
    main()
