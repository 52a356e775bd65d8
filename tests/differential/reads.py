"""Random SELECTs."""
from types_of_cql import NUMBERS, SCALARS, Type, value


class Reads:
    """Writes statements that read a table; it shares keys and slices with the changes."""

    def __init__(self, changes):
        self.changes, self.rng, self.bind, self.chance = changes, changes.rng, changes.bind, changes.chance

    def everything(self, table):
        return f"SELECT * FROM {table.name}"

    def statement(self, table):
        if self.chance(0.1):
            return self.distinct(table)
        where, filtering, depth = self.where(table)
        grouped = table.keys()[:self.rng.randint(1, len(table.keys()))] if self.chance(0.12) else []
        selected = self.selected(table, bool(grouped))
        parts = [f"SELECT {'JSON ' if self.chance(0.1) else ''}{selected} FROM {table.name}"]
        if where:
            parts.append("WHERE " + " AND ".join(where))
        if grouped:
            parts.append("GROUP BY " + ", ".join(c.name for c in grouped))
        clustering = table.of("clustering")
        if clustering and self.chance(0.25 if depth else 0.03):
            flip = self.chance(0.6)
            names = [f"{c.name} {'DESC' if c.descending != flip else 'ASC'}" for c in clustering[:self.rng.randint(1, len(clustering))]]
            if self.chance(0.05):
                self.rng.shuffle(names)
            parts.append("ORDER BY " + ", ".join(names))
        parts += self.limits()
        if filtering and self.chance(0.95) or self.chance(0.1):
            parts.append("ALLOW FILTERING")
        return " ".join(parts)

    def limits(self):
        parts = []
        if self.chance(0.1):
            parts.append(f"PER PARTITION LIMIT {self.rng.randint(1, 3)}")
        if self.chance(0.15):
            parts.append(f"LIMIT {self.rng.randint(1, 4)}")
        return parts

    def distinct(self, table):
        columns = table.of("partition", "static")
        if self.chance(0.5):
            columns = table.of("partition")
        elif self.chance(0.1):
            columns = self.changes.some(table.columns, 1)
        parts = [f"SELECT DISTINCT {', '.join(c.name for c in columns)} FROM {table.name}"]
        if self.chance(0.5):
            parts.append("WHERE " + " AND ".join(self.partitions(table)))
        parts += self.limits()
        return " ".join(parts) + (" ALLOW FILTERING" if self.chance(0.1) else "")

    def partitions(self, table):
        """Conditions on the partition key."""
        columns = table.of("partition")
        if self.chance(0.2):
            names = ", ".join(c.name for c in columns)
            token = lambda: f"token({', '.join(self.bind(self.changes.key_value(table, c)) for c in columns)})"
            bounds = self.rng.choice([[">"], [">="], ["<"], ["<="], [">=", "<="], [">", "<"], ["="]])
            return [f"token({names}) {operator} {token()}" for operator in bounds]
        return [self.equal_or_in(table, column, 0.2) for column in columns]

    def equal_or_in(self, table, column, odds):
        if self.chance(odds):
            values = [self.bind(self.changes.key_value(table, column)) for _ in range(self.rng.randint(0 if self.chance(0.1) else 1, 4))]
            return f"{column.name} IN ({', '.join(values)})"
        return self.changes.equal(table, column)

    def where(self, table):
        """Conditions, whether they need filtering, and whether there are such of the partition."""
        parts, clustering, filtering = [], table.of("clustering"), False
        depth = self.rng.choice([0, 1, 2, 3]) if clustering else self.rng.choice([0, 1])
        if depth:
            parts += self.partitions(table)
        if depth > 1:
            equal = self.rng.randint(0, len(clustering))
            if equal > 1 and self.chance(0.25):
                parts.append(self.rows_by_name(table, clustering[:equal]))
            else:
                parts += [self.equal_or_in(table, column, 0.15) for column in clustering[:equal]]
            if equal < len(clustering) and self.chance(0.8):
                parts += self.changes.bounds(table, clustering[equal:])
        if self.chance(0.25):
            filtering = True
            parts += [self.filter(self.rng.choice(table.columns)) for _ in range(self.rng.choice([1, 1, 2]))]
        if self.chance(0.02):
            self.rng.shuffle(parts)
            parts = parts[1:]
        return parts, filtering or self.chance(0.05), depth > 0

    def rows_by_name(self, table, columns):
        names = ", ".join(c.name for c in columns)
        row = lambda: "(" + ", ".join(self.bind(self.changes.key_value(table, c)) for c in columns) + ")"
        if self.chance(0.5):
            return f"({names}) = {row()}"
        return f"({names}) IN ({', '.join(row() for _ in range(self.rng.randint(1, 3)))})"

    def filter(self, column):
        name, ty, rng = column.name, column.ty, self.rng
        operator = rng.choice(["=", "=", "<", "<=", ">", ">=", "!="])
        if ty.name == "map" and self.chance(0.4):
            return f"{name}[{self.bind(value(rng, ty.args[0]))}] {operator} {self.bind(value(rng, ty.args[1]))}"
        if ty.is_collection() and self.chance(0.5):
            word, inner = ("CONTAINS KEY", ty.args[0]) if ty.name == "map" and self.chance(0.5) else ("CONTAINS", ty.args[-1])
            return f"{name} {word} {self.bind(value(rng, inner))}"
        if self.chance(0.15):
            return f"{name} IN ({', '.join(self.bind(value(rng, ty)) for _ in range(rng.randint(1, 3)))})"
        return f"{name} {operator} {self.bind(value(rng, ty))}"

    def selected(self, table, grouped):
        roll = self.rng.random()
        if roll < (0.1 if grouped else 0.35):
            return "*"
        if grouped and roll < 0.6 or roll < 0.45:
            parts = [self.aggregate(self.rng.choice(table.columns)) for _ in range(self.rng.randint(1, 3))]
            if grouped:
                parts = [c.name for c in self.changes.some(table.keys())] + parts
            return ", ".join(parts)
        return ", ".join(self.selector(table, self.rng.choice(table.columns)) for _ in range(self.rng.randint(1, 4)))

    def aggregate(self, column):
        if self.chance(0.25):
            return self.rng.choice(["count(*)", "count(1)"])
        words = ["count", "min", "max"] + (["sum", "avg"] if column.ty.name in NUMBERS or self.chance(0.05) else [])
        inner = column.name
        if column.ty.is_collection() and not column.descending and self.chance(0.5):
            inner = f"collection_{self.rng.choice(['count', 'min', 'max', 'sum', 'avg'])}({inner})"
        return f"{self.rng.choice(words)}({inner})"

    def selector(self, table, column):
        """A column, a part of one, or a function of one."""
        name, ty, rng = column.name, column.ty, self.rng
        roll = rng.random()
        if roll < 0.45:
            return name + (rng.choice([" AS x", ' AS "Y z"']) if self.chance(0.1) else "")
        if roll < 0.6 and ty.name in ("map", "set"):
            key = lambda: self.bind(value(rng, ty.args[0]))
            if self.chance(0.6):
                return f"{name}[{key()}]"
            return f"{name}[{rng.choice([key() + '..', key() + '..' + key(), '..' + key()])}]"
        if roll < 0.6 and ty.is_udt():
            return f"{name}.{rng.choice(ty.names)}"
        if roll < 0.7 and column in table.others():
            part = name
            if ty.name in ("map", "set") and self.chance(0.3):
                part = f"{name}[{self.bind(value(rng, ty.args[0]))}]"
            elif ty.is_udt() and self.chance(0.3):
                part = f"{name}.{rng.choice(ty.names)}"
            return f"{rng.choice(['writetime', 'ttl', 'maxwritetime'])}({part})"
        if roll < 0.75:
            return f"token({', '.join(c.name for c in table.of('partition'))})"
        if roll < 0.82 and not column.descending:
            # Digits of floats depend on the version of Java.
            to = [name for name in NUMBERS if name != "float"]
            return f"cast({name} AS {rng.choice([*to, 'text', 'ascii', 'timestamp', 'date'])})"
        if roll < 0.9:
            return rng.choice([f"toJson({name})", f"to_json({name})", f"mask_null({name})", f"mask_default({name})",
                               f"{ty.name}_as_blob({name})" if ty.name in SCALARS else f"collection_count({name})"])
        if ty.name in NUMBERS:
            return rng.choice([f"abs({name})", f"round({name})", f"-{name}", f"{name} + {name}", f"{name} * 2",
                               f"{name} / {rng.choice([1, 2, 3])}", f"{name} % 3", f"exp({name})", f"log10({name})"])
        if ty.name == "timestamp":
            return rng.choice([f"to_date({name})", f"to_unix_timestamp({name})", f"{name} + 1d", f"{name} - 2h", f"toDate({name})"])
        if ty.name == "timeuuid":
            return rng.choice([f"to_timestamp({name})", f"to_date({name})", f"to_unix_timestamp({name})"])
        if ty.is_collection() and not column.descending:
            return rng.choice([f"collection_{word}({name})" for word in ("count", "min", "max", "sum", "avg")] +
                              ([f"map_keys({name})", f"map_values({name})"] if ty.name == "map" else []))
        if ty.name == "vector":
            return f"similarity_{rng.choice(['cosine', 'euclidean', 'dot_product'])}({name}, {self.bind(value(rng, ty))})"
        if self.chance(0.5):
            other = Type(rng.choice(SCALARS))
            return f"({other.name}) {self.bind(value(rng, other))}"
        return f"({name}, {rng.choice(table.columns).name})"
