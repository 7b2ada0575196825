package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

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

// trimmed are the names of a list without what surrounds them.
func trimmed(list []string) []string {
	all := make([]string, 0, len(list))
	for _, name := range list {
		all = append(all, strings.TrimSpace(name))
	}
	return slices.Clip(all)
}
