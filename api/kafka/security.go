package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"deltaledger/ledger"
)

// Security says how brokers are talked to. The zero value is plain text without a user.
type Security struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no user
	User      string
	Password  string

	TLS      bool
	CAFile   string // PEM certificates that sign the brokers'; empty: the system's
	CertFile string // PEM certificate of this client, with KeyFile; empty: none
	KeyFile  string
	// ServerName is the name that certificates must have; empty: the broker's host.
	ServerName string
}

// Check reports what can't be meant.
func (s Security) Check() error {
	switch {
	case s.Mechanism == "" && s.User != "":
		return ledger.Invalid("sasl", "", "a user needs a mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	case s.Mechanism != "" && s.User == "":
		return ledger.Invalid("user", "", "must be given with a SASL mechanism")
	case !s.TLS && (s.CAFile != "" || s.CertFile != "" || s.KeyFile != "" || s.ServerName != ""):
		return ledger.Invalid("tls", "", "must be switched on if certificates are given")
	case (s.CertFile == "") != (s.KeyFile == ""):
		return ledger.Invalid("tls-cert", s.CertFile, "a certificate and its key must be given together")
	}
	_, err := s.mechanism()
	return err
}

func (s Security) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Mechanism{Username: s.User, Password: s.Password}, nil
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, s.User, s.Password)
	case "SCRAM-SHA-512":
		return scram.Mechanism(scram.SHA512, s.User, s.Password)
	}
	return nil, ledger.Invalid("sasl", s.Mechanism, "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
}

func (s Security) tlsConfig() (*tls.Config, error) {
	if !s.TLS {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.ServerName}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificates that sign the brokers': %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, ledger.Invalid("tls-ca", s.CAFile, "must be a file of PEM certificates")
		}
	}
	if s.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client's certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{certificate}
	}
	return c, nil
}

// clientID is the name under which brokers log this client.
const clientID = "deltaledger"

// dialTimeout bounds a connection with all that comes before its first request.
const dialTimeout = 10 * time.Second

// link makes connections.
type link struct {
	tls  *tls.Config
	sasl sasl.Mechanism
}

func newLink(s Security) (*link, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	mechanism, err := s.mechanism()
	if err != nil {
		return nil, err
	}
	config, err := s.tlsConfig()
	return &link{tls: config, sasl: mechanism}, err
}

// dialer is for the client library's group.
func (l *link) dialer() *kafkago.Dialer {
	return &kafkago.Dialer{ClientID: clientID, Timeout: dialTimeout, TLS: l.tls, SASLMechanism: l.sasl}
}

// client is for requests of the client library's. Close its transport's idle connections.
func (l *link) client(brokers []string) (*kafkago.Client, *kafkago.Transport) {
	t := &kafkago.Transport{ClientID: clientID, DialTimeout: dialTimeout, TLS: l.tls, SASL: l.sasl}
	return &kafkago.Client{Addr: kafkago.TCP(brokers...), Transport: t}, t
}

// dial makes a connection on which this package speaks the protocol itself. The client library logs in on it, and has no
// part in it afterwards.
func (l *link) dial(ctx context.Context, address string) (net.Conn, error) {
	var conn net.Conn
	d := kafkago.Dialer{
		ClientID: clientID, Timeout: dialTimeout, SASLMechanism: l.sasl,
		DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
			plainly := net.Dialer{KeepAlive: 30 * time.Second}
			if l.tls == nil {
				var err error
				conn, err = plainly.DialContext(ctx, network, address)
				return conn, err
			}
			var err error
			conn, err = (&tls.Dialer{NetDialer: &plainly, Config: l.tls}).DialContext(ctx, network, address)
			return conn, err
		},
	}
	if _, err := d.DialContext(ctx, "tcp", address); err != nil {
		return nil, err
	}
	return conn, nil
}
