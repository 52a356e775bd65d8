"""What may differ between the two systems, each with its reason, and what an answer comes to without it."""
import re

# Times of the node's clock, which no two nodes share.
CLOCK = re.compile(r"\b1[6-9]\d{14}\b")

REVERSED = r"Invalid: Function system\.\w+ requires an? .* argument, but found argument c\d of type frozen<(?:list|set|map)<.*"

# (what Cassandra says, what Dodona says, why): patterns of whole lines. Groups must be the same on both sides.
KNOWN = [
    (r"Syntax: line (\d+:\d+) .*", r"Syntax: line (\d+:\d+) .*", "the wording of what was expected may differ"),
    (r"Server: .*", r"Invalid: .*", "what makes Cassandra fail with an error of the server is refused as invalid"),
    (r"(?:Server|ReadFailure|WriteTimeout|WriteFailure): .*", r"(?:#|=|ok|Invalid: ).*", "Cassandra fails"),
    (r"Protocol: Invalid value for the paging state", r"# .*", "Cassandra gives a state of paging that it does not take"),
    (REVERSED, r".*", "Cassandra takes collections in columns of descending order for none"),
    (r"Invalid: Cannot use CONTAINS (?:KEY )?on non-\w+ column c.*", r".*", "Cassandra takes collections in columns of descending order for none"),
    (r"Invalid: \w+ cannot be cast to (\w+)", r"Invalid: \w+ cannot be cast to (\w+)", "Cassandra names the first column of the statement"),
    (r"Invalid: Invalid comparison with (?:null|an empty \w+) for operator .*", r"# \[applied\].*", "Cassandra looks at conditions in an order by hashes"),
    (r"# \[applied\].*", r"Invalid: Invalid comparison with (?:null|an empty \w+) for operator .*", "Cassandra looks at conditions in an order by hashes"),
    (r"Invalid: Cannot page queries with both ORDER BY and a IN restriction.*", r".*", "ORDER BY together with IN gives all rows in one page"),
    (r"(?:#|=|ok).*", r"Invalid: Invalid null value in condition for column .*", "a null that is bound to a slice of a clustering column is refused"),
    (r"# .*", r"Invalid: Overflow in function system.exp", "decimals have limits"),
    (r"Invalid: Error decoding JSON value for \w+: .*", r"Invalid: Error decoding JSON value for \w+: .*", "what the reader of JSON says"),
    (r"Invalid: Error decoding JSON .*|Invalid: Could not decode JSON .*", r"(?:=|Invalid: ).*", "JSON is read when it is executed"),
    (r"Invalid: Column c\d cannot be used as a map", r"Invalid: .*", "Cassandra takes collections in columns of descending order for none"),
    (r"Invalid: Not enough bytes .*", r"# .*", "malformed values that are only compared are taken for what they are"),
    (r"(?:#|=|ok).*", r"Invalid: Unsupported null value for column c\d", "a null that is bound to a slice of a clustering column is refused"),
    (r"ok", r"Invalid: (?:Error decoding JSON value for \w+: )?(?:Unable to make (?:short|byte) from ''|Unable to convert '' to a duration)",
     "empty values of types that have none are refused"),
    (r"ok", r"Invalid: Expected \d+ bytes? .*", "malformed values are refused"),
    (r"# .*", r"Invalid: Expected \d+ or 0 byte \w+ .*", "malformed values in token() are refused"),
    (r"# .*", r"Invalid: Invalid unset value for argument in call to function token", "a token of what is not set is refused"),
    (r"ok", r"Invalid: Not enough bytes to read .*", "malformed tuples are refused"),
]


def plain(line):
    """A line without what the clock made."""
    return CLOCK.sub("<now>", line)



def known(theirs, ours):
    """The reason for which two lines may differ, if there is one."""
    for pattern, own, reason in KNOWN:
        left, right = re.fullmatch(pattern, theirs, re.S), re.fullmatch(own, ours, re.S)
        if left and right and left.groups() == right.groups():
            return reason
    return None


def difference(theirs, ours):
    """None if the answers are the same, `known: reason`, or what they differ in."""
    theirs, ours = list(map(plain, theirs)), list(map(plain, ours))
    if theirs == ours:
        return None
    if any("LegacyTimeUUIDType" in line for line in theirs if line.startswith("# ")):
        return "known: Cassandra gives min and max of timeuuids a type that drivers do not know"
    if shows_another_row(theirs, ours):
        return "known: a row that stands for its static columns need not be the first"
    pairs = [(a, b) for a, b in zip(theirs, ours) if a != b]
    failed = any(lines and re.match(r"[A-Z][A-Za-z]+: ", lines[-1]) for lines in (theirs, ours))
    if pairs and (failed or len(theirs) == len(ours)):
        reasons = [known(a, b) for a, b in pairs[:1 if failed else None]]
        if all(reasons):
            return f"known: {reasons[0]}"
    return kind_of(theirs, ours)


def parts(theirs, ours):
    """Whether one system has done a change that the other refused: what they hold differs from then on."""
    failed = [bool(re.match(r"[A-Z][A-Za-z]+: ", lines[-1])) for lines in (theirs, ours)]
    done = ours if failed[0] else theirs
    return failed[0] != failed[1] and any(line == "ok" or line.startswith("# [applied]") for line in done)


def shows_another_row(theirs, ours):
    """Whether answers of conditional statements differ in nothing but clustering columns."""
    if len(theirs) != len(ours) or not theirs[-2:][0].startswith("# [applied]") or theirs[:-1] != ours[:-1]:
        return False
    names = [column.split(" ")[0] for column in theirs[-2].removeprefix("# ").split(" | ")]
    return all(a == b or re.fullmatch(r"c\d", name) for name, a, b in zip(names, theirs[-1].split(" | "), ours[-1].split(" | ")))


def kind_of(theirs, ours):
    """A rough name of a difference: shrinking must keep it."""
    def shape(lines):
        first = next((line for line in lines if not line.startswith("= ")), "")
        failed = re.match(r"([A-Z]\w+): (.*)", first)
        if failed:
            words = re.sub(r"'[^']*'|\"[^\"]*\"|\d+|\([^)]*\)|\b[pcsvtu]\d\b", "_", failed[2])
            return f"{failed[1]} {words[:60]}"
        return "ok" if first == "ok" else "rows"
    left, right = shape(theirs), shape(ours)
    if left != right or left not in ("rows", "ok"):
        return f"{left} / {right}"
    if [l for l in theirs if l.startswith("!")] != [l for l in ours if l.startswith("!")]:
        return "warnings"
    if theirs[:1] != ours[:1]:
        return "columns"
    return "rows / rows"
