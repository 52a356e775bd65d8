"""Makes the script of a difference small."""
import dataclasses
import re

from compare import difference, parts

TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|[A-Za-z_]\w*|[\w.]+|\s+|[<>=!+-]=|.", re.S)


class Shrinker:
    """Repeats parts of a script until nothing can go; `budget` bounds how many statements that takes."""

    def __init__(self, pair, keyspace, kind, budget=20_000):
        self.pair, self.keyspace, self.kind, self.budget = pair, keyspace, kind, budget

    def fails(self, steps):
        """Whether the last step still shows the same kind of difference, on data that are the same."""
        self.budget -= len(steps) + 10
        if self.budget < 0:
            return False
        self.pair.fresh(self.keyspace)
        for step in steps[:-1]:
            if parts(*self.pair.both(step)):
                return False
        return difference(*self.pair.both(steps[-1])) == self.kind

    def shrunk(self, steps):
        if not self.fails(steps):
            return None
        steps = self.without_reads(steps)
        steps = self.fewer(steps)
        steps = self.simpler(steps)
        return self.fewer(steps)

    def without_reads(self, steps):
        kept = [step for step in steps[:-1] if not step.statement.startswith("SELECT")] + steps[-1:]
        return kept if self.fails(kept) else steps

    def fewer(self, steps):
        """Leaves out ever smaller parts of what comes before the last step."""
        size = max(len(steps) // 2, 1)
        while size:
            at = 0
            while at < len(steps) - 1:
                less = steps[:at] + steps[min(at + size, len(steps) - 1):]
                if self.fails(less):
                    steps = less
                else:
                    at += size
            size //= 2
        return steps

    def simpler(self, steps):
        """Leaves out flushes, pages and parts of statements."""
        for at in range(len(steps) - 1, -1, -1):
            for change in ({"flush": False}, {"page_size": None}):
                less = dataclasses.replace(steps[at], **change)
                if less != steps[at] and self.fails(steps[:at] + [less] + steps[at + 1:]):
                    steps = steps[:at] + [less] + steps[at + 1:]
            if steps[at].binding is None and not steps[at].statement.startswith("CREATE"):
                steps = self.shorter(steps, at)
        return steps

    def shorter(self, steps, at):
        """Leaves out ranges of a statement's tokens, longer ones first, as long as both systems parse it."""
        tokens = TOKEN.findall(steps[at].statement)
        for length in (12, 8, 6, 5, 4, 3, 2, 1):
            start = 1
            while start + length <= len(tokens):
                less = tokens[:start] + tokens[start + length:]
                text = re.sub(r"\s+", " ", "".join(less)).strip()
                tried = steps[:at] + [dataclasses.replace(steps[at], statement=text)] + steps[at + 1:]
                removed = "".join(tokens[start:start + length]).strip()
                if removed and balanced(less) and self.parses(tried[at]) and self.fails(tried):
                    tokens, steps = less, tried
                else:
                    start += 1
        return steps

    def parses(self, step):
        """Statements that do not are errors of no interest; it costs no more than asking."""
        if self.budget < 0:
            return False
        self.budget -= 1
        theirs, _ = self.pair.both(step)
        return not theirs[-1].startswith("Syntax:") or "Syntax" in self.kind


def balanced(tokens):
    """Whether brackets match."""
    open_brackets = []
    for token in tokens:
        if token in "([{" and token:
            open_brackets.append(token)
        elif token in (")", "]", "}"):
            if not open_brackets or "([{".index(open_brackets.pop()) != ")]}".index(token):
                return False
    return not open_brackets
