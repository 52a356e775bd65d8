package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// How long a start, a stop or an answer may take.
const patience = 30 * time.Second

// The node that is killed.
type node struct {
	binary, directory string
	port, admin       int
	process           *exec.Cmd
	exited            chan struct{}
}

func newNode(binary, directory string) *node {
	return &node{binary: binary, directory: directory, port: freePort(), admin: freePort()}
}

func freePort() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// start starts it with small memtables, and waits until it serves clients.
func (n *node) start(mode string) error {
	config := filepath.Join(n.directory, "dodona.toml")
	settings := fmt.Sprintf("commit_log_sync = %q\nmemtable_bytes = 4194304\n", mode)
	if err := os.WriteFile(config, []byte(settings), 0o644); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(n.directory, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(n.binary, "start", "--config", config, "--data", n.data(), "--listen", "127.0.0.1",
		"--port", fmt.Sprint(n.port), "--admin-port", fmt.Sprint(n.admin))
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	n.process, n.exited = process, exited
	go func() {
		_ = process.Wait()
		close(exited)
	}()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(5 * time.Millisecond) {
		select {
		case <-exited:
			return fmt.Errorf("the node has ended: %v", process.ProcessState)
		default:
		}
		if connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", n.port), time.Second); err == nil {
			return connection.Close()
		}
	}
	return fmt.Errorf("the node does not serve clients after %v", patience)
}

func (n *node) data() string { return filepath.Join(n.directory, "data") }

func (n *node) connect() (*gocql.Session, error) {
	cluster := gocql.NewCluster("127.0.0.1")
	cluster.Port = n.port
	cluster.Consistency = gocql.One
	cluster.Timeout, cluster.ConnectTimeout = patience, patience
	cluster.DisableInitialHostLookup = true
	cluster.ReconnectInterval = 0
	cluster.Logger = gocql.NewLogger(gocql.LogLevelNone)
	return cluster.CreateSession()
}

// kill ends it at once.
func (n *node) kill() error {
	if err := n.process.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-n.exited
	if status, ok := n.process.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the node had ended before it was killed: %v", n.process.ProcessState)
	}
	return nil
}

// stop ends it cleanly.
func (n *node) stop() error {
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-n.exited:
	case <-time.After(patience):
		return fmt.Errorf("the node does not stop")
	}
	if !n.process.ProcessState.Success() {
		return fmt.Errorf("the node has not stopped cleanly: %v", n.process.ProcessState)
	}
	return nil
}

// compact asks for a flush and a compaction of everything, and does not wait for them.
func (n *node) compact() {
	command := exec.Command(n.binary, "nodetool", "-p", fmt.Sprint(n.admin), "compact", keyspace)
	if err := command.Start(); err == nil {
		go func() { _ = command.Wait() }()
	}
}

// loseLog removes the commit log, as no kill does.
func (n *node) loseLog() error {
	logs, err := filepath.Glob(filepath.Join(n.data(), "commitlog", "*.log"))
	for _, log := range logs {
		err = errors.Join(err, os.Remove(log))
	}
	return err
}
