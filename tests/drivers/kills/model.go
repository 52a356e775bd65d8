package main

import (
	"fmt"
	"time"
)

// A row, by its table and key.
type row struct {
	table     string
	partition int
	number    int
}

// What a row is: the version that was written last, or none.
type state struct {
	version int64
	// When the row goes by itself, at the earliest and at the latest, if it does.
	goesFrom, goesUntil time.Time
}

func (s state) String() string {
	switch {
	case s.version == 0:
		return "none"
	case s.goesUntil.IsZero():
		return fmt.Sprintf("version %d", s.version)
	default:
		const clock = "15:04:05"
		return fmt.Sprintf("version %d, expired from %s or %s on", s.version, s.goesFrom.Format(clock), s.goesUntil.Format(clock))
	}
}

// A write: what it makes of rows, all of them at once.
type change struct {
	rows []row
	to   state
	// How long rows live, if not for ever.
	ttl time.Duration
}

// executedBetween tells from when to when it was executed: the server counts how long rows live in whole seconds.
func (c *change) executedBetween(began, ended time.Time) {
	if c.ttl > 0 {
		c.to.goesFrom = began.Truncate(time.Second).Add(c.ttl)
		c.to.goesUntil = ended.Truncate(time.Second).Add(c.ttl + 2*time.Second)
	}
}

// What a writer has been told of its rows, which nobody else writes.
type told struct {
	rows map[row]state
	// The write that was under way when the node was killed.
	pending *change

	acknowledged, met, applied int
}

// may is true if a row that was so may be found with a version, or without one (0).
func (s state) may(found int64, began, ended time.Time) bool {
	if found != 0 {
		return found == s.version && (s.goesUntil.IsZero() || began.Before(s.goesUntil))
	}
	return s.version == 0 || (!s.goesFrom.IsZero() && !ended.Before(s.goesFrom))
}

// compare looks whether rows are as they have to be: as the last acknowledged write left them, or as the one that was
// under way would. What is found is what is so from then on.
func (t *told) compare(found map[row]int64, began, ended time.Time) error {
	isPending := map[row]bool{}
	if t.pending != nil {
		t.met++
		var with, without []row
		for _, row := range t.pending.rows {
			isPending[row] = true
			before, after := t.rows[row], t.pending.to
			version := found[row]
			canBefore, canAfter := before.may(version, began, ended), after.may(version, began, ended)
			switch {
			case canAfter && !canBefore:
				with = append(with, row)
			case canBefore && !canAfter:
				without = append(without, row)
			case !canBefore && !canAfter:
				return fmt.Errorf("%v is found with version %d (0: not); it was %v, and a write of %v was under way", row, version, before, after)
			}
			if canAfter {
				t.rows[row] = after
			}
		}
		if len(with) > 0 && len(without) > 0 {
			return fmt.Errorf("half of a write is there: %v, but not %v", with, without)
		}
		if len(with) > 0 {
			t.applied++
		}
		t.pending = nil
	}
	for row, state := range t.rows {
		if !isPending[row] && !state.may(found[row], began, ended) {
			return fmt.Errorf("%v is found with version %d (0: not); what was acknowledged last is %v", row, found[row], state)
		}
	}
	return nil
}

// acknowledge notes that a write was acknowledged.
func (t *told) acknowledge(change *change) {
	for _, row := range change.rows {
		t.rows[row] = change.to
	}
	t.acknowledged++
	t.pending = nil
}
