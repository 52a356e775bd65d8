// The Node.js driver against a running node: schema metadata, prepared statements, paging,
// batches and errors. Usage: driver_test.js HOST PORT [KEYSPACE to describe]
'use strict';
const assert = require('assert');
const cassandra = require('cassandra-driver');

const [host, port, described] = process.argv.slice(2);
const ROWS = 1000;

async function main() {
  const client = new cassandra.Client({
    contactPoints: [`${host}:${port}`], localDataCenter: 'datacenter1',
  });
  await client.connect();
  await client.execute('DROP KEYSPACE IF EXISTS node_driver');
  await client.execute("CREATE KEYSPACE node_driver WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
  await client.execute('CREATE TYPE node_driver.point (x int, y int)');
  await client.execute('CREATE TABLE node_driver.wide (bucket text, seq int, id uuid, tags set<text>, at timestamp, place frozen<point>, PRIMARY KEY (bucket, seq))');
  const id = cassandra.types.Uuid.random();
  const at = new Date(1767225600123);
  const insert = 'INSERT INTO node_driver.wide (bucket, seq, id, tags, at, place) VALUES (?, ?, ?, ?, ?, ?)';
  const values = Array.from({ length: ROWS }, (_, n) => ['b', n, id, ['x', 'y'], at, { x: n, y: -n - 1 }]);
  await cassandra.concurrent.executeConcurrent(client, insert, values);
  let expected = 0;
  const select = 'SELECT * FROM node_driver.wide WHERE bucket = ?';
  for await (const row of client.stream(select, ['b'], { prepare: true, fetchSize: 97, autoPage: true })) {
    assert.strictEqual(row.seq, expected);
    assert.ok(row.id.equals(id));
    assert.deepStrictEqual(row.tags, ['x', 'y']);
    assert.strictEqual(row.at.getTime(), at.getTime());
    assert.deepStrictEqual({ ...row.place }, { x: expected, y: -expected - 1 });
    expected += 1;
  }
  assert.strictEqual(expected, ROWS);
  await client.batch([1, 2].map((n) => ({ query: 'INSERT INTO node_driver.wide (bucket, seq) VALUES (?, ?)', params: ['batch', n] })), { prepare: true });
  const count = await client.execute("SELECT count(*) FROM node_driver.wide WHERE bucket = 'batch'");
  assert.strictEqual(count.first()['count'].toNumber(), 2);
  const table = await client.metadata.getTable('node_driver', 'wide');
  assert.strictEqual(table.columns.length, 6);
  await assert.rejects(client.execute('SELECT * FROM node_driver.nowhere'), (error) => error.code === 0x2200);
  await client.execute('DROP KEYSPACE node_driver');
  await client.shutdown();
  console.log('node driver: ok');
  console.log('1 passed, 0 failed');
}

// Prints what the driver knows of a keyspace.
async function describe() {
  const client = new cassandra.Client({ contactPoints: [`${host}:${port}`], localDataCenter: 'datacenter1' });
  await client.connect();
  const plain = (_, value) => (value && value.constructor === Object
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value);
  const show = (what, value) => console.log(`${what} ${JSON.stringify(JSON.parse(JSON.stringify(value)), plain, 1)}`);
  show(described, await client.metadata.keyspaces[described]);
  const names = (await client.execute('SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?', [described])).rows;
  for (const { table_name: name } of names) {
    show(name, { ...await client.metadata.getTable(described, name), id: undefined, _parent: undefined });
  }
  const types = (await client.execute('SELECT type_name FROM system_schema.types WHERE keyspace_name = ?', [described])).rows;
  for (const { type_name: name } of types) show(name, await client.metadata.getUdt(described, name));
  await client.shutdown();
}

(described ? describe() : main()).catch((error) => { console.error(error); process.exit(1); });
