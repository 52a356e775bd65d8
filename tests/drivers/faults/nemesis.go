package main

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What happens to the nodes, one event after another, in an order and at moments that the seed decides.

const (
	// How long there may be no error before an event is over.
	quiet = 3 * time.Second
	// How long clients may be without any answer when one node of three or more is out of order.
	longestSilence = 15 * time.Second
	// The event that leaves nobody to answer.
	everything = "all nodes killed"
)

type nemesis struct {
	nodes  *nodes
	phases *phases
	random *rand.Rand
	// The number of a node that is no member.
	spare int
	// Faults may last long enough for a node to be taken for dead.
	long bool
}

type event struct {
	name    string
	planned bool
	// Whether it needs the network of this program.
	network bool
	do      func(*nemesis) error
}

var events = []event{
	{name: "one killed", do: (*nemesis).killOne},
	{name: "one stopped (SIGSTOP)", do: (*nemesis).pauseOne},
	{name: everything, do: (*nemesis).killAll},
	{name: "one cut off", network: true, do: func(n *nemesis) error { return n.links(rule{cut: true}, true, true, true) }},
	{name: "one cut off from nodes", network: true, do: func(n *nemesis) error { return n.links(rule{cut: true}, true, true, false) }},
	{name: "one hears no node", network: true, do: func(n *nemesis) error { return n.links(rule{cut: true}, true, false, false) }},
	{name: "one is heard by no node", network: true, do: func(n *nemesis) error { return n.links(rule{cut: true}, false, true, false) }},
	{name: "two cut off from each other", network: true, do: (*nemesis).cutPair},
	{name: "one slow, 20 to 60 ms", network: true, do: func(n *nemesis) error {
		return n.links(rule{delay: 20 * time.Millisecond, jitter: 40 * time.Millisecond}, true, true, true)
	}},
	{name: "one loses 5 % of packets", network: true, do: func(n *nemesis) error { return n.links(rule{lossPercent: 5}, true, true, true) }},
	{name: "rolling restart", planned: true, do: (*nemesis).rollingRestart},
	{name: "one joins, one leaves", planned: true, do: (*nemesis).exchange},
}

// round has each event happen once, in random order.
func (n *nemesis) round(until time.Time, only func(event) bool) error {
	for _, index := range n.random.Perm(len(events)) {
		event := events[index]
		if event.network && n.nodes.network == nil || !only(event) {
			continue
		}
		if time.Now().After(until) {
			return nil
		}
		time.Sleep(time.Duration(n.random.Intn(1000)) * time.Millisecond)
		began := time.Now()
		n.phases.enter(event.name, event.planned, event.network)
		if err := event.do(n); err != nil {
			return fmt.Errorf("%s: %w", event.name, err)
		}
		happened := time.Since(began)
		if err := errors.Join(n.nodes.agreed(), n.phases.calm(), n.nodes.connected()); err != nil {
			return fmt.Errorf("after: %s: %w", event.name, err)
		}
		fmt.Printf("  %s: %.1f s, and as before %.1f s later\n", event.name, happened.Seconds(), (time.Since(began) - happened).Seconds())
		n.phases.enter("nothing", true, false)
	}
	return nil
}

func (n *nemesis) one() int { return n.nodes.members[n.random.Intn(len(n.nodes.members))] }

// last waits as long as a fault lasts. A node that is silent for 18 s or so is taken for dead.
func (n *nemesis) last() {
	seconds := 3.0
	if n.long {
		seconds = 2 + n.random.Float64()*10
		if n.random.Intn(3) == 0 {
			seconds = 25
		}
	}
	time.Sleep(time.Duration(seconds * float64(time.Second)))
}

func (n *nemesis) killOne() error {
	node := n.one()
	if err := n.nodes.kill(node); err != nil {
		return err
	}
	n.last()
	return errors.Join(n.nodes.start(node), n.nodes.serves(node))
}

func (n *nemesis) killAll() error {
	for _, node := range n.nodes.members {
		if err := n.nodes.kill(node); err != nil {
			return err
		}
	}
	for _, node := range n.nodes.members {
		if err := n.nodes.start(node); err != nil {
			return err
		}
	}
	for _, node := range n.nodes.members {
		if err := n.nodes.serves(node); err != nil {
			return err
		}
	}
	return nil
}

func (n *nemesis) pauseOne() error {
	node := n.one()
	if err := n.nodes.signal(node, syscall.SIGSTOP); err != nil {
		return err
	}
	n.last()
	return n.nodes.signal(node, syscall.SIGCONT)
}

// links makes a rule for what one node receives from, or sends to, the others, and perhaps clients.
func (n *nemesis) links(is rule, receives, sends, withClients bool) error {
	node, others := n.one(), slices.Clone(n.nodes.members)
	if withClients {
		others = append(others, clients)
	}
	if receives {
		n.nodes.network.set(others, []int{node}, is)
	}
	if sends {
		n.nodes.network.set([]int{node}, others, is)
	}
	n.last()
	n.nodes.network.heal()
	return nil
}

func (n *nemesis) cutPair() error {
	chosen := n.random.Perm(len(n.nodes.members))
	one, other := []int{n.nodes.members[chosen[0]]}, []int{n.nodes.members[chosen[1]]}
	n.nodes.network.set(one, other, rule{cut: true})
	n.nodes.network.set(other, one, rule{cut: true})
	n.last()
	n.nodes.network.heal()
	return nil
}

// rollingRestart restarts one node after another, each when the one before is back and clients are as well.
func (n *nemesis) rollingRestart() error {
	for _, node := range slices.Clone(n.nodes.members) {
		if err := errors.Join(n.nodes.stop(node), n.nodes.start(node), n.nodes.serves(node), n.nodes.agreed(), n.nodes.connected()); err != nil {
			return err
		}
	}
	return nil
}

// exchange has the spare node join and then a member leave, which is the next spare one.
func (n *nemesis) exchange() error {
	if err := n.nodes.join(n.spare); err != nil {
		return err
	}
	leaving := n.one()
	n.spare = leaving
	return n.nodes.leave(leaving)
}

// What the short form does, with or without a network.
var short = []string{"one killed", "one stopped (SIGSTOP)", "one cut off from nodes", "one is heard by no node",
	"one slow, 20 to 60 ms", "rolling restart", "one joins, one leaves"}

// work goes on for some seconds, or does what is short once.
func (n *nemesis) work(seconds int) error {
	chosen := func(is event) bool { return strings.Contains(is.name, os.Getenv("DODONA_FAULTS_ONLY")) }
	if !n.long {
		return n.round(time.Now().Add(time.Hour), func(is event) bool { return chosen(is) && slices.Contains(short, is.name) })
	}
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
		if err := n.round(end, chosen); err != nil {
			return err
		}
	}
	return nil
}
