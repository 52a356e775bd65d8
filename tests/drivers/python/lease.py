"""A lease on a name, as docs/LOCKS.md has it."""
import time
import uuid

from cassandra import ConsistencyLevel, Timeout
from cassandra.protocol import ErrorMessage

TABLE = "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, fence bigint, owner uuid)"


class Lease:
    """One client's view of a lease. `fence` is its number while it is held; `is_held` needs no request."""

    def __init__(self, session, table, name, seconds, margin):
        """Clocks of coordinators differ by less than `margin` seconds."""
        self.session, self.name, self.owner = session, name, uuid.uuid4()
        self.seconds, self.margin = seconds, margin
        self.fence, self.until = None, 0.0
        self.read = session.prepare(f"SELECT fence, owner FROM {table} WHERE name = ?")
        self.read.consistency_level = ConsistencyLevel.SERIAL
        self.begin = session.prepare(f"INSERT INTO {table} (name, fence) VALUES (?, 0) IF NOT EXISTS")
        self.take = session.prepare(
            f"BEGIN BATCH UPDATE {table} SET fence = ? WHERE name = ? IF owner = null AND fence = ?; "
            f"UPDATE {table} USING TTL {seconds} SET owner = ? WHERE name = ?; APPLY BATCH")
        self.keep = session.prepare(f"UPDATE {table} USING TTL {seconds} SET owner = ? WHERE name = ? IF owner = ?")
        self.give = session.prepare(f"DELETE owner FROM {table} WHERE name = ? IF owner = ?")

    def is_held(self):
        return time.monotonic() < self.until

    def acquire(self):
        """True if the lease is this client's now."""
        began = time.monotonic()
        row = self.session.execute(self.read, (self.name,)).one()
        if row is None:
            self.session.execute(self.begin, (self.name,))
            row = self.session.execute(self.read, (self.name,)).one()
        if row.owner is not None:
            return False
        try:
            taken = self.session.execute(self.take, (row.fence + 1, self.name, row.fence, self.owner, self.name)).was_applied
        except (Timeout, ErrorMessage):
            # Nobody knows: whoever reads at SERIAL finds out.
            row_now = self.session.execute(self.read, (self.name,)).one()
            taken = row_now.owner == self.owner and row_now.fence == row.fence + 1
        if taken:
            self.fence, self.until = row.fence + 1, began + self.seconds - self.margin
        return taken

    def renew(self):
        """True if it is held for another while. If nobody knows, it is held for as long as before."""
        began = time.monotonic()
        try:
            kept = self.session.execute(self.keep, (self.owner, self.name, self.owner)).was_applied
        except (Timeout, ErrorMessage):
            return False
        self.until = began + self.seconds - self.margin if kept else 0.0
        return kept

    def release(self):
        self.until = 0.0
        self.session.execute(self.give, (self.name, self.owner))
