package main

import (
	"fmt"
	"slices"
	"strings"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// Requests of a driver that knows the ring go to replicas: each node counts the prepared statements that it was asked to
// execute (dodona_requests_total), so that after each request it is clear who coordinated it.

const keysToAsk = 40

// executed is how many prepared statements a node was asked to execute so far.
func (n *nodes) executed(node int) (int, error) {
	return n.metric(node, `dodona_requests_total{opcode="EXECUTE"}`)
}

// asked does a request and says which nodes counted it.
func (n *nodes) asked(request func() error) ([]string, error) {
	before := map[int]int{}
	for _, node := range n.members {
		count, err := n.executed(node)
		if err != nil {
			return nil, err
		}
		before[node] = count
	}
	if err := request(); err != nil {
		return nil, err
	}
	found := []string{}
	for _, node := range n.members {
		count, err := n.executed(node)
		if err != nil {
			return nil, err
		}
		for range count - before[node] {
			found = append(found, n.address(node))
		}
	}
	return found, nil
}

// hits writes some keys and counts the requests that went to a replica of their key.
func (n *nodes) hits(session *gocql.Session, keyspace string) (int, error) {
	statement, hits := fmt.Sprintf("INSERT INTO %s.t (k) VALUES (?)", keyspace), 0
	// The first one prepares it and fetches the ring.
	if err := session.Query(statement, -1).Exec(); err != nil {
		return 0, err
	}
	for key := range keysToAsk {
		said, err := n.nodetool(n.members[0], "getendpoints", keyspace, "t", fmt.Sprint(key))
		if err != nil {
			return 0, err
		}
		coordinators := []string{}
		// A driver that reads the schema anew at the same moment is counted as well.
		for tries := 0; len(coordinators) != 1; tries++ {
			coordinators, err = n.asked(func() error { return session.Query(statement, key).Exec() })
			if err != nil {
				return 0, err
			}
			if tries == 10 {
				return 0, fmt.Errorf("one request was counted by %v", coordinators)
			}
		}
		if slices.Contains(strings.Fields(said), coordinators[0]) {
			hits++
		}
	}
	return hits, nil
}

// tokenAwareness demands that all requests hit with the policy that knows tokens, and not with the one that does not.
func tokenAwareness(n *nodes) error {
	aware, err := connect(n, gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy()), nil)
	if err != nil {
		return err
	}
	defer aware.Close()
	blind, err := connect(n, gocql.RoundRobinHostPolicy(), nil)
	if err != nil {
		return err
	}
	defer blind.Close()
	for _, replicas := range []int{1, 2} {
		keyspace := fmt.Sprintf("replicas_%d", replicas)
		if err := define(aware, keyspace, replicas, "t (k int PRIMARY KEY)"); err != nil {
			return err
		}
		knowing, err := n.hits(aware, keyspace)
		if err != nil {
			return err
		}
		guessing, err := n.hits(blind, keyspace)
		if err != nil {
			return err
		}
		fmt.Printf("  RF %d of %d nodes: %d of %d requests were coordinated by a replica; %d by turns\n",
			replicas, len(n.members), knowing, keysToAsk, guessing)
		if knowing != keysToAsk || guessing == keysToAsk {
			return fmt.Errorf("token awareness does not hit replicas")
		}
	}
	return nil
}
