"""Types of CQL, and random values of them as literals, as JSON and as wire bytes."""
import dataclasses
import json
import struct
import uuid


@dataclasses.dataclass(frozen=True)
class Type:
    """A type; `args` are the types of its elements or fields, `names` those of fields, `size` a vector's."""

    name: str
    args: tuple = ()
    names: tuple = ()
    size: int = 0

    def text(self, frozen=False):
        """How it is declared; what lies inside others is always frozen."""
        inner = ", ".join(arg.text(True) for arg in self.args)
        if self.name == "vector":
            return f"vector<{inner}, {self.size}>"
        if self.name == "tuple":
            return f"tuple<{inner}>"
        text = self.name if self.is_udt() else f"{self.name}<{inner}>" if self.args else self.name
        return f"frozen<{text}>" if frozen and (self.is_udt() or self.is_collection()) else text

    def is_udt(self):
        return bool(self.names)

    def is_collection(self):
        return self.name in ("list", "set", "map")

    def has(self, name):
        return self.name == name or any(arg.has(name) for arg in self.args)


@dataclasses.dataclass(frozen=True)
class Value:
    """One value in three ways of writing it."""

    cql: str
    json: str
    wire: bytes | None


NULL = Value("null", "null", None)

INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "varint": 0, "counter": 8}
NUMBERS = [*INTEGERS, "float", "double", "decimal"]
SCALARS = ["ascii", "bigint", "blob", "boolean", "date", "decimal", "double", "float", "inet", "int", "smallint", "text",
           "time", "timestamp", "timeuuid", "tinyint", "uuid", "varint", "duration"]
IN_KEYS = [name for name in SCALARS if name != "duration"]
TEXTS = ["", "a", "b", "ab", "B", "it's", "é", "\U0001f600", "null", "a\tb"]
UUIDS = ["00000000-0000-1000-8000-000000000000", "ffffffff-ffff-1fff-bfff-ffffffffffff",
         "1b4e28ba-2fa1-11d2-883f-b9a761bde3fb", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"]
RANDOM_UUIDS = ["f47ac10b-58cc-4372-a567-0e02b2c3d479", "123e4567-e89b-42d3-a456-426614174000"]
INETS = [("127.0.0.1", "7f000001"), ("0.0.0.0", "00000000"), ("255.255.255.255", "ffffffff"), ("::1", "0" * 31 + "1"),
         ("2001:db8::ff00:42:8329", "20010db8000000000000ff0000428329")]
TIMESTAMPS = [(0, "1970-01-01 00:00:00.000Z"), (1234567890123, "2009-02-13 23:31:30.123Z"),
              (-86400000, "1969-12-31 00:00:00.000Z"), (951782400000, "2000-02-29 00:00:00.000Z")]
DATES = [(0, "1970-01-01"), (11016, "2000-02-29"), (-1, "1969-12-31"), (20000, "2024-10-04")]
TIMES = [(0, "00:00:00.000000000"), (86399999999999, "23:59:59.999999999"), (45296000000789, "12:34:56.000000789")]
DURATIONS = [("1mo2d3ns", (1, 2, 3)), ("0s", (0, 0, 0)), ("-5m", (0, 0, -300_000_000_000)), ("1y", (12, 0, 0))]
REALS = [0.0, -0.0, 1.5, -2.25, 3.0, 1e10, 0.1]


def vint(value):
    """A variable-length integer as durations and vectors have it."""
    if value < 0x80:
        return bytes([value])
    extra = 1
    while extra < 8 and value >> (7 - extra + 8 * extra):
        extra += 1
    data = value.to_bytes(extra + 1 if extra < 8 else 9, "big")
    return bytes([data[0] | (0xFF << (8 - extra)) & 0xFF]) + data[1:]


def varint(value):
    return value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True)


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def integer(rng, name):
    size = INTEGERS[name]
    value = rng.choice([0, 1, 2, 3, -1, 7, 100])
    if rng.random() < 0.1 and name != "counter":
        bits = 8 * (size or 12) - 1
        value = rng.choice([(1 << bits) - 1, -(1 << bits)])
    return Value(str(value), str(value), value.to_bytes(size, "big", signed=True) if size else varint(value))


def real(rng, name):
    value = rng.choice(REALS)
    code = ">f" if name == "float" else ">d"
    if rng.random() < 0.1:
        word, value = rng.choice([("NaN", float("nan")), ("Infinity", float("inf")), ("-Infinity", float("-inf"))])
        return Value(word, quote_json(word), struct.pack(code, value))
    return Value(repr(value), repr(value), struct.pack(code, value))


def quote_json(text):
    return json.dumps(text, ensure_ascii=False)


def scalar(rng, name):
    if name in INTEGERS:
        return integer(rng, name)
    if name in ("float", "double"):
        return real(rng, name)
    if name == "decimal":
        digits, scale = rng.choice([(0, 0), (15, 1), (-25, 2), (3, 0), (123456789012, 5), (1, 0)])
        text = f"{'-' if digits < 0 else ''}{abs(digits) // 10**scale}"
        text += f".{abs(digits) % 10**scale:0{scale}}" if scale else ""
        return Value(text, text, struct.pack(">i", scale) + varint(digits))
    if name in ("text", "ascii"):
        text = rng.choice([text for text in TEXTS if name == "text" or text.isascii()])
        return Value(quote(text), quote_json(text), text.encode())
    if name == "blob":
        data = rng.choice(["", "00", "ff", "cafe", "00ff00"])
        return Value("0x" + data, quote_json("0x" + data), bytes.fromhex(data))
    if name == "boolean":
        word = rng.choice(["true", "false"])
        return Value(word, word, bytes([word == "true"]))
    if name in ("uuid", "timeuuid"):
        text = rng.choice(UUIDS if name == "timeuuid" else UUIDS + RANDOM_UUIDS)
        return Value(text, quote_json(text), uuid.UUID(text).bytes)
    if name == "inet":
        text, wire = rng.choice(INETS)
        return Value(quote(text), quote_json(text), bytes.fromhex(wire))
    if name == "timestamp":
        millis, text = rng.choice(TIMESTAMPS)
        return Value(rng.choice([quote(text), str(millis)]), quote_json(text), struct.pack(">q", millis))
    if name == "date":
        days, text = rng.choice(DATES)
        return Value(rng.choice([quote(text), str(days + (1 << 31))]), quote_json(text), struct.pack(">I", days + (1 << 31)))
    if name == "time":
        nanos, text = rng.choice(TIMES)
        return Value(rng.choice([quote(text), str(nanos)]), quote_json(text), struct.pack(">q", nanos))
    text, parts = rng.choice(DURATIONS)
    return Value(text, quote_json(text), b"".join(vint(part << 1 if part >= 0 else (-part << 1) - 1) for part in parts))


FIXED = {"boolean": 1, "int": 4, "float": 4, "bigint": 8, "double": 8, "timestamp": 8, "uuid": 16, "timeuuid": 16}


def fixed_length(ty):
    if ty.name == "vector":
        inner = fixed_length(ty.args[0])
        return inner and inner * ty.size
    return FIXED.get(ty.name)


def with_length(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def value(rng, ty, nulls=0.0):
    """A random value; `nulls` is how likely a field has none."""
    if not ty.args:
        return scalar(rng, ty.name)
    if ty.name in ("list", "set", "map"):
        return collection(rng, ty)
    if ty.name == "vector":
        parts = [value(rng, ty.args[0]) for _ in range(ty.size)]
        lone = fixed_length(ty.args[0])
        wire = b"".join(part.wire if lone else vint(len(part.wire)) + part.wire for part in parts)
        return Value(joined("[]", parts, "cql"), joined("[]", parts, "json"), wire)
    parts = [NULL if rng.random() < nulls else value(rng, arg, nulls) for arg in ty.args]
    wire = b"".join(with_length(part.wire) for part in parts)
    if ty.name == "tuple":
        return Value(joined("()", parts, "cql"), joined("[]", parts, "json"), wire)
    pairs = list(zip(ty.names, parts))
    return Value(
        "{" + ", ".join(f"{name}: {part.cql}" for name, part in pairs) + "}",
        "{" + ", ".join(f'"{name}": {part.json}' for name, part in pairs) + "}",
        wire,
    )


def joined(brackets, parts, way):
    return brackets[0] + ", ".join(getattr(part, way) for part in parts) + brackets[1]


def json_key(text):
    return text if text.startswith('"') else quote_json(text)


def collection(rng, ty, least=0):
    count = rng.choice([0, 1, 1, 2, 3])
    keys = [value(rng, ty.args[0]) for _ in range(max(count, least))]
    if ty.name == "list":
        wire = struct.pack(">i", len(keys)) + b"".join(with_length(key.wire) for key in keys)
        return Value(joined("[]", keys, "cql"), joined("[]", keys, "json"), wire)
    # Cassandra takes any of several equal keys of a literal.
    keys = list({comparable(ty.args[0], key): key for key in keys}.values())
    if ty.name == "set":
        wire = struct.pack(">i", len(keys)) + b"".join(with_length(key.wire) for key in keys)
        return Value(joined("{}", keys, "cql"), joined("[]", keys, "json"), wire)
    pairs = [(key, value(rng, ty.args[1])) for key in keys]
    return Value(
        "{" + ", ".join(f"{key.cql}: {item.cql}" for key, item in pairs) + "}",
        "{" + ", ".join(f"{json_key(key.json)}: {item.json}" for key, item in pairs) + "}",
        struct.pack(">i", len(pairs)) + b"".join(with_length(part.wire) for pair in pairs for part in pair),
    )


def comparable(ty, one):
    """What two values have in common that a set keeps as one."""
    return one.wire


def random_type(rng, udts, depth=0, key=False):
    """A type; in keys there is no duration."""
    roll = rng.random()
    if depth >= 2 or roll < 0.6:
        return Type(rng.choice(IN_KEYS if key else SCALARS))
    inner = lambda key: random_type(rng, udts, depth + 1, key)
    if roll < 0.68:
        return Type("list", (inner(key),))
    if roll < 0.76:
        return Type("set", (inner(True),))
    if roll < 0.84:
        return Type("map", (inner(True), inner(key)))
    if roll < 0.90:
        return Type("tuple", tuple(inner(key) for _ in range(rng.randint(1, 3))))
    if roll < 0.94:
        # No driver reads vectors of user-defined types.
        return Type("vector", (random_type(rng, [], depth + 1, True),), size=rng.randint(1, 3))
    fitting = [udt for udt in udts if not (key and udt.has("duration"))]
    return rng.choice(fitting) if fitting else Type("int")
