import com.datastax.oss.driver.api.core.CqlIdentifier;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.data.CqlDuration;
import com.datastax.oss.driver.api.core.data.CqlVector;
import com.datastax.oss.driver.api.core.data.TupleValue;
import com.datastax.oss.driver.api.core.data.UdtValue;
import com.datastax.oss.driver.api.core.type.DataType;
import com.datastax.oss.driver.api.core.type.DataTypes;
import com.datastax.oss.driver.api.core.type.ListType;
import com.datastax.oss.driver.api.core.type.MapType;
import com.datastax.oss.driver.api.core.type.SetType;
import com.datastax.oss.driver.api.core.type.TupleType;
import com.datastax.oss.driver.api.core.type.UserDefinedType;
import com.datastax.oss.driver.api.core.type.VectorType;
import com.datastax.oss.driver.api.core.type.codec.registry.CodecRegistry;
import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;

/** The generator's JSON forms as the driver's objects, and whether two of these are the same value. */
final class Values {
    private Values() {}

    /** The object that the driver should give for a value of this type; null for null and for a column left alone. */
    static Object expected(JsonNode json, DataType type) {
        if (json == null || json.isNull()) {
            return null;
        }
        if (type instanceof ListType list) {
            return elements(json, list.getElementType());
        }
        if (type instanceof VectorType vector) {
            return CqlVector.newInstance(elements(json, vector.getElementType()).stream().map(Float.class::cast).toList());
        }
        if (type instanceof SetType set) {
            return new HashSet<>(elements(json, set.getElementType()));
        }
        if (type instanceof MapType map) {
            Map<Object, Object> entries = new HashMap<>();
            json.forEach(pair -> entries.put(expected(pair.get(0), map.getKeyType()), expected(pair.get(1), map.getValueType())));
            return entries;
        }
        if (type instanceof TupleType tuple) {
            List<Object> fields = new ArrayList<>();
            for (int i = 0; i < tuple.getComponentTypes().size(); i++) {
                fields.add(expected(json.get(i), tuple.getComponentTypes().get(i)));
            }
            return fields;
        }
        if (type instanceof UserDefinedType user) {
            List<Object> fields = new ArrayList<>();
            for (int i = 0; i < user.getFieldTypes().size(); i++) {
                CqlIdentifier name = user.getFieldNames().get(i);
                fields.add(expected(json.get(name.asInternal()), user.getFieldTypes().get(i)));
            }
            return fields;
        }
        return scalar(json, type);
    }

    private static List<Object> elements(JsonNode json, DataType type) {
        List<Object> elements = new ArrayList<>();
        json.forEach(element -> elements.add(expected(element, type)));
        return elements;
    }

    private static Object scalar(JsonNode json, DataType type) {
        if (type.equals(DataTypes.ASCII) || type.equals(DataTypes.TEXT)) return json.asText();
        if (type.equals(DataTypes.BIGINT)) return Long.parseLong(json.asText());
        if (type.equals(DataTypes.BLOB)) return ByteBuffer.wrap(HexFormat.of().parseHex(json.asText()));
        if (type.equals(DataTypes.BOOLEAN)) return json.asBoolean();
        if (type.equals(DataTypes.DATE)) return LocalDate.parse(json.asText());
        if (type.equals(DataTypes.DECIMAL)) {
            return new BigDecimal(new BigInteger(json.get("unscaled").asText()), json.get("scale").asInt());
        }
        if (type.equals(DataTypes.DOUBLE)) return Double.parseDouble(json.asText());
        if (type.equals(DataTypes.DURATION)) {
            return CqlDuration.newInstance(
                    json.get("months").asInt(), json.get("days").asInt(), Long.parseLong(json.get("nanos").asText()));
        }
        if (type.equals(DataTypes.FLOAT)) return Float.parseFloat(json.asText());
        if (type.equals(DataTypes.INET)) return address(json.asText());
        if (type.equals(DataTypes.INT)) return json.asInt();
        if (type.equals(DataTypes.SMALLINT)) return (short) json.asInt();
        if (type.equals(DataTypes.TIME)) return LocalTime.ofNanoOfDay(json.asLong());
        if (type.equals(DataTypes.TIMESTAMP)) return Instant.ofEpochMilli(json.asLong());
        if (type.equals(DataTypes.TINYINT)) return (byte) json.asInt();
        if (type.equals(DataTypes.UUID) || type.equals(DataTypes.TIMEUUID)) return UUID.fromString(json.asText());
        if (type.equals(DataTypes.VARINT)) return new BigInteger(json.asText());
        throw new IllegalArgumentException("no comparison for the type " + type);
    }

    private static InetAddress address(String text) {
        try {
            return InetAddress.getByName(text);
        } catch (UnknownHostException error) {
            throw new IllegalArgumentException(text, error);
        }
    }

    /** Whether a value that was read is the expected one. Tuples and user-defined types are compared field by field. */
    static boolean same(Object expected, Object read) {
        if (read instanceof TupleValue tuple) {
            return expected instanceof List<?> fields && sameFields(fields, tuple.size(), i -> tuple.isNull(i) ? null : tuple.getObject(i));
        }
        if (read instanceof UdtValue user) {
            return expected instanceof List<?> fields && sameFields(fields, user.size(), i -> user.isNull(i) ? null : user.getObject(i));
        }
        // Sets and maps are equal whatever their classes; elements here are never tuples.
        if (read instanceof Set<?> || read instanceof Map<?, ?>) {
            return read.equals(expected);
        }
        return Objects.equals(expected, read);
    }

    private static boolean sameFields(List<?> expected, int size, java.util.function.IntFunction<Object> field) {
        if (expected.size() != size) {
            return false;
        }
        for (int i = 0; i < size; i++) {
            if (!same(expected.get(i), field.apply(i))) {
                return false;
            }
        }
        return true;
    }

    /** Sets a variable of a statement to an object of its type. */
    static BoundStatement bind(BoundStatement statement, int at, Object value) {
        return statement.set(at, value, CodecRegistry.DEFAULT.codecFor(statement.getType(at), value));
    }
}
