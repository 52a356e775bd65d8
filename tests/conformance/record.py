#!/usr/bin/env python3
"""Runs the conformance scripts on a real Apache Cassandra and writes its answers into them.

    record.py ADDRESS [SCRIPT...]

Needs `pip install cassandra-driver`. Each script runs in a fresh keyspace that is named after it. See
README.md for the form of the scripts; lines that begin with "~ " (Dodona's own answers) are kept.
"""
import decimal
import ipaddress
import pathlib
import re
import struct
import sys
import uuid

from cassandra import DriverException
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import RoundRobinPolicy
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
    if not name.startswith("ttl("):
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


def bound_value(text):
    return {"null": None, "unset": UNSET_VALUE}.get(text) if not text.startswith("0x") else bytes.fromhex(text[2:])


def answer(session, statement, binding):
    lines = []
    try:
        if binding is None:
            future = session.execute_async(SimpleStatement(statement))
        else:
            prepared = session.prepare(statement)
            lines.append("= " + " | ".join(f"{c.name} {type_text(c.type)}" for c in prepared.column_metadata))
            bound = BoundStatement(prepared)
            bound.values = [bound_value(part.strip()) for part in binding.split("|")]
            future = session.execute_async(bound)
        rows = future.result()
    except (DriverException, ErrorMessage, NoHostAvailable) as error:
        return lines + error_lines(error)
    names, types = future._col_names, future._col_types
    if names:
        lines.append("# " + " | ".join(f"{n} {type_text(t)}" for n, t in zip(names, types)))
        for row in rows:
            lines.append(" | ".join(rounded(n, t, shown(t, v)) for n, t, v in zip(names, types, row)))
    else:
        lines.append("ok")
    return lines + [f"! {warning}" for warning in future.warnings or []]


def record(session, path):
    keyspace = path.name.split(".")[0]
    session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
    session.execute(f"USE {keyspace}")
    out, lines, at, count = [], path.read_text().splitlines(), 0, 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.startswith("> "):
            if line.startswith("--") or not line:
                out.append(line)
            continue
        count += 1
        binding, own = None, []
        while at < len(lines) and lines[at] and not lines[at].startswith(("> ", "--")):
            if lines[at].startswith("< "):
                binding = lines[at][2:]
            elif lines[at].startswith("~ "):
                own.append(lines[at])
            at += 1
        out.append(line)
        if binding is not None:
            out.append("< " + binding)
        out += answer(session, line[2:], binding) + own
    path.write_text("\n".join(out) + "\n")
    session.execute(f"DROP KEYSPACE {keyspace}")
    print(f"{path.name}: {count} statements")


def main():
    address, *names = sys.argv[1:]
    here = pathlib.Path(__file__).parent
    paths = [pathlib.Path(name) for name in names] or sorted(here.glob("*.cql.txt"))
    profile = ExecutionProfile(RoundRobinPolicy(), row_factory=lambda _, rows: rows, request_timeout=30)
    with Cluster([address], protocol_version=5, execution_profiles={EXEC_PROFILE_DEFAULT: profile}) as cluster:
        session = cluster.connect()
        session.use_client_timestamp = False
        session.default_fetch_size = None
        session.client_protocol_handler = RawHandler
        for path in paths:
            record(session, path)


if __name__ == "__main__":
    main()
