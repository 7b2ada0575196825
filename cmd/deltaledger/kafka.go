package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deltaledger/api/kafka"
)

// kafkaCluster says which brokers to speak to, and how.
type kafkaCluster struct {
	Brokers      []string `env:"DELTALEDGER_KAFKA_BROKERS" placeholder:"HOST:PORT,…" help:"Some of the cluster's brokers."`
	SASL         string   `env:"DELTALEDGER_KAFKA_SASL" placeholder:"MECHANISM" help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; without it there is no user."`
	User         string   `env:"DELTALEDGER_KAFKA_USER" placeholder:"NAME" help:"User for SASL; the password comes from DELTALEDGER_KAFKA_PASSWORD or a file."`
	PasswordFile string   `env:"DELTALEDGER_KAFKA_PASSWORD_FILE" placeholder:"FILE" help:"File that holds the password and nothing else."`
	TLS          bool     `env:"DELTALEDGER_KAFKA_TLS" help:"Speak TLS."`
	TLSCA        string   `name:"tls-ca" env:"DELTALEDGER_KAFKA_TLS_CA" placeholder:"FILE" help:"PEM certificates that sign the brokers'; without it the system's."`
	TLSCert      string   `name:"tls-cert" env:"DELTALEDGER_KAFKA_TLS_CERT" placeholder:"FILE" help:"PEM certificate of this client."`
	TLSKey       string   `name:"tls-key" env:"DELTALEDGER_KAFKA_TLS_KEY" placeholder:"FILE" help:"PEM key of that certificate."`
	TLSName      string   `name:"tls-name" env:"DELTALEDGER_KAFKA_TLS_NAME" placeholder:"NAME" help:"Name that the brokers' certificates must have; without it their host's."`
}

func (c kafkaCluster) security() (kafka.Security, error) {
	s := kafka.Security{
		Mechanism: c.SASL, User: c.User, Password: os.Getenv("DELTALEDGER_KAFKA_PASSWORD"),
		TLS: c.TLS, CAFile: c.TLSCA, CertFile: c.TLSCert, KeyFile: c.TLSKey, ServerName: c.TLSName,
	}
	if c.PasswordFile != "" {
		text, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return s, fmt.Errorf("read the password for Kafka: %w", err)
		}
		s.Password = strings.TrimRight(string(text), "\r\n")
	}
	return s, usage(s.Check())
}

// groupFlag names the consumers that share the work.
type groupFlag struct {
	Group string `env:"DELTALEDGER_KAFKA_GROUP" default:"deltaledger" placeholder:"NAME" help:"Consumer group, and the name under which the ledger keeps its offsets (${default})."`
}

// kafkaReading says what is read from Kafka, for consume and serve alike.
type kafkaReading struct {
	kafkaCluster
	groupFlag
	messageFormat
	Topics      []string      `env:"DELTALEDGER_KAFKA_TOPICS" placeholder:"TOPIC,…" help:"Topics to record."`
	Start       string        `env:"DELTALEDGER_KAFKA_START" default:"oldest" placeholder:"PLACE" help:"Where partitions begin that were never read: oldest or newest (${default})."`
	MaxLag      int64         `env:"DELTALEDGER_KAFKA_MAX_LAG" placeholder:"N" help:"Be unready while a partition is more messages behind than this; without it any number may be."`
	BatchEvents int           `env:"DELTALEDGER_KAFKA_BATCH_EVENTS" placeholder:"N" help:"Events in one transaction at most; without it 10000."`
	BatchWait   time.Duration `env:"DELTALEDGER_KAFKA_BATCH_WAIT" default:"50ms" placeholder:"DURATION" help:"How long a message waits for others before it is recorded (${default})."`
	Buffer      int           `env:"DELTALEDGER_KAFKA_BUFFER" default:"128" placeholder:"MIB" help:"Mebibytes of messages in memory at most (${default})."`
	Writers     int           `env:"DELTALEDGER_KAFKA_WRITERS" default:"3" placeholder:"N" help:"Transactions at a time (${default})."`
}

// consumer makes the consumer that the flags describe. registry gets its metrics.
func (c kafkaReading) consumer(s *session, a *app, registry prometheus.Registerer) (*kafka.Consumer, error) {
	security, err := c.security()
	if err != nil {
		return nil, err
	}
	if security.Mechanism == "PLAIN" && !security.TLS {
		s.log.Warn("the password for Kafka goes over the network as it is: switch TLS on, or use SCRAM-SHA-512")
	}
	return kafka.New(a.ledger, kafka.Config{
		Brokers: trimmed(c.Brokers), Security: security, Group: c.Group, Topics: trimmed(c.Topics), NewDecode: c.decoders, Start: kafka.Start(c.Start),
		MaxEvents: c.BatchEvents, MaxWait: c.BatchWait, Buffer: c.Buffer << 20, Writers: c.Writers, MaxLag: c.MaxLag,
		Log: s.log, Registry: registry,
	})
}

// decoders makes the decoder of the topics.
func (c kafkaReading) decoders(measures func(name string) bool) (kafka.Decode, error) {
	d, err := c.decoder(measures)
	if err != nil {
		return nil, err
	}
	return kafka.By(d), nil
}

// trimmed are the names of a list without what surrounds them.
func trimmed(list []string) []string {
	all := make([]string, 0, len(list))
	for _, name := range list {
		all = append(all, strings.TrimSpace(name))
	}
	return slices.Clip(all)
}
