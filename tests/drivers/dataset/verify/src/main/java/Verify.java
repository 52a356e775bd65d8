import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.cql.ColumnDefinition;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.Row;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.Map;

/**
 * Reads every partition through the Java driver and compares it, value by value, with the rows of
 * {@code dodona dataset rows --order partition} on standard input. A row whose write was acknowledged must be
 * there; one whose write was not may be there, whole; any other row is an error.
 *
 * <pre>Verify HOST PORT ACKNOWLEDGED</pre>
 */
public final class Verify {
    /** Partition keys, the clustering column, and the statement that reads a partition in the generator's order. */
    private record Table(String[] partitionKey, String clustering, PreparedStatement select) {}

    private static final int PAGE_ROWS = 1000;

    private final Map<String, Table> tables;
    private final CqlSession session;
    private final byte[] acknowledged;
    private Table table;
    private JsonNode partition;
    private Iterator<Row> rows;
    private long found;
    private long foundThoughNotAcknowledged;
    private long missingNotAcknowledged;
    private long values;
    private long partitions;

    private Verify(CqlSession session, byte[] acknowledged) {
        this.session = session;
        this.acknowledged = acknowledged;
        // The readings are stored newest first, and read backwards.
        this.tables = Map.of(
                "readings", new Table(new String[] {"sensor", "day"}, "at",
                        session.prepare("SELECT * FROM dataset.readings WHERE sensor = ? AND day = ? ORDER BY at ASC")),
                "events", new Table(new String[] {"stream"}, "id",
                        session.prepare("SELECT * FROM dataset.events WHERE stream = ?")));
    }

    public static void main(String[] arguments) throws IOException {
        DriverConfigLoader config = DriverConfigLoader.programmaticBuilder()
                .withDuration(DefaultDriverOption.REQUEST_TIMEOUT, Duration.ofSeconds(60))
                .build();
        try (CqlSession session = CqlSession.builder()
                .addContactPoint(new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1])))
                .withLocalDatacenter("datacenter1")
                .withConfigLoader(config)
                .build()) {
            new Verify(session, Files.readAllBytes(Path.of(arguments[2]))).run();
        } catch (Mismatch mismatch) {
            System.err.println("not as written: " + mismatch.getMessage());
            System.exit(1);
        }
    }

    private void run() throws IOException {
        ObjectReader json = new ObjectMapper().reader();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 20);
        long start = System.nanoTime();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            JsonNode written = json.readTree(line);
            open(written);
            compare(written);
        }
        close();
        long scanned = scan("readings", "at") + scan("events", "id");
        require(scanned == found, "a scan of the tables finds %d rows, reads by partition find %d", scanned, found);
        System.out.printf(
                "%d rows in %d partitions as written, %d values compared, in %.1f s; of rows not acknowledged %d are there, %d are not%n",
                found, partitions, values, (System.nanoTime() - start) / 1e9, foundThoughNotAcknowledged, missingNotAcknowledged);
    }

    /** Goes on to the partition of a row, unless it is the one being read. */
    private void open(JsonNode written) {
        Table next = tables.get(written.get("table").asText());
        JsonNode row = written.get("row");
        if (next == table && sameKey(row)) {
            return;
        }
        close();
        table = next;
        partition = row;
        partitions++;
        BoundStatement read = table.select.bind().setPageSize(PAGE_ROWS);
        for (int i = 0; i < table.partitionKey.length; i++) {
            Object key = Values.expected(row.get(table.partitionKey[i]), table.select.getVariableDefinitions().get(i).getType());
            read = Values.bind(read, i, key);
        }
        rows = new Lookahead(session.execute(read).iterator());
    }

    private boolean sameKey(JsonNode row) {
        for (String column : table.partitionKey) {
            if (!row.get(column).equals(partition.get(column))) {
                return false;
            }
        }
        return true;
    }

    /** Nothing may be left of a partition when all rows that were written to it have been seen. */
    private void close() {
        if (rows != null && rows.hasNext()) {
            throw new Mismatch("a row nobody wrote: " + rows.next().getFormattedContents());
        }
    }

    private void compare(JsonNode written) {
        int number = written.get("number").asInt();
        JsonNode expected = written.get("row");
        Row row = ((Lookahead) rows).peek();
        boolean present = row != null
                && row.getObject(table.clustering)
                        .equals(Values.expected(expected.get(table.clustering), row.getType(table.clustering)));
        if (!present) {
            require(acknowledged[number] == 0, "row %d was acknowledged and is not there: %s", number, expected);
            missingNotAcknowledged++;
            return;
        }
        rows.next();
        found++;
        foundThoughNotAcknowledged += 1 - acknowledged[number];
        for (int i = 0; i < row.getColumnDefinitions().size(); i++) {
            ColumnDefinition column = row.getColumnDefinitions().get(i);
            Object wanted = Values.expected(expected.get(column.getName().asInternal()), column.getType());
            Object read = row.isNull(i) ? null : row.getObject(i);
            require(Values.same(wanted, read), "row %d, column %s: read %s, written %s", number, column.getName(), read, wanted);
            values++;
        }
    }

    private long scan(String name, String column) {
        long count = 0;
        for (Row row : session.execute(session.prepare("SELECT " + column + " FROM dataset." + name).bind().setPageSize(5 * PAGE_ROWS))) {
            require(!row.isNull(0), "a scan of %s gives a row without a key", name);
            count++;
        }
        return count;
    }

    private static void require(boolean holds, String what, Object... details) {
        if (!holds) {
            throw new Mismatch(String.format(what, details));
        }
    }

    /** What was read is not what was written. */
    private static final class Mismatch extends RuntimeException {
        Mismatch(String what) {
            super(what);
        }
    }

    /** The rows of a partition, the next of which can be looked at. */
    private static final class Lookahead implements Iterator<Row> {
        private final Iterator<Row> rows;
        private Row next;

        Lookahead(Iterator<Row> rows) {
            this.rows = rows;
        }

        /** The next row, or null at the end. */
        Row peek() {
            if (next == null && rows.hasNext()) {
                next = rows.next();
            }
            return next;
        }

        @Override
        public boolean hasNext() {
            return peek() != null;
        }

        @Override
        public Row next() {
            Row row = peek();
            next = null;
            return row;
        }
    }
}
