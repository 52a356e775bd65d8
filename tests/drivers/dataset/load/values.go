package main

import (
	"encoding/hex"
	"encoding/json"
	"log"
	"math/big"
	"net"
	"strconv"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"gopkg.in/inf.v0"
)

// What the driver sends as null for a value of any type; it does not take a plain nil for all of them.
var null = (*string)(nil)

// A converter from the JSON form of a value, never null, to what the driver takes for its type.
type converter func(json.RawMessage) any

// A column, and how to convert its values: a tuple's to its elements.
type column struct {
	name    string
	convert converter
	tuple   func(json.RawMessage) []any
}

func of(name string, convert converter) column { return column{name: name, convert: convert} }

var tables = map[string][]column{
	"readings": {
		of("sensor", uuid), of("day", as[string]), of("at", as[int64]), of("site", as[string]),
		of("position", place), of("firmware", as[string]), of("battery", as[int8]),
		of("energy", decimal), of("fault", as[bool]), of("gateway", inet), of("measured", as[int64]),
		of("notes", as[[]string]), of("pressure", double), {name: "quality", tuple: tuple(as[int32], as[string])},
		of("raw", blob), of("samples", listOf[float32](float)), of("sequence", bigint),
		of("signal", as[int16]), of("status", as[int32]), of("temperature", float),
		of("uptime", duration),
	},
	"events": {
		of("stream", as[string]), of("id", uuid), of("amount", decimal),
		of("attributes", mapOf[string, string](as[string], as[string])),
		{name: "author", tuple: tuple(uuid, as[string], as[int32])}, of("client", inet), of("deadline", as[string]),
		of("kind", as[string]),
		of("nested", mapOf[int32, map[string]float64](as[int32], mapOf[string, float64](as[string], double))),
		of("note", as[string]), of("origin", place), of("payload", blob),
		of("route", listOf[int64](bigint)), of("seen", as[[]int64]), of("serial", varint),
		of("tags", as[[]string]), of("weight", double),
	},
}

// A value whose JSON form Go reads by itself.
func as[T any](raw json.RawMessage) any {
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		log.Fatalf("%s: %v", raw, err)
	}
	return value
}

func text(raw json.RawMessage) string {
	return as[string](raw).(string)
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func uuid(raw json.RawMessage) any   { return must(gocql.ParseUUID(text(raw))) }
func blob(raw json.RawMessage) any   { return must(hex.DecodeString(text(raw))) }
func bigint(raw json.RawMessage) any { return must(strconv.ParseInt(text(raw), 10, 64)) }
func double(raw json.RawMessage) any { return must(strconv.ParseFloat(text(raw), 64)) }
func float(raw json.RawMessage) any  { return float32(must(strconv.ParseFloat(text(raw), 32))) }

func inet(raw json.RawMessage) any {
	address := net.ParseIP(text(raw))
	if four := address.To4(); four != nil {
		return four
	}
	return address
}

func varint(raw json.RawMessage) any {
	value, ok := new(big.Int).SetString(text(raw), 10)
	if !ok {
		log.Fatalf("%s is no varint", raw)
	}
	return value
}

func decimal(raw json.RawMessage) any {
	value := as[struct {
		Unscaled json.RawMessage
		Scale    int32
	}](raw).(struct {
		Unscaled json.RawMessage
		Scale    int32
	})
	return inf.NewDecBig(varint(value.Unscaled).(*big.Int), inf.Scale(value.Scale))
}

func duration(raw json.RawMessage) any {
	parts := as[map[string]json.RawMessage](raw).(map[string]json.RawMessage)
	return gocql.Duration{
		Months:      as[int32](parts["months"]).(int32),
		Days:        as[int32](parts["days"]).(int32),
		Nanoseconds: bigint(parts["nanos"]).(int64),
	}
}

func place(raw json.RawMessage) any {
	fields := as[map[string]json.RawMessage](raw).(map[string]json.RawMessage)
	return map[string]any{
		"latitude":  orNull(double, fields["latitude"]),
		"longitude": orNull(double, fields["longitude"]),
		"altitude":  orNull(float, fields["altitude"]),
		"label":     text(fields["label"]),
	}
}

func orNull(convert converter, raw json.RawMessage) any {
	if isNull(raw) {
		return null
	}
	return convert(raw)
}

func tuple(elements ...converter) func(json.RawMessage) []any {
	return func(raw json.RawMessage) []any {
		values := make([]any, len(elements))
		for i, element := range as[[]json.RawMessage](raw).([]json.RawMessage) {
			values[i] = orNull(elements[i], element)
		}
		return values
	}
}

func listOf[T any](element converter) converter {
	return func(raw json.RawMessage) any {
		values := []T{}
		for _, value := range as[[]json.RawMessage](raw).([]json.RawMessage) {
			values = append(values, element(value).(T))
		}
		return values
	}
}

func mapOf[K comparable, V any](key, value converter) converter {
	return func(raw json.RawMessage) any {
		values := map[K]V{}
		for _, pair := range as[[][2]json.RawMessage](raw).([][2]json.RawMessage) {
			values[key(pair[0]).(K)] = value(pair[1]).(V)
		}
		return values
	}
}
