"""Random schemas: types, tables of every shape, and the few keys that statements use."""
import dataclasses

from types_of_cql import SCALARS, Type, random_type, value


@dataclasses.dataclass(frozen=True)
class Column:
    """A column; `kind` is partition, clustering, static or regular."""

    name: str
    ty: Type
    kind: str
    frozen: bool = True
    descending: bool = False

    def declared(self):
        return f"{self.name} {self.ty.text(self.frozen)}{' static' if self.kind == 'static' else ''}"

    def multi_cell(self):
        return not self.frozen and (self.ty.is_collection() or self.ty.is_udt())


class Table:
    """A table and the values that its keys take."""

    def __init__(self, rng, name, udts, counters=False):
        self.name, self.counters = name, counters
        clusterings = rng.choice([0, 1, 1, 2, 2, 3])
        self.columns = [self.key(rng, f"p{at}", udts, "partition") for at in range(rng.choice([1, 1, 1, 2, 3]))]
        self.columns += [self.key(rng, f"c{at}", udts, "clustering") for at in range(clusterings)]
        for kind, letter, count in (("static", "s", rng.choice([0, 0, 1, 2]) if clusterings else 0),
                                    ("regular", "v", rng.choice([0, 1, 2, 3, 4, 5]) if not counters else rng.choice([1, 2]))):
            self.columns += [self.plain(rng, f"{letter}{at}", udts, kind) for at in range(count)]
        # Few values, so that statements meet the same rows.
        self.pool = {c.name: [value(rng, c.ty) for _ in range(2 if c.kind == "partition" else 4)] for c in self.keys()}
        # To Cassandra the token of an empty key is any token.
        alone = self.of("partition")[0].name
        self.pool[alone] = [one for one in self.pool[alone] if one.wire] or [value(rng, Type("int"))]
        self.default_ttl = not counters and rng.random() < 0.05

    def key(self, rng, name, udts, kind):
        # Half of the keys are ints, since these do not hide what else is wrong.
        ty = Type("int") if rng.random() < 0.5 else random_type(rng, udts, 1 if rng.random() < 0.7 else 0, True)
        # Cassandra does not put bound sets and maps in order where a column's order is descending.
        may_descend = kind == "clustering" and not ty.has("set") and not ty.has("map")
        return Column(name, ty, kind, descending=may_descend and rng.random() < 0.35)

    def plain(self, rng, name, udts, kind):
        if self.counters:
            return Column(name, Type("counter"), kind)
        ty = random_type(rng, udts) if rng.random() < 0.7 else Type(rng.choice(["int", "text"]))
        return Column(name, ty, kind, frozen=rng.random() < 0.3 or not (ty.is_collection() or ty.is_udt()))

    def of(self, *kinds):
        return [column for column in self.columns if column.kind in kinds]

    def keys(self):
        return self.of("partition", "clustering")

    def others(self):
        return self.of("static", "regular")

    def create(self):
        partition = ", ".join(c.name for c in self.of("partition"))
        clustering = self.of("clustering")
        key = f"({partition})" if len(self.of("partition")) > 1 else partition
        key = ", ".join([key, *(c.name for c in clustering)])
        options = []
        if any(c.descending for c in clustering):
            order = ", ".join(f"{c.name} {'DESC' if c.descending else 'ASC'}" for c in clustering)
            options.append(f"CLUSTERING ORDER BY ({order})")
        if self.default_ttl:
            options.append("default_time_to_live = 900000")
        columns = ", ".join(c.declared() for c in self.columns)
        return f"CREATE TABLE {self.name} ({columns}, PRIMARY KEY ({key})){' WITH ' if options else ''}{' AND '.join(options)}"


class Schema:
    """The types and tables of one script."""

    def __init__(self, rng):
        self.udts, self.statements = [], []
        for at in range(rng.choice([0, 1, 1, 2])):
            fields = [random_type(rng, self.udts, 1) if rng.random() < 0.4 else Type(rng.choice(SCALARS))
                      for _ in range(rng.randint(1, 3))]
            udt = Type(f"u{at}", tuple(fields), tuple("fgh"[:len(fields)]))
            self.udts.append(udt)
            declared = ", ".join(f"{name} {ty.text(True)}" for name, ty in zip(udt.names, udt.args))
            self.statements.append(f"CREATE TYPE {udt.name} ({declared})")
        self.tables = [Table(rng, "t", self.udts)]
        if rng.random() < 0.25:
            self.tables.append(Table(rng, "n", self.udts, counters=True))
        self.statements += [table.create() for table in self.tables]
