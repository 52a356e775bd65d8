//! Two hundred thousand range tombstones in one partition: writes and reads stay cheap, and clients are
//! warned of reads that meet many, and refused those that meet too many.
#![expect(clippy::disallowed_types, reason = "the test measures its own time")]

#[path = "common/embedded.rs"]
mod embedded;

use dodona_cluster::{ClusterError, NodeSettings};
use dodona_query::{BoundValue, CqlError, Parameters, Prepared};
use dodona_storage::StorageError;
use dodona_types::CollectedRows;
use embedded::{Client, local};
use std::time::{Duration, Instant};

const RANGES: i32 = 200_000;

/// Rows and warnings.
type Answer = Result<(usize, Vec<String>), CqlError>;

impl Client {
    async fn run(&self, statement: &Prepared, values: &[BoundValue<'_>]) -> Answer {
        let mut rows = CollectedRows::default();
        let parameters = Parameters { values, ..Parameters::new() };
        let outcome = self.processor.execute(&self.session, statement, &parameters, &mut rows).await?;
        Ok((rows.rows.len(), outcome.warnings))
    }

    async fn read(&self, text: &str) -> Answer {
        self.run(&self.statement(text), &[]).await
    }
}

/// Deletes many ranges apart from each other, in whatever order, and gives the times that the first and the
/// last tenth took.
async fn delete(client: &Client) -> (Duration, Duration) {
    let delete = client.statement("DELETE FROM ks.t WHERE p = 0 AND c >= ? AND c < ?");
    let mut tenths = Vec::new();
    let mut began = Instant::now();
    for number in 0..RANGES {
        let start = i32::try_from(i64::from(number) * 7_919 % i64::from(RANGES)).unwrap() * 4;
        let (start, end) = (start.to_be_bytes(), (start + 2).to_be_bytes());
        client.run(&delete, &[BoundValue::Bytes(&start), BoundValue::Bytes(&end)]).await.unwrap();
        if (number + 1) % (RANGES / 10) == 0 {
            tenths.push(began.elapsed());
            began = Instant::now();
        }
    }
    println!("{RANGES} deletions in tenths: {tenths:?}");
    (tenths[0], tenths[9])
}

/// Deletes, in another partition, from the first to the last of them, each time a bit later, but before all others: nothing is
/// replaced, and something changes between all of them.
async fn delete_wide(client: &Client) -> Duration {
    let delete =
        client.statement("DELETE FROM ks.t USING TIMESTAMP ? WHERE p = 1 AND c >= 1000000 AND c < ?");
    let narrow = client.statement("DELETE FROM ks.t WHERE p = 1 AND c >= ? AND c < ?");
    for number in 0..RANGES / 4 {
        let (start, end) = ((1_000_000 + number * 4).to_be_bytes(), (1_000_002 + number * 4).to_be_bytes());
        client.run(&narrow, &[BoundValue::Bytes(&start), BoundValue::Bytes(&end)]).await.unwrap();
    }
    let began = Instant::now();
    let end = 2_000_000_i32.to_be_bytes();
    for timestamp in 1..=2_000_i64 {
        let timestamp = timestamp.to_be_bytes();
        client.run(&delete, &[BoundValue::Bytes(&timestamp), BoundValue::Bytes(&end)]).await.unwrap();
    }
    let each = began.elapsed() / 2_000;
    println!("{each:?} for a deletion over {} others", RANGES / 4);
    each
}

async fn check(client: &Client, when: &str) {
    let began = Instant::now();
    for _ in 0..20 {
        // One row by name, a slice of a few, the first and the last: none walks over all tombstones.
        assert_eq!(client.read("SELECT c FROM ks.t WHERE p = 0 AND c = 400003").await.unwrap().0, 1);
        assert_eq!(
            client.read("SELECT c FROM ks.t WHERE p = 0 AND c > 400000 AND c < 400010").await.unwrap().0,
            1
        );
        assert_eq!(client.read("SELECT c FROM ks.t WHERE p = 0 LIMIT 1").await.unwrap().0, 1);
        assert_eq!(client.read("SELECT c FROM ks.t WHERE p = 0 ORDER BY c DESC LIMIT 1").await.unwrap().0, 1);
    }
    let each = began.elapsed() / 80;
    println!("{when}: {each:?} for a read");
    assert!(each < Duration::from_millis(20), "{when}: {each:?} for a read");
    // A tombstone begins and ends: two markers.
    let (rows, warnings) = client.read("SELECT c FROM ks.t WHERE p = 0 AND c < 400").await.unwrap();
    assert_eq!((rows, warnings.as_slice()), (1, &[][..]));
    let many = "SELECT c FROM ks.t WHERE p = 0 AND c < 4000";
    let (rows, warnings) = client.read(many).await.unwrap();
    let token = dodona_types::Token::of_key(&0_i32.to_be_bytes());
    let warning = format!(
        "Read 1 live rows and 2000 tombstone cells for query {many}; token {token} (see tombstone_warn_threshold)"
    );
    assert_eq!((rows, warnings), (1, vec![warning]), "{when}");
    for too_many in [
        "SELECT count(*) FROM ks.t WHERE p = 0",
        "SELECT c FROM ks.t",
        "SELECT c FROM ks.t WHERE p = 0 ORDER BY c DESC",
    ] {
        let began = Instant::now();
        let error = client.read(too_many).await.unwrap_err();
        assert!(
            matches!(
                error,
                CqlError::Cluster(ClusterError::Storage(StorageError::TooManyTombstones {
                    at_most: 100_000
                }))
            ),
            "{when}, {too_many}: {error}"
        );
        println!("{when}: {too_many} refused after {:?}", began.elapsed());
    }
}

#[test]
fn hundreds_of_thousands_of_range_tombstones_in_a_partition_stay_cheap() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let columns = "p int, c int, v text, PRIMARY KEY (p, c)";
        let client = Client::connect(directory.path(), NodeSettings::default(), columns).await;
        for row in [3, 400_003, 799_999] {
            client.read(&format!("INSERT INTO ks.t (p, c, v) VALUES (0, {row}, 'lives')")).await.unwrap();
        }
        let (first, last) = delete(&client).await;
        assert!(last < first * 5, "{first:?} for the first deletions and {last:?} for the last");
        check(&client, "in memory").await;
        let each = delete_wide(&client).await;
        assert!(each < Duration::from_millis(2), "{each:?} for a deletion over all others");
        let engine = &client.processor.node().engine;
        engine.flush_all().unwrap();
        check(&client, "in a file").await;
        let table = client.processor.node().schema().table("ks", "t").unwrap().id;
        engine.compact_all(table, None).unwrap();
        check(&client, "compacted").await;
        // One deletion over all others takes their place.
        client.read("DELETE FROM ks.t WHERE p = 0 AND c < 2000000").await.unwrap();
        engine.compact_all(table, None).unwrap();
        engine.flush_all().unwrap();
        engine.compact_all(table, None).unwrap();
        assert_eq!(client.read("SELECT c FROM ks.t WHERE p = 0").await.unwrap(), (0, Vec::new()));
    });
}
