// Writes the rows of `dodona dataset rows`, read from standard input, through the Go driver and keeps
// a record of those that were acknowledged. Can kill the node when a number of rows is acknowledged,
// while other writes are under way. Rows acknowledged in an earlier run are left out.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

var (
	host    = flag.String("host", "127.0.0.1", "address of the node")
	port    = flag.Int("port", 9042, "its native port")
	version = flag.Int("protocol", 5, "version of the native protocol")
	total   = flag.Int("rows", 0, "how many rows standard input holds")
	record  = flag.String("acknowledged", "", "file with a byte for each row: 1 if its write was acknowledged")
	workers = flag.Int("workers", 64, "writes under way at once")
	victim  = flag.Int("kill", 0, "process to kill with SIGKILL")
	after   = flag.Int64("after", 0, "acknowledged rows, earlier runs included, at which to kill it")
)

// A row as the generator prints it.
type line struct {
	Number int
	Table  string
	Row    map[string]json.RawMessage
}

// The writers and what they share. A writer touches only the bytes of its own rows.
type load struct {
	session      *gocql.Session
	acknowledged []byte
	count        atomic.Int64
	killed       atomic.Bool
	failed       atomic.Int64
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	cluster := gocql.NewCluster(*host)
	cluster.Port = *port
	cluster.ProtoVersion = *version
	cluster.Consistency = gocql.One
	cluster.NumConns = 4
	cluster.Timeout = 30 * time.Second
	session, err := cluster.CreateSession()
	check(err)
	l := &load{session: session, acknowledged: earlier()}
	for _, acknowledged := range l.acknowledged {
		l.count.Add(int64(acknowledged))
	}
	resumed, start := l.count.Load(), time.Now()

	lines := make(chan []byte, 4*(*workers))
	var writers sync.WaitGroup
	for range *workers {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for text := range lines {
				l.write(text)
			}
		}()
	}
	l.read(os.Stdin, lines)
	close(lines)
	writers.Wait()

	check(os.WriteFile(*record, l.acknowledged, 0o644))
	seconds := time.Since(start).Seconds()
	written := l.count.Load() - resumed
	fmt.Printf("%d rows acknowledged in %.1f s, %.0f a second; %d in all; %d not acknowledged when the node was killed\n",
		written, seconds, float64(written)/seconds, l.count.Load(), l.failed.Load())
	if *victim != 0 && !l.killed.Load() {
		log.Fatalf("the node was not killed: fewer than %d rows were acknowledged", *after)
	}
	if *victim == 0 && l.count.Load() != int64(*total) {
		log.Fatalf("%d rows of %d are acknowledged", l.count.Load(), *total)
	}
}

// What an earlier run acknowledged, if there was one.
func earlier() []byte {
	acknowledged, err := os.ReadFile(*record)
	if os.IsNotExist(err) {
		return make([]byte, *total)
	}
	check(err)
	if len(acknowledged) != *total {
		log.Fatalf("%s is of a run with %d rows", *record, len(acknowledged))
	}
	return acknowledged
}

// Hands on the lines until the input ends or the node is gone.
func (l *load) read(input io.Reader, lines chan<- []byte) {
	reader := bufio.NewReaderSize(input, 1<<20)
	for !l.killed.Load() {
		text, err := reader.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		check(err)
		lines <- text
	}
}

func (l *load) write(text []byte) {
	if l.killed.Load() {
		return
	}
	var row line
	check(json.Unmarshal(text, &row))
	if l.acknowledged[row.Number] == 1 {
		return
	}
	insert, values := statement(row)
	if err := l.session.Query(insert, values...).Exec(); err != nil {
		if !l.killed.Load() {
			log.Fatalf("row %d of %s: %v", row.Number, row.Table, err)
		}
		l.failed.Add(1)
		return
	}
	l.acknowledged[row.Number] = 1
	if l.count.Add(1) == *after && *victim != 0 {
		l.killed.Store(true)
		check(syscall.Kill(*victim, syscall.SIGKILL))
	}
}

// The statement that writes a row, and its values. Every column is in it, set or not, but for tuples: the
// driver binds the elements of a tuple one by one, and so can neither leave it alone nor set it to null.
func statement(row line) (string, []any) {
	var names, marks []string
	var values []any
	for _, column := range tables[row.Table] {
		value, isSet := row.Row[column.name]
		if column.tuple != nil && !isSet {
			continue
		}
		names = append(names, column.name)
		mark := "?"
		switch {
		case column.tuple != nil && isNull(value):
			mark = "null"
		case column.tuple != nil:
			elements := column.tuple(value)
			mark = "(" + strings.Join(slices.Repeat([]string{"?"}, len(elements)), ", ") + ")"
			values = append(values, elements...)
		case !isSet:
			values = append(values, gocql.UnsetValue)
		case isNull(value):
			values = append(values, null)
		default:
			values = append(values, column.convert(value))
		}
		marks = append(marks, mark)
	}
	return fmt.Sprintf("INSERT INTO dataset.%s (%s) VALUES (%s)", row.Table, strings.Join(names, ", "), strings.Join(marks, ", ")), values
}

func isNull(value json.RawMessage) bool {
	return string(value) == "null"
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
