"""How a server answers to a statement, written as the scripts of this folder write it.

Needs `pip install cassandra-driver`. Used by record.py, replay.py and tests/differential.
"""
import dataclasses
import decimal
import ipaddress
import re
import struct
import uuid

from cassandra import DriverException
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import FallthroughRetryPolicy, RoundRobinPolicy
from cassandra.protocol import ErrorMessage, ResultMessage, _ProtocolHandler, read_int
from cassandra.query import UNSET_VALUE, BoundStatement, SimpleStatement

CLASSES = {
    0x0000: "Server", 0x000A: "Protocol", 0x1000: "Unavailable", 0x1001: "Overloaded", 0x1003: "Truncate",
    0x1100: "WriteTimeout", 0x1200: "ReadTimeout", 0x1300: "ReadFailure", 0x1400: "FunctionFailure",
    0x1500: "WriteFailure", 0x2000: "Syntax", 0x2100: "Unauthorized", 0x2200: "Invalid", 0x2300: "Config",
    0x2400: "AlreadyExists",
}


class RawResult(ResultMessage):
    """A result whose values stay as they came."""

    def recv_results_rows(self, f, protocol_version, user_type_map, result_metadata, *_):
        self.recv_results_metadata(f, user_type_map)
        columns = self.column_metadata or result_metadata
        self.column_names = [column[2] for column in columns]
        self.column_types = [column[3] for column in columns]
        self.parsed_rows = [self.recv_row(f, len(columns)) for _ in range(read_int(f))]


class RawHandler(_ProtocolHandler):
    """Leaves values undecoded."""

    message_types_by_opcode = dict(_ProtocolHandler.message_types_by_opcode)
    message_types_by_opcode[RawResult.opcode] = RawResult


def type_text(ty):
    """A type as CQL writes it, without `frozen` (which the protocol does not tell)."""
    name = ty.typename
    if name in ("list", "set", "map", "tuple"):
        return f"{name}<{', '.join(map(type_text, ty.subtypes))}>"
    if "vector_size" in vars(ty):
        return f"vector<{type_text(ty.subtype)}, {ty.vector_size}>"
    if name == "frozen" or name == "org.apache.cassandra.db.marshal.FrozenType":
        return type_text(ty.subtypes[0])
    return {"varchar": "text"}.get(name, name)


def quoted(text):
    text = text.replace("\\", "\\\\").replace("'", "''")
    return "'" + "".join(c if c >= " " else f"\\x{ord(c):02x}" for c in text) + "'"


def real(value, single):
    """The shortest digits that give the number, never with an exponent."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    text = repr(value)
    if single:
        for digits in range(1, 10):
            text = f"{value:.{digits}g}"
            if struct.pack(">f", float(text)) == struct.pack(">f", value):
                break
    text = format(decimal.Decimal(text), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def vint(data, at):
    extra = 0
    while extra < 8 and data[at] & (0x80 >> extra):
        extra += 1
    value = data[at] & (0xFF >> (extra + 1)) if extra < 8 else 0
    for byte in data[at + 1:at + 1 + extra]:
        value = value << 8 | byte
    return value, at + 1 + extra


def pieces(data, at, count=None):
    """`[bytes]` one after the other."""
    while at < len(data) and count != 0:
        (length,) = struct.unpack_from(">i", data, at)
        at += 4
        yield None if length < 0 else data[at:at + length]
        at += max(length, 0)
        count = None if count is None else count - 1


FIXED_LENGTHS = {"boolean": 1, "int": 4, "float": 4, "bigint": 8, "double": 8, "timestamp": 8, "uuid": 16, "timeuuid": 16}


def fixed_length(ty):
    if "vector_size" in vars(ty):
        inner = fixed_length(ty.subtype)
        return inner and inner * ty.vector_size
    return FIXED_LENGTHS.get(ty.typename)


def vector_elements(ty, data):
    at, size = 0, fixed_length(ty.subtype)
    for _ in range(ty.vector_size):
        length = size
        if size is None:
            length, at = vint(data, at)
        yield data[at:at + length]
        at += length


def zigzag(data, at):
    value, at = vint(data, at)
    return (value >> 1) ^ -(value & 1), at


def duration(data):
    months, at = zigzag(data, 0)
    days, at = zigzag(data, at)
    nanos, at = zigzag(data, at)
    return f"{months}mo{days}d{nanos}ns"


def value_text(ty, data):
    """A value as the scripts write it."""
    if data is None:
        return "null"
    name = ty.typename
    if "vector_size" in vars(ty):
        return "[" + ", ".join(value_text(ty.subtype, part) for part in vector_elements(ty, data)) + "]"
    if name in ("frozen", "org.apache.cassandra.db.marshal.FrozenType"):
        return value_text(ty.subtypes[0], data)
    if name in ("text", "varchar", "ascii"):
        return quoted(data.decode("utf-8", "replace"))
    if name == "blob":
        return "0x" + data.hex()
    if not data:
        return "empty"
    if name in ("list", "set"):
        count = struct.unpack_from(">i", data)[0]
        parts = ", ".join(value_text(ty.subtypes[0], part) for part in pieces(data, 4, count))
        return f"[{parts}]" if name == "list" else "{" + parts + "}"
    if name == "map":
        count = struct.unpack_from(">i", data)[0]
        parts = list(pieces(data, 4, 2 * count))
        entries = zip(parts[::2], parts[1::2])
        return "{" + ", ".join(f"{value_text(ty.subtypes[0], k)}: {value_text(ty.subtypes[1], v)}" for k, v in entries) + "}"
    if hasattr(ty, "fieldnames") and ty.fieldnames and name != "tuple":
        parts = list(pieces(data, 0))
        parts += [None] * (len(ty.subtypes) - len(parts))
        return "{" + ", ".join(f"{n}: {value_text(t, p)}" for n, t, p in zip(ty.fieldnames, ty.subtypes, parts)) + "}"
    if name == "tuple":
        parts = list(pieces(data, 0))
        parts += [None] * (len(ty.subtypes) - len(parts))
        return "(" + ", ".join(value_text(t, p) for t, p in zip(ty.subtypes, parts)) + ")"
    if name == "boolean":
        return "true" if data[0] else "false"
    if name in ("float", "double"):
        return real(struct.unpack(">f" if name == "float" else ">d", data)[0], name == "float")
    if name == "decimal":
        return f"{int.from_bytes(data[4:], 'big', signed=True)}e{-int.from_bytes(data[:4], 'big', signed=True)}"
    if name == "date":
        return str(int.from_bytes(data, "big") - (1 << 31)) + "d"
    if name == "duration":
        return duration(data)
    if name == "inet":
        return ipaddress.ip_address(data).exploded
    if name in ("uuid", "timeuuid"):
        return str(uuid.UUID(bytes=data))
    return str(int.from_bytes(data, "big", signed=True))


def shown(ty, data):
    """A value, which Cassandra may have given as bytes of another type."""
    try:
        return value_text(ty, data)
    except (struct.error, ValueError, IndexError):
        return "malformed"


def rounded(name, ty, text):
    """Times to live run down while a script is recorded: they are multiples of 100 in scripts."""
    if "ttl(" not in name:
        return text
    return re.sub(r"\d+", lambda found: str(-(-int(found[0]) // 100) * 100), text)


def error_lines(error):
    if isinstance(error, NoHostAvailable) and error.errors:
        # The driver tried another host, and there is none.
        error = next(iter(error.errors.values()))
    text = str(error)
    found = re.search(r'code=([0-9a-f]{4}) \[[^]]*\] message="(.*)"(?: info=|>?$)', text, re.S)
    if found:
        kind, message = CLASSES[int(found[1], 16)], found[2]
    else:
        kind, message = type(error).__name__, text
        if kind == "AlreadyExists":
            message = text.replace("Item", "Table", 1)
    return [f"{kind}: {message}".replace("\n", "\\n")]


def without_chance(line):
    """What no two runs of Cassandra have in common: the order in which signatures of a function are listed, which is
    that of a hash, and which of its names `to_json` has, which is the one that was used first with that type."""
    line = line.replace("system.tojson(", "system.to_json(")
    for start in ("known type signatures: ", "following signatures: "):
        before, found, rest = line.partition(start)
        if found:
            listed, _, after = rest.rpartition(")")
            signatures = sorted(listed.removeprefix("system.").split(", system."))
            return f"{before}{start}{', '.join(signatures)}){after}"
    return line


def bound_value(text):
    return {"null": None, "unset": UNSET_VALUE}.get(text) if not text.startswith("0x") else bytes.fromhex(text[2:])


def answer(session, statement, binding=None, page_size=None):
    """The lines of an answer; rows are read in pages if a size is given."""
    lines = []
    try:
        if binding is None:
            bound = SimpleStatement(statement)
        else:
            prepared = session.prepare(statement)
            lines.append("= " + " | ".join(f"{c.name} {type_text(c.type)}" for c in prepared.column_metadata))
            bound = BoundStatement(prepared)
            bound.values = [bound_value(part.strip()) for part in binding.split("|")]
        if page_size:
            bound.fetch_size = page_size
        future = session.execute_async(bound)
        result = future.result()
        rows, warnings = list(result.current_rows), list(future.warnings or [])
        while result.has_more_pages:
            result.fetch_next_page()
            rows += result.current_rows
    except (DriverException, ErrorMessage, NoHostAvailable) as error:
        return lines + error_lines(error)
    names, types = future._col_names, future._col_types
    if names:
        lines.append("# " + " | ".join(f"{n} {type_text(t)}" for n, t in zip(names, types)))
        for row in rows:
            lines.append(" | ".join(rounded(n, t, shown(t, v)) for n, t, v in zip(names, types, row)))
    else:
        lines.append("ok")
    return lines + [f"! {warning}" for warning in warnings]


def connect(address, port=9042, version=5, timeout=30):
    """A cluster to shut down, and a session whose values stay undecoded."""
    profile = ExecutionProfile(RoundRobinPolicy(), row_factory=lambda _, rows: rows, request_timeout=timeout)
    profile.retry_policy = FallthroughRetryPolicy()
    cluster = Cluster(
        [address], port, protocol_version=version, execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        schema_metadata_enabled=False, token_metadata_enabled=False,
    )
    session = cluster.connect()
    session.use_client_timestamp = False
    session.default_fetch_size = None
    session.client_protocol_handler = RawHandler
    return cluster, session


def use_fresh_keyspace(session, keyspace):
    session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
    session.execute(f"USE {keyspace}")


@dataclasses.dataclass
class Case:
    """A statement of a script, or the remarks between two."""

    statement: str
    binding: str | None = None
    recorded: list = dataclasses.field(default_factory=list)
    own: list = dataclasses.field(default_factory=list)

    def expected(self):
        """What Dodona is to answer."""
        return [line[2:] for line in self.own if not line.startswith("~ because ")] or self.recorded

    def lines(self):
        """Its part of a script."""
        bound = [] if self.binding is None else ["< " + self.binding]
        return ["> " + self.statement, *bound, *self.recorded, *self.own]


def read_script(text):
    """Cases, and remarks and empty lines as texts, in their order."""
    parts = []
    for line in text.splitlines():
        if line.startswith("> "):
            parts.append(Case(line[2:]))
        elif line.startswith("--") or not line:
            parts.append(line)
        elif parts and isinstance(parts[-1], Case):
            if line.startswith("< "):
                parts[-1].binding = line[2:]
            else:
                (parts[-1].own if line.startswith("~ ") else parts[-1].recorded).append(line)
    return parts


def script_text(parts):
    """The opposite of `read_script`."""
    lines = [line for part in parts for line in (part.lines() if isinstance(part, Case) else [part])]
    return "\n".join(lines) + "\n"
