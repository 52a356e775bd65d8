package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// Conditional operations on a few keys at a time, and their histories, which porcupine explains by one order or does
// not. A key is in use for some seconds, so that no history is longer than can be decided; at the end all are read.

const (
	registerClients = 5
	keysAtOnce      = 3
	keyLifetime     = 4 * time.Second
	// How long porcupine may think about all keys.
	checkTimeout = 5 * time.Minute
)

type action int

const (
	read action = iota
	insert
	update
	remove
)

// What a client asked for. A value of 0 is a row that is not there.
type question struct {
	key      int
	action   action
	expected int
	value    int
}

// What it was told.
type answer struct {
	// Nobody knows whether the operation was done, or will be.
	unknown bool
	applied bool
	// The value that was read, or that stood against the condition.
	value int
}

// One register, as CQL defines the four operations.
var registerModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, operation := range history {
			key := operation.Input.(question).key
			byKey[key] = append(byKey[key], operation)
		}
		return slices.Collect(maps.Values(byKey))
	},
	Init: func() any { return 0 },
	Step: func(state, asked, told any) (bool, any) { return step(state.(int), asked.(question), told.(answer)) },
	DescribeOperation: func(asked, told any) string {
		return fmt.Sprintf("%v -> %v", asked, told)
	},
}

func step(state int, asked question, told answer) (bool, int) {
	if asked.action == read {
		return told.unknown || told.value == state, state
	}
	holds := state == asked.expected
	next := state
	if holds {
		next = asked.value
	}
	if told.unknown {
		// Its end is open: one that was never done stands behind everything else.
		return true, next
	}
	if told.applied {
		return holds, next
	}
	return !holds && told.value == state, state
}

type registers struct {
	session *gocql.Session
	began   time.Time
	seed    int64

	mutex   sync.Mutex
	history []porcupine.Operation
	unknown map[string]int
	keys    int
}

// client works until stop is closed.
func (r *registers) client(id int, stop <-chan struct{}) {
	random := rand.New(rand.NewSource(r.seed*1000 + int64(id)))
	seen := map[int]int{}
	for number := 1; ; number++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.Intn(15)) * time.Millisecond):
		}
		key := int(time.Since(r.began)/keyLifetime)*keysAtOnce + random.Intn(keysAtOnce)
		// No value is written twice.
		fresh := number*registerClients + id
		asked := question{key: key, action: update, expected: seen[key], value: fresh}
		switch choice := random.Intn(10); {
		case choice < 3:
			asked = question{key: key, action: read}
		case seen[key] == 0:
			asked.action = insert
		case choice == 9:
			asked.action, asked.value = remove, 0
		}
		told := r.do(id, asked)
		switch {
		case told.unknown:
		case told.applied:
			seen[key] = asked.value
		default:
			seen[key] = told.value
		}
	}
}

// do does an operation and notes it.
func (r *registers) do(id int, asked question) answer {
	call := time.Since(r.began).Nanoseconds()
	told, err := r.execute(asked)
	end := time.Since(r.began).Nanoseconds()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.keys = max(r.keys, asked.key+1)
	if err != nil {
		r.unknown[kindOf(err)]++
		// Without a connection nothing was sent.
		if asked.action == read || errors.Is(err, gocql.ErrNoConnections) {
			return answer{unknown: true}
		}
		told, end = answer{unknown: true}, math.MaxInt64
	}
	r.history = append(r.history, porcupine.Operation{ClientId: id, Input: asked, Call: call, Output: told, Return: end})
	return told
}

func (r *registers) execute(asked question) (answer, error) {
	if asked.action == read {
		value := 0
		err := r.session.Query("SELECT value FROM faults.register WHERE key = ?", asked.key).Consistency(gocql.Serial).Scan(&value)
		if err == gocql.ErrNotFound {
			err = nil
		}
		return answer{value: value}, err
	}
	query := map[action]*gocql.Query{
		insert: r.session.Query("INSERT INTO faults.register (key, value) VALUES (?, ?) IF NOT EXISTS", asked.key, asked.value),
		update: r.session.Query("UPDATE faults.register SET value = ? WHERE key = ? IF value = ?", asked.value, asked.key, asked.expected),
		remove: r.session.Query("DELETE FROM faults.register WHERE key = ? IF value = ?", asked.key, asked.expected),
	}[asked.action]
	row := map[string]any{}
	applied, err := query.SerialConsistency(gocql.Serial).MapScanCAS(row)
	value, _ := row["value"].(int)
	return answer{applied: applied, value: value}, err
}

// readAll reads each key at the end, which shows what has become of it.
func (r *registers) readAll() error {
	for key := range r.keys {
		if err := until("a register is read", func() bool { return !r.do(registerClients, question{key: key, action: read}).unknown }); err != nil {
			return err
		}
	}
	return nil
}

// decidable leaves out operations in doubt that were not done, or have no trace: there may be dozens, and more than can
// be decided. That changes no verdict, because no value is written twice. After a write that nobody has seen and nobody has
// asked for, nothing else could have been done; it stands well behind everything. And what another operation is known
// to have replaced was not replaced by this one.
func decidable(history []porcupine.Operation) []porcupine.Operation {
	type at struct{ key, value int }
	traces, replaced := map[at]bool{}, map[at]bool{}
	for _, operation := range history {
		asked, told := operation.Input.(question), operation.Output.(answer)
		traces[at{asked.key, asked.expected}] = true
		traces[at{asked.key, told.value}] = true
		if told.applied && asked.expected != 0 {
			replaced[at{asked.key, asked.expected}] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(history), func(operation porcupine.Operation) bool {
		asked, told := operation.Input.(question), operation.Output.(answer)
		hasTrace := asked.value == 0 || traces[at{asked.key, asked.value}]
		return told.unknown && (!hasTrace || replaced[at{asked.key, asked.expected}])
	})
}

// check has porcupine look at everything; a history that it cannot explain is drawn into a file, if one is named.
func check(history []porcupine.Operation, drawing string) error {
	result, found := porcupine.CheckOperationsVerbose(registerModel, decidable(history), checkTimeout)
	switch result {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		if drawing != "" {
			_ = porcupine.VisualizePath(registerModel, found, drawing)
		}
		return fmt.Errorf("the history is not linearizable: %s", drawing)
	default:
		return fmt.Errorf("porcupine did not decide within %v", checkTimeout)
	}
}
