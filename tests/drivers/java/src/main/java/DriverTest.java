import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.DefaultBatchType;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.Row;
import com.datastax.oss.driver.api.core.servererrors.InvalidQueryException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/** The Java driver against a running node: schema metadata, prepared statements, paging, batches and errors. */
public final class DriverTest {
    private static final int ROWS = 1000;

    public static void main(String[] arguments) {
        if (arguments.length > 2) {
            describe(arguments[0], Integer.parseInt(arguments[1]), arguments[2]);
            return;
        }
        for (String version : new String[] {"V4", "V5"}) {
            run(arguments[0], Integer.parseInt(arguments[1]), version);
            System.out.println("java driver, protocol " + version + ": ok");
        }
        System.out.println("2 passed, 0 failed");
    }

    private static CqlSession connect(String host, int port, String version) {
        DriverConfigLoader config = DriverConfigLoader.programmaticBuilder()
                .withString(DefaultDriverOption.PROTOCOL_VERSION, version)
                .withDuration(DefaultDriverOption.REQUEST_TIMEOUT, Duration.ofSeconds(20))
                .build();
        return CqlSession.builder()
                .addContactPoint(new InetSocketAddress(host, port))
                .withLocalDatacenter("datacenter1")
                .withConfigLoader(config)
                .build();
    }

    /** Prints what the driver knows of a keyspace. */
    private static void describe(String host, int port, String keyspace) {
        try (CqlSession session = connect(host, port, "V5")) {
            System.out.println(session.getMetadata().getKeyspace(keyspace).orElseThrow().describeWithChildren(true));
        }
    }

    private static void run(String host, int port, String version) {
        try (CqlSession session = connect(host, port, version)) {
            String keyspace = "java_" + version.toLowerCase();
            session.execute("DROP KEYSPACE IF EXISTS " + keyspace);
            session.execute("CREATE KEYSPACE " + keyspace
                    + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
            session.execute("CREATE TABLE " + keyspace + ".wide (bucket text, seq int, id uuid, tags set<text>,"
                    + " props map<text, int>, at timestamp, PRIMARY KEY (bucket, seq))");
            UUID id = UUID.randomUUID();
            Instant at = Instant.ofEpochMilli(1767225600123L);
            PreparedStatement insert = session.prepare("INSERT INTO " + keyspace
                    + ".wide (bucket, seq, id, tags, props, at) VALUES (?, ?, ?, ?, ?, ?)");
            for (int n = 0; n < ROWS; n++) {
                session.execute(insert.bind("b", n, id, Set.of("x", "y"), Map.of("n", n), at));
            }
            PreparedStatement select = session.prepare("SELECT * FROM " + keyspace + ".wide WHERE bucket = ?");
            int expected = 0;
            for (Row row : session.execute(select.bind("b").setPageSize(97))) {
                require(row.getInt("seq") == expected && id.equals(row.getUuid("id"))
                        && at.equals(row.getInstant("at")) && row.getSet("tags", String.class).equals(Set.of("x", "y"))
                        && row.getMap("props", String.class, Integer.class).equals(Map.of("n", expected)), row.getFormattedContents());
                expected++;
            }
            require(expected == ROWS, "read " + expected + " rows");
            PreparedStatement small = session.prepare("INSERT INTO " + keyspace + ".wide (bucket, seq) VALUES (?, ?)");
            session.execute("CREATE TABLE " + keyspace + ".register (key int PRIMARY KEY, value int)");
            var conditional = session.prepare("INSERT INTO " + keyspace + ".register (key, value) VALUES (?, ?) IF NOT EXISTS");
            if (!session.execute(conditional.bind(1, 10)).wasApplied()) {
                throw new AssertionError("a conditional insert was refused");
            }
            var again = session.execute(conditional.bind(1, 20));
            if (again.wasApplied() || again.one().getInt("value") != 10) {
                throw new AssertionError("a conditional insert was applied twice");
            }
            session.execute(BatchStatement.newInstance(DefaultBatchType.LOGGED, small.bind("batch", 1), small.bind("batch", 2)));
            long count = session.execute("SELECT count(*) FROM " + keyspace + ".wide WHERE bucket = 'batch'").one().getLong(0);
            require(count == 2, "the batch wrote " + count);
            String described = session.getMetadata().getKeyspace(keyspace).orElseThrow().getTable("wide").orElseThrow().describe(true);
            require(described.contains("CREATE TABLE"), described);
            try {
                session.execute("SELECT * FROM " + keyspace + ".nowhere");
                throw new AssertionError("a missing table should be refused");
            } catch (InvalidQueryException refused) {
                // As it should be.
            }
            session.execute("DROP KEYSPACE " + keyspace);
        }
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
