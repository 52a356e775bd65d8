package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// What happens at the moment, and how requests at QUORUM fare meanwhile.
type phases struct {
	mutex sync.Mutex
	now   *phase
	all   map[string]*phase
	// Of the last answer, and of the last error, in any phase.
	lastAnswer, lastError time.Time
}

type phase struct {
	name string
	// Events that an operator causes in good order may give no error.
	planned bool
	// A node that is cut off tells clients that the others are down, and this driver believes it.
	misleading        bool
	times, operations int
	errors            map[string]int
	// Errors after which the driver tried again.
	retried        map[string]int
	seconds        float64
	began          time.Time
	longestSilence time.Duration
}

func newPhases() *phases {
	p := &phases{all: map[string]*phase{}, lastAnswer: time.Now()}
	p.enter("nothing", true, false)
	return p
}

// enter begins a phase.
func (p *phases) enter(name string, planned, misleading bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.now != nil {
		p.now.seconds += time.Since(p.now.began).Seconds()
	}
	found := p.all[name]
	if found == nil {
		found = &phase{name: name, planned: planned, misleading: misleading, errors: map[string]int{}, retried: map[string]int{}}
		p.all[name] = found
	}
	found.times++
	found.began = time.Now()
	p.now = found
}

// note does a request and counts what became of it. One that was under way during a fault counts as the fault's.
func (p *phases) note(request func() error) error {
	p.mutex.Lock()
	before := p.now
	p.mutex.Unlock()
	err := request()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	during := p.now
	if during.planned && !before.planned {
		during = before
	}
	during.operations++
	if err != nil {
		during.errors[kindOf(err)]++
		p.lastError = time.Now()
		return err
	}
	during.longestSilence = max(during.longestSilence, time.Since(p.lastAnswer))
	p.lastAnswer = time.Now()
	return nil
}

// calm waits until there was no error for some time.
func (p *phases) calm() error {
	return until("requests succeed again", func() bool {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		return time.Since(p.lastError) > quiet && time.Since(p.lastAnswer) < quiet
	})
}

// report prints a table and returns what must not be.
func (p *phases) report() []string {
	wrong := []string{}
	fmt.Printf("%-34s %5s %7s %9s %9s  %s\n", "while", "times", "seconds", "requests", "silence", "errors | retried by the driver")
	for _, name := range slices.Sorted(maps.Keys(p.all)) {
		found := p.all[name]
		failed := 0
		for _, count := range found.errors {
			failed += count
		}
		fmt.Printf("%-34s %5d %7.1f %9d %6d ms  %s | %s\n", name, found.times, found.seconds, found.operations,
			found.longestSilence.Milliseconds(), list(found.errors), list(found.retried))
		if found.planned && failed > 0 {
			wrong = append(wrong, fmt.Sprintf("%d errors while: %s", failed, name))
		}
		if found.planned && found.retried["server error"] > 0 {
			wrong = append(wrong, fmt.Sprintf("%d server errors, though the driver tried elsewhere, while: %s", found.retried["server error"], name))
		}
		if name == everything {
			continue
		}
		if found.misleading {
			failed -= found.errors["unavailable"]
		}
		// Each error has made its client wait, at least for the time that writes may take.
		if explained := rowClients * (int(found.seconds/2) + found.times); failed > explained {
			wrong = append(wrong, fmt.Sprintf("%d errors, of which time-outs explain %d, while: %s", failed, explained, name))
		}
		if found.longestSilence > longestSilence {
			wrong = append(wrong, fmt.Sprintf("no request succeeded for %v while: %s", found.longestSilence, name))
		}
	}
	return wrong
}

func list(counts map[string]int) string {
	kinds := []string{}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(kinds, ", ")
}

// kindOf names an error, without what differs from one to the next.
func kindOf(err error) string {
	var told gocql.RequestError
	switch {
	case errors.As(err, &told):
		names := map[int]string{0: "server error", 0x1000: "unavailable", 0x1001: "overloaded", 0x1002: "bootstrapping",
			0x1100: "write timeout", 0x1200: "read timeout", 0x1300: "read failure", 0x1500: "write failure", 0x1700: "unknown outcome"}
		if name, ok := names[told.Code()]; ok {
			return name
		}
		return fmt.Sprintf("error 0x%04x", told.Code())
	case errors.Is(err, gocql.ErrTimeoutNoResponse):
		return "no answer"
	case errors.Is(err, gocql.ErrNoConnections):
		return "no connection"
	default:
		return "connection lost"
	}
}

// The retry policy that the drivers of DataStax and Apache (Java, Python, Node.js) have by default; gocql's is not to
// retry at all. It is asked for idempotent requests alone.
type driversDefault struct{ phases *phases }

func (driversDefault) Attempt(request gocql.RetryableQuery) bool { return request.Attempts() <= 3 }

func (d driversDefault) GetRetryType(err error) gocql.RetryType {
	decided := decide(err)
	if decided != gocql.Rethrow && d.phases != nil {
		d.phases.mutex.Lock()
		defer d.phases.mutex.Unlock()
		d.phases.now.retried[kindOf(err)]++
	}
	return decided
}

func decide(err error) gocql.RetryType {
	var told gocql.RequestError
	if !errors.As(err, &told) {
		if errors.Is(err, gocql.ErrTimeoutNoResponse) {
			return gocql.Rethrow
		}
		return gocql.RetryNextHost
	}
	var timeout *gocql.RequestErrReadTimeout
	if errors.As(err, &timeout) && timeout.Received >= timeout.BlockFor && timeout.DataPresent == 0 {
		return gocql.Retry
	}
	switch told.Code() {
	case 0, 0x1000, 0x1001, 0x1002: // Server error, unavailable, overloaded, bootstrapping.
		return gocql.RetryNextHost
	}
	return gocql.Rethrow
}
