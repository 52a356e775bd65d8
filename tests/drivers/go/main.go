// The Go driver (gocql) against a running node: schema metadata, prepared statements, paging,
// batches and errors. Usage: main HOST PORT [KEYSPACE to describe]
package main

import (
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

const rows = 1000

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func connect(host string, port int, version int, keyspace string) *gocql.Session {
	cluster := gocql.NewCluster(host)
	cluster.Port = port
	cluster.ProtoVersion = version
	cluster.Consistency = gocql.One
	cluster.Timeout = 20 * time.Second
	cluster.Keyspace = keyspace
	session, err := cluster.CreateSession()
	check(err)
	return session
}

func main() {
	host := os.Args[1]
	port, err := strconv.Atoi(os.Args[2])
	check(err)
	if len(os.Args) > 3 {
		describe(host, port, os.Args[3])
		return
	}
	for _, version := range []int{4, 5} {
		run(host, port, version)
		fmt.Printf("go driver, protocol v%d: ok\n", version)
	}
	fmt.Println("2 passed, 0 failed")
}

// describe prints what the driver knows of a keyspace.
func describe(host string, port int, keyspace string) {
	session := connect(host, port, 5, "")
	defer session.Close()
	metadata, err := session.KeyspaceMetadata(keyspace)
	check(err)
	fmt.Println(metadata.Name, metadata.DurableWrites, metadata.StrategyClass, metadata.StrategyOptions)
	for _, name := range sorted(metadata.UserTypes) {
		udt := metadata.UserTypes[name]
		fmt.Println("type", name, udt.FieldNames, len(udt.FieldTypes))
	}
	for _, name := range sorted(metadata.Tables) {
		table := metadata.Tables[name]
		fmt.Println("table", name)
		for _, column := range append(table.PartitionKey, table.ClusteringColumns...) {
			fmt.Println("  key", column.Name)
		}
		for _, name := range sorted(table.Columns) {
			column := table.Columns[name]
			fmt.Println(" ", name, column.ComponentIndex, column.Kind, column.Validator, column.Type.Type(), column.ClusteringOrder, column.Order)
		}
	}
}

func sorted[V any](things map[string]V) []string {
	return slices.Sorted(maps.Keys(things))
}

func run(host string, port, version int) {
	admin := connect(host, port, version, "")
	keyspace := fmt.Sprintf("go_v%d", version)
	check(admin.Query("DROP KEYSPACE IF EXISTS " + keyspace).Exec())
	check(admin.Query("CREATE KEYSPACE " + keyspace + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}").Exec())
	admin.Close()

	session := connect(host, port, version, keyspace)
	defer session.Close()
	check(session.Query("CREATE TABLE wide (bucket text, seq int, id uuid, tags set<text>, props map<text, int>, at timestamp, PRIMARY KEY (bucket, seq))").Exec())
	id := gocql.MustRandomUUID()
	at := time.UnixMilli(1767225600123).UTC()
	for n := 0; n < rows; n++ {
		check(session.Query("INSERT INTO wide (bucket, seq, id, tags, props, at) VALUES (?, ?, ?, ?, ?, ?)",
			"b", n, id, []string{"x", "y"}, map[string]int{"n": n}, at).Exec())
	}
	iterator := session.Query("SELECT seq, id, tags, props, at FROM wide WHERE bucket = ?", "b").PageSize(97).Iter()
	var seq, expected int
	var gotID gocql.UUID
	var tags []string
	var props map[string]int
	var gotAt time.Time
	for iterator.Scan(&seq, &gotID, &tags, &props, &gotAt) {
		if seq != expected || gotID != id || len(tags) != 2 || props["n"] != seq || !gotAt.Equal(at) {
			log.Fatalf("row %d: %d %v %v %v %v", expected, seq, gotID, tags, props, gotAt)
		}
		expected++
	}
	check(iterator.Close())
	if expected != rows {
		log.Fatalf("read %d rows of %d", expected, rows)
	}
	batch := session.Batch(gocql.LoggedBatch)
	batch.Query("INSERT INTO wide (bucket, seq) VALUES (?, ?)", "batch", 1)
	batch.Query("INSERT INTO wide (bucket, seq) VALUES (?, ?)", "batch", 2)
	check(batch.Exec())
	var count int64
	check(session.Query("SELECT count(*) FROM wide WHERE bucket = ?", "batch").Scan(&count))
	if count != 2 {
		log.Fatalf("the batch wrote %d rows", count)
	}
	var applied bool
	var before int
	check(session.Query("CREATE TABLE register (key int PRIMARY KEY, value int)").Exec())
	insert := "INSERT INTO register (key, value) VALUES (?, ?) IF NOT EXISTS"
	applied, err := session.Query(insert, 1, 10).MapScanCAS(map[string]interface{}{})
	check(err)
	existing := map[string]interface{}{}
	again, err := session.Query(insert, 1, 20).MapScanCAS(existing)
	check(err)
	if !applied || again || existing["value"] != 10 {
		log.Fatalf("conditional inserts: %v %v %v", applied, again, existing)
	}
	applied, err = session.Query("UPDATE register SET value = ? WHERE key = ? IF value = ?", 11, 1, 5).ScanCAS(&before)
	check(err)
	if applied || before != 10 {
		log.Fatalf("a conditional update: %v %v", applied, before)
	}
	metadata, err := session.KeyspaceMetadata(keyspace)
	check(err)
	if len(metadata.Tables["wide"].Columns) != 6 {
		log.Fatalf("schema metadata: %v", metadata.Tables)
	}
	if err := session.Query("SELECT * FROM nowhere").Exec(); err == nil {
		log.Fatal("a missing table should be refused")
	}
	check(session.Query("DROP KEYSPACE " + keyspace).Exec())
}
