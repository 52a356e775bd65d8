module dodona/tests/drivers

go 1.22

require github.com/apache/cassandra-gocql-driver/v2 v2.0.0
