#!/usr/bin/env python3
"""Random tokens made of valid statements, to an Apache Cassandra and to Dodona: the class of the error must be the same.

    soup.py CASSANDRA DODONA [--cases 20000] [--seed 1] [--least 0.99] [--shown 40]

Needs `pip install cassandra-driver`. Statements come from the scripts of tests/conformance and from run.py's generator;
tokens are swapped, dropped, doubled, replaced and inserted. Prints how often the classes agree, and what does not.
"""
import argparse
import collections
import pathlib
import random
import re
import sys
import time

from pair import Pair, Step
from run import Script

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "conformance"))
from answers import Case, read_script  # noqa: E402

TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\$\$.*?\$\$|[A-Za-z_]\w*|0x[0-9a-fA-F]*|\d[\w.-]*|[<>!+-]=|\.\.|\S", re.S)
EXTRA = ["(", ")", "[", "]", "{", "}", ",", ";", ".", "..", "=", "<", ">", "!=", "+", "-", "*", "/", "%", "?", ":", "'", '"', "$$", "--", "/*",
         "AND", "OR", "NOT", "NULL", "IN", "IF", "EXISTS", "SELECT", "FROM", "WHERE", "WITH", "USING", "TTL", "TIMESTAMP", "TOKEN", "JSON", "AS",
         "DISTINCT", "LIMIT", "ORDER", "BY", "GROUP", "CONTAINS", "KEY", "BETWEEN", "LIKE", "CAST", "SET", "VALUES", "STATIC", "FROZEN", "MAP",
         "LIST", "int", "text", "count", "NaN", "Infinity", "-1", "0", "1.5", "1e5", "0x", "0xff", "1d", "PT1S", "true", "'x'", '"x"', "$$x$$",
         "00000000-0000-0000-0000-000000000000", "12345678901234567890", "t", "k", "v", "system", "é", "\U0001f600", "\\", "@", "#", "&", "|", "^", "~"]


def sort_of(token):
    if re.match(r"[A-Za-z_]|\"", token):
        return "word" if token.upper() != token else "keyword"
    return "literal" if re.match(r"['\d]|\$\$", token) else "symbol"


def mangled(rng, tokens):
    """The tokens with one to three changes."""
    tokens = list(tokens)
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
        if not tokens:
            break
        at, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        change = rng.choice(["kin", "kin", "kin", "kin", "swap", "drop", "double", "replace", "insert", "near", "cut", "letter"])
        if change == "kin":
            # Of the same sort, so that more than the grammar is asked.
            alike = [token for token in [*tokens, *EXTRA] if sort_of(token) == sort_of(tokens[at])]
            tokens[at] = rng.choice(alike)
        elif change == "swap":
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif change == "near" and at + 1 < len(tokens):
            tokens[at], tokens[at + 1] = tokens[at + 1], tokens[at]
        elif change == "drop":
            del tokens[at]
        elif change == "double":
            tokens.insert(at, tokens[at])
        elif change == "replace":
            tokens[at] = rng.choice([tokens[other], rng.choice(EXTRA)])
        elif change == "insert":
            tokens.insert(at, rng.choice([tokens[other], rng.choice(EXTRA)]))
        elif change == "cut" and rng.random() < 0.3:
            del tokens[at:]
        elif change == "letter":
            token = tokens[at]
            place = rng.randrange(len(token))
            tokens[at] = token[:place] + rng.choice(["", "x", "'", "0", "_", token[place:]]) + token[place + 1:]
    return " ".join(tokens)


def statements(rng):
    """Valid statements of a keyspace that has the tables for half of them."""
    here = pathlib.Path(__file__).resolve().parent.parent / "conformance"
    of_scripts = [part.statement for path in sorted(here.glob("*.cql.txt"))
                  for part in read_script(path.read_text()) if isinstance(part, Case)]
    # What drops or alters takes the tables from those that follow.
    harmless = [text for text in of_scripts if not text.upper().startswith(("DROP", "ALTER", "TRUNCATE", "USE"))]
    for seed in range(1 << 30):
        script = Script(rng.randrange(1 << 30), 60)
        steps = [step.statement for step in script.steps()]
        made = [text for text in steps if text.startswith("CREATE")]
        yield made, [text for text in steps if text not in made] + rng.sample(harmless, 60)


def outcome(lines):
    """The class of an error, or that there is none."""
    last = next((line for line in lines if not line.startswith("= ")), "")
    failed = re.match(r"([A-Z][A-Za-z]+): ", last)
    return failed[1] if failed else "fine"


def same(theirs, ours):
    # What makes Cassandra fail is refused as invalid, or done.
    return theirs == ours or theirs == "Server"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cassandra")
    parser.add_argument("dodona")
    parser.add_argument("--admin", default="127.0.0.1:7199")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=0.99)
    parser.add_argument("--shown", type=int, default=40)
    options = parser.parse_args()
    pair, rng = Pair(options.cassandra, options.dodona, options.admin), random.Random(options.seed)
    begin, cases, classes, misses = time.monotonic(), 0, collections.Counter(), collections.Counter()
    for made, valid in statements(rng):
        pair.fresh("soup")
        for text in made:
            pair.both(Step(text))
        for text in valid + made:
            text = mangled(rng, TOKEN.findall(text))
            if re.match(r"(?i)\s*use\b", text):
                continue
            theirs, ours = pair.both(Step(text))
            left, right = outcome(theirs), outcome(ours)
            cases += 1
            classes[left] += 1
            if not same(left, right):
                misses[f"{left} / {right}"] += 1
                if sum(misses.values()) <= options.shown:
                    print(f"{left} / {right}: {text}\n  Cassandra: {theirs[0][:300]}\n  Dodona:    {ours[0][:300]}", flush=True)
            if cases >= options.cases:
                break
        if cases >= options.cases:
            break
    pair.drop("soup")
    rate = 1 - sum(misses.values()) / cases
    print("Cassandra: " + ", ".join(f"{name} {count}" for name, count in classes.most_common()))
    print("misses: " + ", ".join(f"{kind} {count}" for kind, count in misses.most_common()))
    print(f"{cases} cases from seed {options.seed} in {time.monotonic() - begin:.0f} s: the same class in {100 * rate:.2f} %")
    pair.close()
    sys.exit(rate < options.least)


if __name__ == "__main__":
    main()
