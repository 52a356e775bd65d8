// Real nodes, real processes, faults: clients write, read and swap while nodes are killed, stopped, cut off from each
// other, slowed down, restarted, added and taken away. Nothing acknowledged may be lost, conditional operations have to be
// explained by one order, and what operators do in good order may give no error. Usage: main BINARY
//
//	DODONA_FAULTS_SECONDS  how long faults go on; without it each of some faults happens once, with 3 nodes
//	DODONA_FAULTS_NODES    how many nodes (3)
//	DODONA_FAULTS_SEED     decides what happens when, and what clients do
//	DODONA_FAULTS_ONLY     a part of the name of what alone happens
package main

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

func main() {
	seed := number("DODONA_FAULTS_SEED", int(time.Now().UnixNano()%1_000_000))
	seconds, count := number("DODONA_FAULTS_SECONDS", 0), number("DODONA_FAULTS_NODES", 3)
	network, err := enterNetwork(count + 2)
	if os.Getenv("DODONA_FAULTS_PROBE") != "" {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if err != nil {
		fmt.Printf("no network of namespaces, and so no faults of the network: %v\n", err)
	}
	if err := selfCheck(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("faults, judges find what is wrong: ok")
	fmt.Printf("%d nodes, DODONA_FAULTS_SEED=%d\n", count, seed)
	if wrong := run(network, count, seconds, int64(seed)); len(wrong) > 0 {
		fmt.Printf("FAILED with DODONA_FAULTS_SEED=%d:\n  %s\n", seed, strings.Join(wrong[:min(len(wrong), 20)], "\n  "))
		os.Exit(1)
	}
	fmt.Println("1 passed, 0 failed")
}

func number(variable string, otherwise int) int {
	value := os.Getenv(variable)
	if value == "" {
		return otherwise
	}
	parsed, err := strconv.Atoi(value)
	if err != nil {
		fmt.Printf("%s: %v\n", variable, err)
		os.Exit(1)
	}
	return parsed
}

// run returns what is wrong.
func run(network *network, count, seconds int, seed int64) (wrong []string) {
	directory, err := os.MkdirTemp("", "dodona-faults")
	if err != nil {
		return []string{err.Error()}
	}
	binary, _ := filepath.Abs(os.Args[1])
	n := &nodes{binary: binary, directory: directory, network: network, processes: map[int]*process{}}
	defer func() {
		for node := range n.processes {
			_ = n.kill(node)
		}
		if len(wrong) > 0 {
			n.tails()
			fmt.Printf("the nodes' directories are kept: %s\n", directory)
			return
		}
		os.RemoveAll(directory)
	}()
	if err := begin(n, count); err != nil {
		return []string{err.Error()}
	}
	if err := tokenAwareness(n); err != nil {
		return []string{err.Error()}
	}
	return underFaults(n, seconds, seed)
}

// begin starts the nodes.
func begin(n *nodes, count int) error {
	for node := 1; node <= count; node++ {
		if err := n.join(node); err != nil {
			return err
		}
	}
	return nil
}

func connect(n *nodes, policy gocql.HostSelectionPolicy, phases *phases) (*gocql.Session, error) {
	cluster := gocql.NewCluster(n.addresses()...)
	cluster.Timeout, cluster.ConnectTimeout = 5*time.Second, 5*time.Second
	// Soon, so that a node that is back is asked at once.
	cluster.ReconnectInterval = time.Second
	cluster.Consistency = gocql.Quorum
	cluster.NumConns = connectionsOfSession
	cluster.PoolConfig.HostSelectionPolicy = policy
	cluster.RetryPolicy = driversDefault{phases}
	return cluster.CreateSession()
}

func define(session *gocql.Session, keyspace string, replicas int, tables ...string) error {
	statements := []string{fmt.Sprintf("CREATE KEYSPACE %s WITH replication = {'class': 'SimpleStrategy', 'replication_factor': %d}", keyspace, replicas)}
	for _, table := range tables {
		statements = append(statements, "CREATE TABLE "+keyspace+"."+table)
	}
	for _, statement := range statements {
		if err := session.Query(statement).Exec(); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func underFaults(n *nodes, seconds int, seed int64) []string {
	phases := newPhases()
	aware, err := connect(n, gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy()), phases)
	if err != nil {
		return []string{err.Error()}
	}
	defer aware.Close()
	// Conditional operations of a key have different coordinators.
	byTurns, err := connect(n, gocql.RoundRobinHostPolicy(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	defer byTurns.Close()
	if err := define(aware, "faults", 3, "rows (key int PRIMARY KEY, version int, filler text)", "register (key int PRIMARY KEY, value int)"); err != nil {
		return []string{err.Error()}
	}
	r := &rows{session: aware, phases: phases, seed: seed, promises: map[int]promise{}}
	c := &registers{session: byTurns, began: time.Now(), seed: seed, unknown: map[string]int{}}
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for id := range rowClients {
		workers.Go(func() { r.client(id, stop) })
	}
	for id := range registerClients {
		workers.Go(func() { c.client(id, stop) })
	}
	attack := &nemesis{nodes: n, phases: r.phases, random: rand.New(rand.NewSource(seed)), spare: len(n.members) + 1, long: seconds > 0}
	wrong := []string{}
	if err := attack.work(seconds); err != nil {
		wrong = append(wrong, err.Error())
	}
	close(stop)
	workers.Wait()
	return append(wrong, judge(n, r, c)...)
}

// judge looks at everything that was read, after all is quiet.
func judge(n *nodes, r *rows, c *registers) []string {
	wrong := r.phases.report()
	r.verify()
	wrong = append(wrong, r.violations...)
	fmt.Printf("rows: %d written, deleted and read, and again at the end; %d of them wrong\n", len(r.promises), len(r.violations))
	if err := c.readAll(); err != nil {
		wrong = append(wrong, err.Error())
	}
	began := time.Now()
	if err := check(c.history, filepath.Join(n.directory, "history.html")); err != nil {
		wrong = append(wrong, err.Error())
	}
	fmt.Printf("conditional operations: %d on %d keys, checked by porcupine in %.2f s; in doubt or not read: %v\n",
		len(c.history), c.keys, time.Since(began).Seconds(), c.unknown)
	if n.network != nil {
		fmt.Printf("packets not delivered: %d\n", n.network.dropped.Load())
	}
	return append(wrong, n.panics()...)
}
