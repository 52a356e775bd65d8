"""Random statements that change rows: INSERT, UPDATE, DELETE and batches of them."""
from types_of_cql import NULL, Type, collection, value


class Changes:
    """Writes statements for a table. `bind` turns a value into text, a literal or a bind marker."""

    def __init__(self, rng, schema, bind):
        self.rng, self.schema, self.bind, self.ttls = rng, schema, bind, 0

    def chance(self, odds):
        return self.rng.random() < odds

    def some(self, items, least=0):
        """A random part of a list, in its order."""
        if not items:
            return []
        count = self.rng.randint(min(least, len(items)), len(items))
        chosen = set(self.rng.sample(range(len(items)), count))
        return [item for at, item in enumerate(items) if at in chosen]

    def key_value(self, table, column):
        if self.chance(0.01):
            return NULL
        return self.rng.choice(table.pool[column.name]) if self.chance(0.97) else value(self.rng, column.ty)

    def new_value(self, column):
        if self.chance(0.12):
            return NULL
        if self.chance(0.01):
            return value(self.rng, Type(self.rng.choice(["int", "text", "boolean", "blob", "float"])))
        return value(self.rng, column.ty, nulls=0.2)

    def using(self, table, ttl=True, timestamp=True):
        parts = []
        # With a TTL of the table equal timestamps are decided by the second in which they were written.
        if timestamp and self.chance(0.55) and not table.default_ttl and not (table.counters and self.chance(0.95)):
            parts.append(f"TIMESTAMP {self.rng.randint(1, 6)}")
        if ttl and self.chance(0.15) and not (table.counters and self.chance(0.9)):
            self.ttls += 1
            parts.append(f"TTL {100_000 + 1000 * self.ttls}" if self.chance(0.95) else "TTL 0")
        self.rng.shuffle(parts)
        return " USING " + " AND ".join(parts) if parts else ""

    def equal(self, table, column):
        return f"{column.name} = {self.bind(self.key_value(table, column))}"

    def key_relations(self, table, statics_only=False, many=True):
        """The conditions that name rows to change."""
        columns = table.of("partition") if statics_only else table.keys()
        if self.chance(0.02):
            columns = self.some(table.keys())
        parts = []
        for column in columns:
            if many and self.chance(0.06):
                values = [self.bind(self.key_value(table, column)) for _ in range(self.rng.randint(1, 3))]
                parts.append(f"{column.name} IN ({', '.join(values)})")
            else:
                parts.append(self.equal(table, column))
        return parts

    def insert(self, table):
        columns = list(table.keys()) + self.some(table.others())
        if table.of("static") and self.chance(0.15):
            columns = table.of("partition") + self.some(table.of("static"), 1)
        if self.chance(0.02):
            columns = self.some(columns)
        pick = lambda c: self.key_value(table, c) if c in table.keys() else self.new_value(c)
        condition = " IF NOT EXISTS" if self.chance(0.06) else ""
        using = self.using(table, timestamp=not condition or self.chance(0.1))
        if self.chance(0.15) and columns:
            pairs = ", ".join(f'"{c.name}": {pick(c).json}' for c in columns)
            text = "{" + pairs.replace("'", "''") + "}"
            default = self.rng.choice(["", "", " DEFAULT UNSET", " DEFAULT NULL"])
            return f"INSERT INTO {table.name} JSON '{text}'{default}{condition}{using}"
        self.rng.shuffle(columns)
        names = ", ".join(c.name for c in columns)
        return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join(self.bind(pick(c)) for c in columns)}){condition}{using}"

    def assignment(self, table, column):
        name, ty, rng = column.name, column.ty, self.rng
        if table.counters:
            return f"{name} = {name} {rng.choice('++-')} {rng.choice([1, 2, 5, 1000])}"
        if not column.multi_cell() and self.chance(0.97) or self.chance(0.4):
            return f"{name} = {self.bind(self.new_value(column))}"
        if ty.name == "list":
            other = self.bind(collection(rng, ty))
            return rng.choice([f"{name} = {name} + {other}", f"{name} = {name} - {other}", f"{name} = {other} + {name}",
                               f"{name} += {other}", f"{name} -= {other}",
                               f"{name}[{rng.randint(0, 2)}] = {self.bind(self.element(ty.args[0]))}"])
        if ty.name == "set":
            return f"{name} = {name} {rng.choice('++-')} {self.bind(collection(rng, ty))}"
        if ty.name == "map":
            keys = Type("set", ty.args[:1])
            return rng.choice([f"{name} = {name} + {self.bind(collection(rng, ty))}",
                               f"{name} = {name} - {self.bind(collection(rng, keys))}",
                               f"{name}[{self.bind(value(rng, ty.args[0]))}] = {self.bind(self.element(ty.args[1]))}"])
        if ty.is_udt():
            at = rng.randrange(len(ty.args))
            return f"{name}.{ty.names[at]} = {self.bind(self.element(ty.args[at]))}"
        return f"{name} = {name} + {self.bind(value(rng, ty))}"

    def element(self, ty):
        return NULL if self.chance(0.2) else value(self.rng, ty)

    def conditions(self, table):
        """What follows IF."""
        columns = table.others()
        if self.chance(0.25) or not columns:
            return " IF EXISTS"
        parts = [self.condition(self.rng.choice(columns)) for _ in range(self.rng.choice([1, 1, 2]))]
        return " IF " + " AND ".join(parts)

    def condition(self, column):
        name, ty, rng = column.name, column.ty, self.rng
        operator = rng.choice(["=", "=", "=", "!=", "<", "<=", ">", ">="])
        # Cassandra compares elements of maps as if they were keys: what is equal is so only for types of which all bytes count.
        if ty.name == "map" and ty.args[0].name in ("ascii", "text", "blob", "int") and self.chance(0.4):
            operator = rng.choice(["=", "!="])
            return f"{name}[{self.bind(value(rng, ty.args[0]))}] {operator} {self.bind(self.element(ty.args[1]))}"
        if ty.name == "list" and self.chance(0.4):
            return f"{name}[{rng.randint(0, 2)}] {operator} {self.bind(self.element(ty.args[0]))}"
        if ty.is_udt() and self.chance(0.4):
            at = rng.randrange(len(ty.args))
            return f"{name}.{ty.names[at]} {operator} {self.bind(self.element(ty.args[at]))}"
        if ty.is_collection() and self.chance(0.2):
            inner = ty.args[-1] if ty.name == "map" and self.chance(0.5) else ty.args[0]
            word = "CONTAINS KEY" if ty.name == "map" and inner is ty.args[0] else "CONTAINS"
            return f"{name} {word} {self.bind(value(rng, inner))}"
        if self.chance(0.15):
            return f"{name} IN ({', '.join(self.bind(self.new_value(column)) for _ in range(rng.randint(0, 2)))})"
        return f"{name} {operator} {self.bind(self.new_value(column))}"

    def update(self, table):
        statics = bool(table.of("static")) and self.chance(0.25)
        columns = self.some(table.of("static") if statics else table.others(), 1)
        if not columns:
            return self.insert(table)
        if not statics and self.chance(0.8):
            columns = [c for c in columns if c.kind == "regular"] or columns
        conditional = self.chance(0.1)
        using = self.using(table, timestamp=not conditional or self.chance(0.1))
        assignments = ", ".join(self.assignment(table, c) for c in columns)
        statics = all(c.kind == "static" for c in columns)
        where = " AND ".join(self.key_relations(table, statics, not conditional))
        return f"UPDATE {table.name}{using} SET {assignments} WHERE {where}" + (self.conditions(table) if conditional else "")

    def deleted(self, column):
        ty, rng = column.ty, self.rng
        if ty.name == "map" and self.chance(0.5):
            return f"{column.name}[{self.bind(value(rng, ty.args[0]))}]"
        if ty.name == "set" and self.chance(0.5):
            return f"{column.name}[{self.bind(value(rng, ty.args[0]))}]"
        if ty.name == "list" and self.chance(0.5):
            return f"{column.name}[{rng.randint(0, 2)}]"
        if ty.is_udt() and self.chance(0.5):
            return f"{column.name}.{rng.choice(ty.names)}"
        return column.name

    def delete(self, table):
        conditional = self.chance(0.08)
        using = self.using(table, ttl=self.chance(0.02), timestamp=not conditional or self.chance(0.1))
        what, where = "", None
        # Cassandra's cache of counters outlives rows: a counter that is used again goes on where it was, or begins anew.
        if table.others() and (self.chance(0.4) or table.counters):
            statics = bool(table.of("static")) and self.chance(0.3)
            columns = self.some(table.of("static" if statics else "regular"), 1) or table.others()
            what = " " + ", ".join(self.deleted(c) for c in columns)
            where = self.key_relations(table, all(c.kind == "static" for c in columns), not conditional)
        elif self.chance(0.5):
            where = self.key_relations(table, many=not conditional)
        else:
            where = self.slice(table)
        tail = self.conditions(table) if conditional else ""
        return f"DELETE{what} FROM {table.name}{using} WHERE {' AND '.join(where)}{tail}"

    def slice(self, table):
        """A partition, or a range of rows in it."""
        parts = [self.equal(table, column) for column in table.of("partition")]
        clustering = table.of("clustering")
        depth = self.rng.randint(0, len(clustering))
        parts += [self.equal(table, column) for column in clustering[:depth]]
        if depth < len(clustering) and self.chance(0.75):
            parts += self.bounds(table, clustering[depth:])
        return parts

    def bounds(self, table, columns):
        """A slice of the first of the columns, or of several together."""
        count = self.rng.randint(1, len(columns)) if self.chance(0.3) else 0
        chosen = self.rng.choice([[rng] for rng in (">", ">=", "<", "<=")] + [[">", "<"], [">=", "<="], [">", "<="], [">=", "<"]])
        parts = []
        for operator in chosen:
            if count:
                values = [self.bind(self.key_value(table, c)) for c in columns[:count]]
                names = ", ".join(c.name for c in columns[:count])
                parts.append(f"({names}) {operator} ({', '.join(values)})")
            else:
                parts.append(f"{columns[0].name} {operator} {self.bind(self.key_value(table, columns[0]))}")
        return parts

    def single(self, table):
        return self.rng.choices([self.insert, self.update, self.delete], [4, 4, 3] if not table.counters else [0.3, 8, 1])[0](table)

    def statement(self, table):
        if self.chance(0.12):
            kind = "COUNTER " if table.counters and self.chance(0.95) else self.rng.choice(["", "UNLOGGED "])
            parts = "; ".join(self.single(table) for _ in range(self.rng.randint(1, 4)))
            using = f" USING TIMESTAMP {self.rng.randint(1, 6)}" if self.chance(0.15) and not table.default_ttl else ""
            return f"BEGIN {kind}BATCH{using} {parts}; APPLY BATCH"
        return self.single(table)
