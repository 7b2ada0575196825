package kafkatest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Broker is a running Kafka of one node.
type Broker struct {
	Address string // host:port

	dir      string
	jars     string
	settings string // further lines of its configuration
	port     int    // the controller's is the next one

	mu    sync.Mutex
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// shared is one for each process: it ends with the process, not with a test.
var shared = sync.OnceValues(func() (*Broker, error) { return start("") })

// Shared is the broker that the tests of this process share. None of them may stop it.
func Shared(t testing.TB) *Broker {
	t.Helper()
	b, err := shared()
	if err != nil {
		t.Fatalf("kafkatest: no broker: %v", err)
	}
	return b
}

// Own is a broker of t's own, which it may stop and start. settings are further lines of the broker's configuration.
func Own(t testing.TB, settings ...string) *Broker {
	t.Helper()
	b, err := start(strings.Join(settings, "\n"))
	if err != nil {
		t.Fatalf("kafkatest: no broker: %v", err)
	}
	t.Cleanup(func() {
		b.Kill(t)
		_ = os.RemoveAll(b.dir)
	})
	return b
}

const startTries = 5

func start(settings string) (*Broker, error) {
	jars, err := jars()
	if err != nil {
		return nil, err
	}
	var problems []error
	for range startTries { // a port may be taken between its choice and its use
		b, err := startOnce(jars, settings)
		if err == nil {
			return b, nil
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

// folder is where this package's files are.
func folder() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("the sources can't be found; don't build tests with -trimpath")
	}
	return filepath.Join(filepath.Dir(file), "testdata"), nil
}

// jars is the folder of the broker's jars, which are fetched if they aren't there.
func jars() (string, error) {
	data, err := folder()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", filepath.Join(data, "jars.sh"), filepath.Join(data, "pom.xml"))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("fetch the broker's jars (sh .ci/kafka.sh installs what is needed): %w\n%s", err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func startOnce(jars, settings string) (*Broker, error) {
	port, err := freePorts()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(base(), "deltaledger-kafka-")
	if err != nil {
		return nil, err
	}
	b := &Broker{Address: fmt.Sprintf("127.0.0.1:%d", port), dir: dir, jars: jars, settings: settings, port: port}
	if err := b.format(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := b.run(); err != nil {
		b.end()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return b, nil
}

// base is where data goes: memory where there is enough of it.
func base() string {
	const memory, enough = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) >= enough {
		return memory
	}
	return ""
}

// freePorts finds two neighbouring ports that nobody uses, and gives the first.
func freePorts() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		address, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return 0, errors.Join(fmt.Errorf("%v is no address of TCP", l.Addr()), l.Close())
		}
		port := address.Port
		next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = l.Close()
		if err == nil {
			_ = next.Close()
			return port, nil
		}
	}
	return 0, errors.New("no two neighbouring ports are free")
}

const configuration = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s/log
auto.create.topics.enable=false
delete.topic.enable=true
log.segment.delete.delay.ms=100
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
%[4]s
`

// java are the arguments that every program of Kafka's gets: quick to start, and small.
func (b *Broker) java(main string, args ...string) []string {
	all := []string{
		"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", filepath.Join(b.jars, "*"), main,
	}
	return append(all, args...)
}

func (b *Broker) properties() string { return filepath.Join(b.dir, "server.properties") }

// format makes the broker's storage.
func (b *Broker) format() error {
	text := fmt.Sprintf(configuration, b.port, b.port+1, b.dir, b.settings)
	if err := os.WriteFile(b.properties(), []byte(text), 0o600); err != nil {
		return err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	words := b.java("kafka.tools.StorageTool", "format", "-t", base64.RawURLEncoding.EncodeToString(id), "-c", b.properties())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("format the broker's storage: %w\n%s", err, out)
	}
	return nil
}

// run starts the broker and waits until it answers.
func (b *Broker) run() error {
	data, err := folder()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "broker.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the broker has its own
	cmd := exec.Command("sh", append([]string{filepath.Join(data, "supervise.sh"), b.dir}, b.java("kafka.Kafka", b.properties())...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a signal for the tests is none for it
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.mu.Lock()
	b.cmd, b.stdin = cmd, stdin
	b.mu.Unlock()
	if err := b.await(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w\n%s", err, said[max(0, len(said)-4000):])
	}
	return nil
}

// await waits until the broker serves.
func (b *Broker) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Address))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		brokers, err := kadm.NewClient(client).ListBrokers(try)
		cancel()
		if err == nil && len(brokers) == 1 {
			return nil
		}
		if said, _ := os.ReadFile(filepath.Join(b.dir, "broker.log")); bytes.Contains(said, []byte("Exiting Kafka")) {
			return errors.New("the broker ended")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the broker doesn't serve: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// end kills what runs, and its folder goes with it.
func (b *Broker) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd == nil {
		return
	}
	_ = b.stdin.Close()
	_ = b.cmd.Wait() // its answer is that of a process that was killed
	b.cmd = nil
}

// Kill kills the broker as kill -9 does. Its data stays for Start.
func (b *Broker) Kill(t testing.TB) {
	t.Helper()
	b.signal(t, "KILL")
}

// Stop lets the broker end in order. Its data stays for Start.
func (b *Broker) Stop(t testing.TB) {
	t.Helper()
	b.signal(t, "TERM")
}

func (b *Broker) signal(t testing.TB, name string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd == nil {
		return
	}
	if _, err := io.WriteString(b.stdin, name+"\nKEEP\n"); err != nil {
		t.Fatalf("kafkatest: stop the broker: %v", err)
	}
	if err := b.cmd.Wait(); err != nil {
		t.Fatalf("kafkatest: stop the broker: %v", err)
	}
	b.cmd = nil
}

// Start starts a broker that was killed or stopped, with its data and at its address.
func (b *Broker) Start(t testing.TB) {
	t.Helper()
	if err := b.run(); err != nil {
		t.Fatalf("kafkatest: start the broker again: %v", err)
	}
}
