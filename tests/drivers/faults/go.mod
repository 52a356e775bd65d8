module dodona/tests/drivers/faults

go 1.25

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/apache/cassandra-gocql-driver/v2 v2.0.0
)
