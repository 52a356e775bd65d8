package main

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// The network: each node in a namespace of its own with one device (TUN), and this program as the switch
// between them. It needs no firewall and no netem, only namespaces and /dev/net/tun, and can drop, delay and lose
// what one host sends to another one, one way as well. Where it may not be made, nodes have addresses of loopback, and
// there are no faults of the network.

// The host of the clients, in the namespace that this program runs in.
const clients = 0

// What happens to packets from one host to another one.
type rule struct {
	cut           bool
	delay, jitter time.Duration
	lossPercent   int
}

type packet struct {
	due   time.Time
	bytes []byte
}

type network struct {
	hosts []*host
	// By sender and receiver; nil is a network without faults.
	rules [][]atomic.Pointer[rule]
	links [][]chan packet
	// Packets that were dropped, so that a run can show that its partitions were there.
	dropped atomic.Int64
}

// A namespace, and the thread that lives in it: processes that it starts do so as well.
type host struct {
	device *os.File
	work   chan func()
}

// address of the host with this number, 0 for that of the clients.
func (n *network) address(number int) string {
	if n == nil {
		return fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%250, 1+os.Getpid()/250%250, number)
	}
	return fmt.Sprintf("10.177.0.%d", number+1)
}

// run does something in the host's namespace.
func (n *network) run(number int, work func() error) error {
	if n == nil {
		return work()
	}
	done := make(chan error)
	n.hosts[number].work <- func() { done <- work() }
	return <-done
}

// Starts this program once more, in new namespaces, as its own process if that is possible. What it returns is the
// network, or why there is none; in the first process it does not return if there is one.
func enterNetwork(hosts int) (*network, error) {
	const inside = "DODONA_FAULTS_INSIDE"
	if os.Getenv(inside) != "" {
		return newNetwork(hosts)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	flags, attributes := uintptr(syscall.CLONE_NEWNET), syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		flags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	attributes.Cloneflags = flags
	start := func(more ...string) error {
		command := exec.Command("/proc/self/exe", os.Args[1:]...)
		command.Env = append(append(os.Environ(), inside+"=yes"), more...)
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		copied := attributes
		command.SysProcAttr = &copied
		return command.Run()
	}
	if err := start("DODONA_FAULTS_PROBE=yes"); err != nil {
		return nil, err
	}
	if err := start(); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
	panic("not reached")
}

func newNetwork(hosts int) (*network, error) {
	n := &network{}
	for number := range hosts {
		made, err := newHost(number, n.address(number))
		if err != nil {
			return nil, err
		}
		n.hosts = append(n.hosts, made)
		n.rules = append(n.rules, make([]atomic.Pointer[rule], hosts))
		n.links = append(n.links, make([]chan packet, hosts))
	}
	for from := range hosts {
		for to := range hosts {
			n.links[from][to] = make(chan packet, 4096)
			go n.carry(n.links[from][to], to)
		}
		go n.read(from)
	}
	return n, nil
}

func newHost(number int, address string) (*host, error) {
	h, done := &host{work: make(chan func())}, make(chan error)
	go func() {
		// Never unlocked: a thread that has left its namespace is of no use to others.
		runtime.LockOSThread()
		err := error(nil)
		if number != clients {
			err = syscall.Unshare(syscall.CLONE_NEWNET)
		}
		if err == nil {
			h.device, err = openDevice(address)
		}
		done <- err
		for work := range h.work {
			work()
		}
	}()
	return h, <-done
}

// openDevice makes the calling thread's namespace ready and returns its side of the switch.
func openDevice(address string) (*os.File, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	// struct ifreq: a name of 16 bytes, then IFF_TUN | IFF_NO_PI.
	request := [40]byte{'d', 'o', 'd', 'o', 'n', 'a'}
	*(*uint16)(unsafe.Pointer(&request[16])) = 0x1001
	const tunSetIff = 0x400454ca
	if _, _, code := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), tunSetIff, uintptr(unsafe.Pointer(&request))); code != 0 {
		return nil, fmt.Errorf("TUNSETIFF: %w", code)
	}
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", address + "/24", "dev", "dodona"},
		{"link", "set", "dodona", "mtu", "16000", "txqueuelen", "4000", "up"},
	} {
		if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ip %v: %w %s", arguments, err, out)
		}
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}

// read takes what a host sends and passes it on, or does not.
func (n *network) read(from int) {
	buffer := make([]byte, 1<<16)
	for {
		length, err := n.hosts[from].device.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		// IPv4 alone; the last byte of the receiver's address is its number and one.
		if err != nil || length < 20 || buffer[0]>>4 != 4 {
			continue
		}
		to := int(buffer[19]) - 1
		if to < 0 || to >= len(n.hosts) {
			continue
		}
		sent := packet{due: time.Now(), bytes: append([]byte(nil), buffer[:length]...)}
		if is := n.rules[from][to].Load(); is != nil {
			if is.cut || rand.Intn(100) < is.lossPercent {
				n.dropped.Add(1)
				continue
			}
			sent.due = sent.due.Add(is.delay)
			if is.jitter > 0 {
				sent.due = sent.due.Add(time.Duration(rand.Int63n(int64(is.jitter))))
			}
		}
		select {
		case n.links[from][to] <- sent:
		default: // The queue is full, as that of a device may be.
			n.dropped.Add(1)
		}
	}
}

// carry delivers what one host sent to another one, in the order in which it was sent.
func (n *network) carry(link chan packet, to int) {
	for sent := range link {
		if wait := time.Until(sent.due); wait > 0 {
			time.Sleep(wait)
		}
		// What cannot be delivered is lost.
		_, _ = n.hosts[to].device.Write(sent.bytes)
	}
}

// set makes a rule for what goes from some hosts to others.
func (n *network) set(from, to []int, is rule) {
	for _, sender := range from {
		for _, receiver := range to {
			if sender != receiver {
				n.rules[sender][receiver].Store(&is)
			}
		}
	}
}

func (n *network) heal() {
	if n == nil {
		return
	}
	for _, row := range n.rules {
		for to := range row {
			row[to].Store(nil)
		}
	}
}
