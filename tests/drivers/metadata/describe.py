#!/usr/bin/env python3
"""Makes a schema, and prints what the Python driver knows of it, or how system tables are defined.

    describe.py HOST PORT load FILE | system | statements | KEYSPACE

`statements` reads what cqlsh describes, and leaves out other keyspaces than these.
"""
import pathlib
import re
import sys

from cassandra.cluster import Cluster

SYSTEM = ("system", "system_schema", "system_auth", "system_distributed", "system_traces", "system_views", "system_virtual_schema",
          "system_metrics")


def load(session, path):
    for name in ("metadata", '"MetadataTwo"'):
        session.execute(f"DROP KEYSPACE IF EXISTS {name}")
    for statement in filter(None, map(str.strip, path.read_text().split(";\n"))):
        session.execute(statement.rstrip(";"))


def system(session):
    """A line for each column of each system table."""
    for source in ("system_schema", "system_virtual_schema"):
        for keyspace in SYSTEM:
            asked = "SELECT table_name, column_name, kind, position, type, clustering_order FROM {}.columns WHERE keyspace_name = %s"
            for row in session.execute(asked.format(source), (keyspace,)):
                print(f"{keyspace}.{row.table_name}: {row.column_name} {row.type} {row.kind} {row.position} {row.clustering_order}")


def statements(text):
    """A statement of system keyspaces and of schema.cql after the other."""
    for block in text.replace("\n*/\n", "\n*/\n\n").split("\n\n"):
        if re.search(r"(?:KEYSPACE|TABLE|TYPE) (?:system\w*|metadata|\"MetadataTwo\")[. ]", block.split("\n(")[0]):
            print(block.strip("\n") + "\n")


def main():
    host, port, what, *rest = sys.argv[1:]
    if what == "statements":
        statements(sys.stdin.read())
        return
    with Cluster([host], int(port)) as cluster:
        session = cluster.connect()
        if what == "load":
            load(session, pathlib.Path(rest[0]))
        elif what == "system":
            system(session)
        else:
            print(cluster.metadata.keyspaces[what].export_as_string())


if __name__ == "__main__":
    main()
