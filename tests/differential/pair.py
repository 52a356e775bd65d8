"""Two servers that get the same statements at the same time."""
import concurrent.futures
import dataclasses
import pathlib
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "conformance"))
from answers import answer, connect, without_chance  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Step:
    """A statement with what is bound to its markers, the size of pages, and whether to flush behind it."""

    statement: str
    binding: str | None = None
    page_size: int | None = None
    flush: bool = False

    def lines(self):
        """Its part of a conformance script, without answers."""
        return ["> " + self.statement] + ([] if self.binding is None else ["< " + self.binding])


def asked(session, step):
    """What a server answers. It hangs up after an error of the protocol: the driver then connects anew."""
    deadline = time.monotonic() + 20
    while True:
        try:
            lines = answer(session, step.statement, step.binding, step.page_size)
        except (AttributeError, ValueError, KeyError, TypeError) as error:
            # The driver does not read all types that there are, such as vectors of user-defined types.
            return [f"Driver: {type(error).__name__}"]
        if not lines[-1].startswith(("NoHostAvailable", "ConnectionException", "ConnectionShutdown")) or time.monotonic() > deadline:
            return [without_chance(line) for line in lines]
        time.sleep(0.2)


class Pair:
    """Cassandra, and Dodona with the address of its administration."""

    def __init__(self, cassandra, dodona, admin, protocol=5):
        self.addresses, self.admin, self.protocol = (cassandra, dodona), admin, protocol
        self.threads = concurrent.futures.ThreadPoolExecutor(2)
        self.connected = [connect(address, version=protocol) for address in self.addresses]
        self.statements = 0

    def sessions(self):
        return [session for _, session in self.connected]

    def fresh(self, keyspace):
        self.each(f"DROP KEYSPACE IF EXISTS {keyspace}")
        self.each(f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}")
        self.each(f"USE {keyspace}")

    def use(self, keyspace):
        self.each(f"USE {keyspace}")

    def each(self, statement):
        """Runs what succeeds on both; it may take a while to have a connection again."""
        list(self.threads.map(lambda session: asked(session, Step(statement)), self.sessions()))

    def drop(self, keyspace):
        self.each(f"DROP KEYSPACE IF EXISTS {keyspace}")

    def both(self, step):
        """Both answers as lines, Cassandra's first."""
        self.statements += 1
        theirs, ours = self.threads.map(lambda session: asked(session, step), self.sessions())
        if step.flush:
            self.flush()
        return theirs, ours

    def flush(self):
        """What Dodona holds in memory goes to files."""
        request = urllib.request.Request(f"http://{self.admin}/api/v1/flush", method="POST")
        with urllib.request.urlopen(request, timeout=60) as reply:
            reply.read()

    def close(self):
        for cluster, _ in self.connected:
            cluster.shutdown()
