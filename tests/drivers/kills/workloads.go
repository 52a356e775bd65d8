package main

import (
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

const (
	keyspace    = "kills"
	smallTables = 40
	// Rows of a small table, of a large partition and of one with deletions, for each writer.
	smallRows, largeRows, goneRows = 20, 700, 40
	largePartitions                = 2
	gonePartitions                 = 6
	// Bytes of a value of a large partition at most; others have few.
	largeBytes = 3000
	// Seconds until rows of the workload with deletions go by themselves, at most.
	longestTTL = 4
)

// What writers do.
type workload int

const (
	// Rows of many small tables, written and deleted.
	small workload = iota
	// Rows of two partitions that grow large.
	large
	// Rows, ranges and partitions that are deleted, and rows that expire; their tombstones may be purged at once.
	gone
)

var workloads = []workload{small, large, gone}

// A client, which writes rows of its own, one write after another.
type writer struct {
	told
	kind    workload
	number  int
	random  *rand.Rand
	version int64
}

func newWriter(kind workload, number int, seed int64) *writer {
	return &writer{told: told{rows: map[row]state{}}, kind: kind, number: number, random: rand.New(rand.NewSource(seed))}
}

func define(session *gocql.Session) error {
	statements := []string{
		"CREATE KEYSPACE kills WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
		"CREATE TABLE kills.large (p int, c int, a text, b text, PRIMARY KEY (p, c))",
		"CREATE TABLE kills.gone (p int, c int, a text, b text, PRIMARY KEY (p, c)) WITH gc_grace_seconds = 0",
	}
	for table := range smallTables {
		statements = append(statements, fmt.Sprintf("CREATE TABLE kills.small_%d (p int PRIMARY KEY, a text, b text)", table))
	}
	for _, statement := range statements {
		if err := session.Query(statement).Exec(); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// write writes until the node is killed. What is under way then stays pending.
func (w *writer) write(session *gocql.Session, killed *atomic.Bool) error {
	for {
		change, execute := w.next(session)
		began := time.Now()
		w.pending = change
		err := execute()
		change.executedBetween(began, time.Now())
		switch {
		case err == nil:
			w.acknowledge(change)
		case killed.Load():
			return nil
		default:
			return fmt.Errorf("a write of %v to %v: %w", change.to, change.rows, err)
		}
	}
}

// next chooses a write, and how to execute it.
func (w *writer) next(session *gocql.Session) (*change, func() error) {
	query := func(text string, values ...any) func() error {
		return func() error { return session.Query(text, values...).Exec() }
	}
	w.version++
	version := w.version*100 + int64(w.kind)*10 + int64(w.number)
	chance := w.random.Intn(100)
	switch w.kind {
	case small:
		table := fmt.Sprintf("small_%d", w.random.Intn(smallTables))
		at := row{table, w.number*smallRows + w.random.Intn(smallRows), 0}
		if chance < 20 {
			return &change{rows: []row{at}}, query("DELETE FROM kills."+table+" WHERE p = ?", at.partition)
		}
		return &change{rows: []row{at}, to: state{version: version}},
			query("INSERT INTO kills."+table+" (p, a, b) VALUES (?, ?, ?)", at.partition, text(version, 0), text(version, 0))
	case large:
		at := row{"large", w.random.Intn(largePartitions), w.number*largeRows + w.random.Intn(largeRows)}
		if chance < 5 {
			return &change{rows: []row{at}}, query("DELETE FROM kills.large WHERE p = ? AND c = ?", at.partition, at.number)
		}
		return &change{rows: []row{at}, to: state{version: version}}, query("INSERT INTO kills.large (p, c, a, b) VALUES (?, ?, ?, ?)",
			at.partition, at.number, text(version, 0), text(version, largeBytes))
	}
	partition := w.number*gonePartitions + w.random.Intn(gonePartitions)
	at := row{"gone", partition, w.random.Intn(goneRows)}
	const insert = "INSERT INTO kills.gone (p, c, a, b) VALUES (?, ?, ?, ?)"
	switch {
	case chance < 35:
		return &change{rows: []row{at}, to: state{version: version}},
			query(insert, partition, at.number, text(version, 0), text(version, 0))
	case chance < 60:
		seconds := 1 + w.random.Intn(longestTTL)
		return &change{rows: []row{at}, to: state{version: version}, ttl: time.Duration(seconds) * time.Second},
			query(insert+fmt.Sprintf(" USING TTL %d", seconds), partition, at.number, text(version, 0), text(version, 0))
	case chance < 75:
		return &change{rows: []row{at}}, query("DELETE FROM kills.gone WHERE p = ? AND c = ?", partition, at.number)
	case chance < 87:
		until := at.number + 1 + w.random.Intn(goneRows/4)
		return &change{rows: rowsOf(partition, at.number, until)},
			query("DELETE FROM kills.gone WHERE p = ? AND c >= ? AND c < ?", partition, at.number, until)
	case chance < 90:
		return &change{rows: rowsOf(partition, 0, goneRows)}, query("DELETE FROM kills.gone WHERE p = ?", partition)
	}
	// Rows of one partition are written as a whole.
	rows := rowsOf(partition, at.number, at.number+3)
	batch := session.Batch(gocql.UnloggedBatch)
	for _, row := range rows {
		batch.Query(insert, partition, row.number, text(version, 0), text(version, 0))
	}
	return &change{rows: rows, to: state{version: version}}, batch.Exec
}

// rowsOf is the rows of a partition with deletions from one number until before another.
func rowsOf(partition, from, until int) []row {
	var rows []row
	for number := from; number < min(until, goneRows); number++ {
		rows = append(rows, row{"gone", partition, number})
	}
	return rows
}

// text is a column's value of a version. Both columns of a row begin with the same number.
func text(version int64, bytes int) string {
	filler := 0
	if bytes > 0 {
		filler = int(version*7919) % bytes
	}
	return fmt.Sprintf("%d/", version) + strings.Repeat("x", filler)
}

// versionOf is the version that a row was written with.
func versionOf(at row, a, b *string) (int64, error) {
	var version int64
	bytes := 0
	if at.table == "large" {
		bytes = largeBytes
	}
	if a == nil || b == nil {
		return 0, fmt.Errorf("half of %v is there", at)
	}
	if _, err := fmt.Sscanf(*a, "%d/", &version); err != nil || *a != text(version, 0) || *b != text(version, bytes) {
		return 0, fmt.Errorf("%v has columns of two versions: %.20q and %.20q", at, *a, *b)
	}
	return version, nil
}

// readAll reads all tables, several at once.
func readAll(session *gocql.Session) (map[row]int64, error) {
	tables := []string{"large", "gone"}
	for table := range smallTables {
		tables = append(tables, fmt.Sprintf("small_%d", table))
	}
	found, failures := make([]map[row]int64, len(tables)), make([]error, len(tables))
	var group sync.WaitGroup
	for i, table := range tables {
		group.Add(1)
		go func() {
			defer group.Done()
			found[i], failures[i] = readTable(session, table)
		}()
	}
	group.Wait()
	all := map[row]int64{}
	for i := range tables {
		if failures[i] != nil {
			return nil, fmt.Errorf("%s: %w", tables[i], failures[i])
		}
		for at, version := range found[i] {
			all[at] = version
		}
	}
	return all, nil
}

func readTable(session *gocql.Session, table string) (map[row]int64, error) {
	isWide := table == "large" || table == "gone"
	columns := "p, a, b"
	if isWide {
		columns = "p, c, a, b"
	}
	found := map[row]int64{}
	rows := session.Query("SELECT " + columns + " FROM kills." + table).PageSize(500).Iter()
	at := row{table: table}
	var a, b *string
	into := []any{&at.partition, &a, &b}
	if isWide {
		into = []any{&at.partition, &at.number, &a, &b}
	}
	for rows.Scan(into...) {
		version, err := versionOf(at, a, b)
		if err != nil {
			return nil, err
		}
		if _, twice := found[at]; twice {
			return nil, fmt.Errorf("%v is there twice", at)
		}
		found[at] = version
	}
	return found, rows.Close()
}

// readSomeByName reads a few rows by their names, and compares them with what the scans gave.
func readSomeByName(session *gocql.Session, found map[row]int64, random *rand.Rand) error {
	left := 30
	for at, version := range found {
		// Others may have expired since.
		if at.table == "gone" || random.Intn(4) == 0 {
			continue
		}
		query := session.Query("SELECT a, b FROM kills."+at.table+" WHERE p = ?", at.partition)
		if at.table == "large" {
			query = session.Query("SELECT a, b FROM kills.large WHERE p = ? AND c = ?", at.partition, at.number)
		}
		var a, b *string
		if err := query.Scan(&a, &b); err != nil {
			return fmt.Errorf("%v by its name: %w", at, err)
		}
		if named, err := versionOf(at, a, b); err != nil || named != version {
			return fmt.Errorf("%v has version %d by its name, and %d in a scan: %w", at, named, version, err)
		}
		if left--; left == 0 {
			return nil
		}
	}
	return nil
}
