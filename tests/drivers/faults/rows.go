package main

import (
	"fmt"
	"math/rand"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// Plain writes, deletions and reads at QUORUM. Each row belongs to one client, which writes its versions one after
// another, so that what a read may show is known: a version between the last that was acknowledged, or shown before,
// and the last that was tried.

const (
	rowClients = 6
	// Every so many versions one is a deletion.
	deletionEach = 7
)

// What is known of a row.
type promise struct {
	// The least version that reads must show, and the greatest that they may show.
	acknowledged, tried int
}

func isDeletion(version int) bool { return version%deletionEach == 0 }

// allows says whether a read may show a version, or no row (0).
func (p promise) allows(version int) bool {
	if version != 0 {
		return p.acknowledged <= version && version <= p.tried && !isDeletion(version)
	}
	// Version 0 is the row that was not written yet.
	for possible := p.acknowledged; possible <= p.tried; possible++ {
		if isDeletion(possible) {
			return true
		}
	}
	return false
}

// shown notes what a read at QUORUM has shown: later ones may not go back.
func (p *promise) shown(version int) {
	p.acknowledged = max(p.acknowledged, version)
}

type rows struct {
	session *gocql.Session
	phases  *phases
	seed    int64

	mutex      sync.Mutex
	promises   map[int]promise
	violations []string
}

func (r *rows) client(id int, stop <-chan struct{}) {
	random := rand.New(rand.NewSource(r.seed*1000 + 500 + int64(id)))
	own := map[int]promise{}
	for {
		select {
		case <-stop:
			r.mutex.Lock()
			defer r.mutex.Unlock()
			for key, known := range own {
				r.promises[key] = known
			}
			return
		case <-time.After(time.Duration(random.Intn(15)) * time.Millisecond):
		}
		// Half of the operations write a new row.
		key := id*10_000_000 + len(own)
		if len(own) > 0 && random.Intn(2) == 0 {
			key = id*10_000_000 + random.Intn(len(own))
		}
		known := own[key]
		if known.tried == 0 || random.Intn(2) == 0 {
			r.write(key, &known)
		} else {
			r.read(key, &known)
		}
		own[key] = known
	}
}

func (r *rows) write(key int, known *promise) {
	known.tried++
	query := r.session.Query("INSERT INTO faults.rows (key, version, filler) VALUES (?, ?, ?)", key, known.tried, filler(key))
	if isDeletion(known.tried) {
		query = r.session.Query("DELETE FROM faults.rows WHERE key = ?", key)
	}
	if r.phases.note(func() error { return query.Idempotent(true).Exec() }) == nil {
		known.acknowledged = known.tried
	}
}

func (r *rows) read(key int, known *promise) {
	version, err := 0, error(nil)
	if r.phases.note(func() error { version, err = r.version(key); return err }) != nil {
		return
	}
	if !known.allows(version) {
		r.violate(fmt.Sprintf("row %d: version %d was read, of %+v", key, version, *known))
	}
	known.shown(version)
}

// version reads a row; 0 is none.
func (r *rows) version(key int) (int, error) {
	version, content := 0, ""
	err := r.session.Query("SELECT version, filler FROM faults.rows WHERE key = ?", key).Idempotent(true).Scan(&version, &content)
	if err == gocql.ErrNotFound {
		return 0, nil
	}
	if err == nil && content != filler(key) {
		r.violate(fmt.Sprintf("row %d: its text is %q", key, content))
	}
	return version, err
}

func (r *rows) violate(what string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.violations = append(r.violations, what)
}

func filler(key int) string { return fmt.Sprintf("%0100d", key) }

// verify reads every row once more.
func (r *rows) verify() {
	keys := make(chan int)
	var readers sync.WaitGroup
	for range 16 {
		readers.Go(func() {
			for key := range keys {
				version, err := r.version(key)
				if err != nil {
					r.violate(fmt.Sprintf("row %d cannot be read: %v", key, err))
				} else if known := r.promises[key]; !known.allows(version) {
					r.violate(fmt.Sprintf("row %d at the end: version %d, of %+v", key, version, known))
				}
			}
		})
	}
	for key := range r.promises {
		keys <- key
	}
	close(keys)
	readers.Wait()
}
