package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long anything may take that has to come to its end.
const patience = 90 * time.Second

// What clients are connected by to each node, apart from what drivers listen to events with.
const (
	sessions             = 2
	connectionsOfSession = 2
)

// The nodes: processes of BINARY. A node's number is that of its host, from 1.
type nodes struct {
	binary, directory string
	network           *network
	processes         map[int]*process
	// Those that have joined and not left.
	members []int
}

type process struct {
	command *exec.Cmd
	exited  chan struct{}
}

func (n *nodes) address(node int) string { return n.network.address(node) }

func (n *nodes) addresses() []string {
	found := []string{}
	for _, node := range n.members {
		found = append(found, n.address(node))
	}
	return found
}

func (n *nodes) log(node int) string { return filepath.Join(n.directory, fmt.Sprintf("%d.log", node)) }

// start starts a node's process and does not wait for it.
func (n *nodes) start(node int) error {
	seeds := n.addresses()
	if len(seeds) == 0 {
		seeds = []string{n.address(1)}
	}
	address := n.address(node)
	log, err := os.OpenFile(n.log(node), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	arguments := []string{"start", "--data", n.data(node), "--listen", address, "--admin-listen", address,
		"--seeds", strings.Join(seeds, ","), "--cores", "1", "--memtable-bytes", "4194304"}
	if n.network != nil {
		arguments = append(arguments, "--allow-plain-internode", "--allow-anonymous", "--allow-remote-administration")
	}
	started := &process{command: exec.Command(n.binary, arguments...), exited: make(chan struct{})}
	started.command.Dir = n.directory
	started.command.Stdout, started.command.Stderr = log, log
	// The thread of a host lives as long as this program. Without hosts any thread may end before.
	if n.network != nil {
		started.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	if err := n.network.run(node, started.command.Start); err != nil {
		return err
	}
	n.processes[node] = started
	go func() {
		_ = started.command.Wait()
		close(started.exited)
	}()
	return nil
}

func (n *nodes) data(node int) string { return filepath.Join(n.directory, fmt.Sprint(node)) }

// serves waits until clients can connect to a node.
func (n *nodes) serves(node int) error {
	return until(fmt.Sprintf("node %d serves", node), func() bool {
		select {
		case <-n.processes[node].exited:
			return false
		default:
		}
		connection, err := net.DialTimeout("tcp", n.address(node)+":9042", time.Second)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
}

func (n *nodes) signal(node int, signal syscall.Signal) error {
	return n.processes[node].command.Process.Signal(signal)
}

// kill ends a node as a crash does.
func (n *nodes) kill(node int) error {
	if err := n.signal(node, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-n.processes[node].exited
	return nil
}

// stop ends a node cleanly.
func (n *nodes) stop(node int) error {
	if err := n.signal(node, syscall.SIGTERM); err != nil {
		return fmt.Errorf("node %d: %w", node, err)
	}
	select {
	case <-n.processes[node].exited:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("node %d does not stop", node)
	}
}

func (n *nodes) nodetool(node int, arguments ...string) (string, error) {
	arguments = append([]string{"nodetool", "-h", n.address(node)}, arguments...)
	var out, complaint bytes.Buffer
	command := exec.Command(n.binary, arguments...)
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%v: %w: %s%s", arguments, err, out.String(), complaint.String())
	}
	return out.String(), nil
}

// agreed waits until each member sees exactly the members, all of them up.
func (n *nodes) agreed() error {
	return until("all nodes see each other", func() bool {
		for _, node := range n.members {
			status, err := n.nodetool(node, "status")
			if err != nil || strings.Count(status, "\nUN  ") != len(n.members) || strings.Contains(status, "\nDN  ") {
				return false
			}
		}
		return true
	})
}

// metric reads a number from what a node says of itself.
func (n *nodes) metric(node int, name string) (int, error) {
	answer, err := http.Get(fmt.Sprintf("http://%s:7199/metrics", n.address(node)))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if number, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.Atoi(number)
		}
	}
	return 0, fmt.Errorf("node %d has no metric %s", node, name)
}

// connected waits until clients have come back to each member: until then none may be taken away in good order.
func (n *nodes) connected() error {
	return until("clients are connected to all nodes", func() bool {
		for _, node := range n.members {
			if count, err := n.metric(node, "dodona_connections"); err != nil || count < sessions*connectionsOfSession {
				return false
			}
		}
		return true
	})
}

// join adds a node that has nothing.
func (n *nodes) join(node int) error {
	if err := errors.Join(os.RemoveAll(n.data(node)), n.start(node)); err != nil {
		return err
	}
	if err := n.serves(node); err != nil {
		return err
	}
	n.members = append(n.members, node)
	return n.agreed()
}

// leave takes a node out and ends its process.
func (n *nodes) leave(node int) error {
	if _, err := n.nodetool(node, "decommission"); err != nil {
		return err
	}
	n.members = slices.DeleteFunc(n.members, func(member int) bool { return member == node })
	return errors.Join(n.agreed(), n.stop(node))
}

// tails shows what the nodes said last.
func (n *nodes) tails() {
	logs, _ := filepath.Glob(filepath.Join(n.directory, "*.log"))
	for _, log := range logs {
		content, _ := os.ReadFile(log)
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		fmt.Printf("%s:\n%s\n", filepath.Base(log), strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}

// panics finds lines of the logs that tell of a panic.
func (n *nodes) panics() []string {
	found := []string{}
	logs, _ := filepath.Glob(filepath.Join(n.directory, "*.log"))
	for _, log := range logs {
		content, _ := os.ReadFile(log)
		for line := range strings.Lines(string(content)) {
			if strings.Contains(line, "panicked") {
				found = append(found, filepath.Base(log)+": "+strings.TrimSpace(line))
			}
		}
	}
	return found
}

func until(what string, isSo func() bool) error {
	deadline := time.Now().Add(patience)
	for !isSo() {
		if time.Now().After(deadline) {
			return fmt.Errorf("not after %v: %s", patience, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}
