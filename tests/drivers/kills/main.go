// Kills a node with SIGKILL under load, again and again, and compares all of it with what its clients were told after
// each kill: every acknowledged write is there, no deletion is undone, nothing that has expired is back, and what was
// under way is there as a whole or not at all.
//
// Usage: kills [-kills N] [-seed N] [-tamper] BINARY
package main

import (
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"sync"
	"sync/atomic"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

const (
	writersOfEach = 3
	// How long the node is under load before it is killed.
	shortestLoad, longestLoad = 200 * time.Millisecond, 1200 * time.Millisecond
)

// How the commit log acknowledges, in turn.
var modes = []string{"periodic", "batch", "group"}

var (
	kills  = flag.Int("kills", 20, "how often the node is killed")
	seed   = flag.Int64("seed", time.Now().UnixNano(), "of everything that is chosen at random")
	tamper = flag.Bool("tamper", false, "remove the commit log after a kill: the comparison has to fail")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: kills [-kills N] [-seed N] [-tamper] BINARY")
	}
	directory, err := os.MkdirTemp("", "kills")
	check(err)
	fmt.Printf("seed %d\n", *seed)
	test := &test{node: newNode(flag.Arg(0), directory), random: rand.New(rand.NewSource(*seed))}
	for _, kind := range workloads {
		for number := range writersOfEach {
			test.writers = append(test.writers, newWriter(kind, number, test.random.Int63()))
		}
	}
	if err := test.run(); err != nil {
		log.Fatalf("seed %d, behind kill %d: %v\nthe node's data and log: %s", *seed, test.life, err, directory)
	}
	check(os.RemoveAll(directory))
	fmt.Printf("%d kills, %d of them during a compaction that was asked for; %d writes acknowledged, %d rows compared; "+
		"of %d writes that a kill met %d were there\n1 passed, 0 failed\n",
		*kills, test.compactions, test.acknowledged, test.compared, test.met, test.applied)
}

// One run.
type test struct {
	node    *node
	random  *rand.Rand
	writers []*writer
	// Which life of the node it is: as many kills lie behind it.
	life int
	// What is told at the end.
	compactions, acknowledged, compared, met, applied int
}

func (t *test) run() error {
	for ; ; t.life++ {
		if err := t.node.start(modes[t.life%len(modes)]); err != nil {
			return err
		}
		session, err := t.node.connect()
		if err != nil {
			return err
		}
		if t.life == 0 {
			if err := define(session); err != nil {
				return err
			}
		} else if err := t.compare(session); err != nil {
			return err
		}
		if t.life == *kills {
			session.Close()
			return t.node.stop()
		}
		err = t.load(session)
		session.Close()
		if err != nil {
			return err
		}
		if *tamper {
			if err := t.node.loseLog(); err != nil {
				return err
			}
		}
	}
}

// load has all writers write until the node is killed.
func (t *test) load(session *gocql.Session) error {
	var killed atomic.Bool
	var group sync.WaitGroup
	failures := make([]error, len(t.writers))
	for i, writer := range t.writers {
		group.Add(1)
		go func() {
			defer group.Done()
			failures[i] = writer.write(session, &killed)
		}()
	}
	time.Sleep(shortestLoad + time.Duration(t.random.Int63n(int64(longestLoad-shortestLoad))))
	compaction := t.random.Intn(4) == 0
	if compaction {
		t.compactions++
		t.node.compact()
		time.Sleep(time.Duration(t.random.Int63n(int64(100 * time.Millisecond))))
	}
	killed.Store(true)
	if err := t.node.kill(); err != nil {
		return err
	}
	group.Wait()
	for _, failure := range failures {
		if failure != nil {
			return failure
		}
	}
	return nil
}

// compare reads everything, and compares it with what each writer was told.
func (t *test) compare(session *gocql.Session) error {
	began := time.Now()
	found, err := readAll(session)
	if err != nil {
		return err
	}
	ended := time.Now()
	for _, writer := range t.writers {
		if err := writer.compare(found, began, ended); err != nil {
			return err
		}
		t.acknowledged, writer.acknowledged = t.acknowledged+writer.acknowledged, 0
		t.met, writer.met = t.met+writer.met, 0
		t.applied, writer.applied = t.applied+writer.applied, 0
	}
	for row := range found {
		t.compared++
		if !t.isKnown(row) {
			return fmt.Errorf("%v is there, and nobody wrote it", row)
		}
	}
	return readSomeByName(session, found, t.random)
}

func (t *test) isKnown(row row) bool {
	for _, writer := range t.writers {
		if _, known := writer.rows[row]; known {
			return true
		}
	}
	return false
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
