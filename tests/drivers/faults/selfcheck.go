package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/anishathalye/porcupine"
)

// The judges must be able to find something: here are histories that are wrong.

func did(call, end int64, asked question, told answer) porcupine.Operation {
	return porcupine.Operation{Input: asked, Call: call, Output: told, Return: end}
}

func selfCheck() error {
	created := did(0, 1, question{action: insert, value: 1}, answer{applied: true})
	swapped := did(2, 3, question{action: update, expected: 1, value: 2}, answer{applied: true})
	// In doubt, begun at 4 and never ended.
	doubt := did(4, math.MaxInt64, question{action: update, expected: 2, value: 3}, answer{unknown: true})
	reads := func(call int64, value int) porcupine.Operation {
		return did(call, call+1, question{action: read}, answer{value: value})
	}
	histories := []struct {
		name       string
		isPossible bool
		history    []porcupine.Operation
	}{
		{"one after another", true, []porcupine.Operation{created, swapped, reads(5, 2)}},
		{"an old value is read", false, []porcupine.Operation{created, swapped, reads(5, 1)}},
		{"a row that was inserted is gone", false, []porcupine.Operation{created, swapped, reads(5, 0)}},
		{"two updates of the same value", false, []porcupine.Operation{created, swapped,
			did(2, 3, question{action: update, expected: 1, value: 4}, answer{applied: true})}},
		{"two insertions", false, []porcupine.Operation{created, did(2, 3, question{action: insert, value: 4}, answer{applied: true})}},
		{"refused by a value that was not there", false, []porcupine.Operation{created,
			did(2, 3, question{action: update, expected: 5, value: 4}, answer{value: 9})}},
		{"what is in doubt was done late", true, []porcupine.Operation{created, swapped, doubt, reads(5, 2), reads(7, 3)}},
		{"what is in doubt was never done", true, []porcupine.Operation{created, swapped, doubt, reads(5, 2), reads(7, 2)}},
		{"what is in doubt was done and undone", false, []porcupine.Operation{created, swapped, doubt, reads(5, 3), reads(7, 2)}},
		{"what is in doubt was replaced by another one", true, []porcupine.Operation{created, swapped, doubt,
			did(5, 6, question{action: update, expected: 2, value: 4}, answer{applied: true}), reads(7, 4)}},
		{"what is in doubt was done beside another one", false, []porcupine.Operation{created, swapped, doubt,
			did(5, 6, question{action: update, expected: 2, value: 4}, answer{applied: true}), reads(7, 3)}},
	}
	for _, is := range histories {
		if err := check(is.history, ""); (err == nil) != is.isPossible {
			return fmt.Errorf("a history is judged wrongly: %s: %v", is.name, err)
		}
	}
	for _, is := range []struct {
		known   promise
		version int
		allowed bool
	}{
		{promise{3, 3}, 3, true}, {promise{3, 3}, 2, false}, {promise{3, 3}, 0, false}, {promise{3, 4}, 4, true},
		{promise{3, 4}, 5, false}, {promise{0, 1}, 0, true}, {promise{7, 7}, 0, true}, {promise{7, 7}, 6, false},
		{promise{6, 7}, 0, true}, {promise{8, 8}, 0, false},
	} {
		if is.known.allows(is.version) != is.allowed {
			return fmt.Errorf("a row is judged wrongly: %+v", is)
		}
	}
	return dropped()
}

// dropped makes a result in which one acknowledged row is lacking, and looks for it as at the end of a run.
func dropped() error {
	acknowledged := map[int]promise{1: {1, 1}, 2: {2, 2}, 3: {7, 7}}
	result, found := map[int]int{1: 1, 2: 2}, 0
	delete(result, 2)
	for key, known := range acknowledged {
		if !known.allows(result[key]) {
			found++
		}
	}
	if found != 1 {
		return errors.New("an acknowledged row that is lacking is not noticed")
	}
	return nil
}
