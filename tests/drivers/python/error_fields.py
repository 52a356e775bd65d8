"""What errors of requests say, on three nodes of which two do not answer: first that nothing came in time, and once they are
taken for dead that they are unavailable. Fields as in the native protocol, section 9; checked by `cluster_test.py`."""
from cassandra import ConsistencyLevel as Level, ReadTimeout, Unavailable, WriteTimeout, WriteType
from cassandra.policies import FallthroughRetryPolicy
from cassandra.query import SimpleStatement

TABLES = ["CREATE TABLE ks.told (k int PRIMARY KEY, v int)", "CREATE TABLE ks.told_n (k int PRIMARY KEY, v counter)"]

WRITE = "INSERT INTO ks.told (k, v) VALUES (1, 1)"
COUNT = "UPDATE ks.told_n SET v = v + 1 WHERE k = 1"
SEVERAL = "UPDATE ks.told SET v = 1 WHERE k IN (1, 2)"
BATCH = "BEGIN {} BATCH INSERT INTO ks.told (k, v) VALUES (1, 1); INSERT INTO ks.told (k, v) VALUES (2, 1); APPLY BATCH"
LOGGED, UNLOGGED = BATCH.format(""), BATCH.format("UNLOGGED")
CONDITIONAL = "INSERT INTO ks.told (k, v) VALUES (3, 1) IF NOT EXISTS"
READ, SCAN = "SELECT v FROM ks.told WHERE k = 1", "SELECT v FROM ks.told"

# Statement and level; what a write that timed out says: its kind, level, acknowledgements received and needed.
WRITES = [
    (WRITE, Level.QUORUM, (WriteType.SIMPLE, Level.QUORUM, 1, 2)),
    (WRITE, Level.ALL, (WriteType.SIMPLE, Level.ALL, 1, 3)),
    (COUNT, Level.QUORUM, (WriteType.COUNTER, Level.QUORUM, 1, 2)),
    (SEVERAL, Level.QUORUM, (WriteType.UNLOGGED_BATCH, Level.QUORUM, 1, 2)),
    (UNLOGGED, Level.QUORUM, (WriteType.UNLOGGED_BATCH, Level.QUORUM, 1, 2)),
    # Two others keep it, whatever its level.
    (LOGGED, Level.QUORUM, (WriteType.BATCH_LOG, Level.TWO, 0, 2)),
    (CONDITIONAL, Level.QUORUM, (WriteType.CAS, Level.SERIAL, 1, 2)),
]
# What a read that timed out says: its level, answers received and needed, and if the data were among them.
READS = [
    (READ, Level.QUORUM, (Level.QUORUM, 1, 2, True)),
    (READ, Level.ALL, (Level.ALL, 1, 3, True)),
    (SCAN, Level.QUORUM, (Level.QUORUM, 1, 2, True)),
    (READ, Level.SERIAL, (Level.SERIAL, 1, 2, False)),
]
# What one that is unavailable says: its level, replicas needed and alive.
NOBODY = [
    (WRITE, Level.QUORUM, (Level.QUORUM, 2, 1)),
    (COUNT, Level.ALL, (Level.ALL, 3, 1)),
    (LOGGED, Level.TWO, (Level.TWO, 2, 1)),
    (CONDITIONAL, Level.QUORUM, (Level.SERIAL, 2, 1)),
    (READ, Level.THREE, (Level.THREE, 3, 1)),
    (SCAN, Level.QUORUM, (Level.QUORUM, 2, 1)),
    (READ, Level.SERIAL, (Level.SERIAL, 2, 1)),
]


def answers(session, requests):
    """What comes of requests that are made at once: errors, None where there is none."""
    statements = [SimpleStatement(text, consistency_level=level, retry_policy=FallthroughRetryPolicy())
                  for text, level, _ in requests]
    answers = []
    for future in [session.execute_async(statement) for statement in statements]:
        try:
            answers.append(future.result() and None)
        except Exception as error:
            answers.append(error)
    return answers


def judge(session, requests, kind, fields):
    for (text, level, expected), error in zip(requests, answers(session, requests)):
        told = isinstance(error, kind) and fields(error)
        assert told == expected, f"{text} at {Level.value_to_name[level]}: {error!r} {told}, not {expected}"


def while_nothing_answers(session):
    judge(session, WRITES, WriteTimeout,
          lambda error: (error.write_type, error.consistency, error.received_responses, error.required_responses))
    judge(session, READS, ReadTimeout,
          lambda error: (error.consistency, error.received_responses, error.required_responses, error.data_retrieved))


def are_unavailable(session):
    return all(isinstance(error, Unavailable) for error in answers(session, NOBODY))


def once_they_are_dead(session):
    judge(session, NOBODY, Unavailable,
          lambda error: (error.consistency, error.required_replicas, error.alive_replicas))
