// Package kafkatest gives tests a real Apache Kafka: one broker for each test process, started by the first test that
// wants it, on loopback and with its data in a temporary folder. It ends with the process, also when that is killed.
//
// It needs Java 17 or newer and Maven, which fetches the broker's jars once into the user's cache (.ci/kafka.sh installs
// both). A test that can't have a broker fails; none is skipped.
package kafkatest
