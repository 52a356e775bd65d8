//! What the nodes did for a traced statement, laid out as cqlsh does.

use super::client::{Client, ClientError, Page};
use dodona_protocol::ColumnSpec;
use dodona_protocol::request::QueryParameters;
use dodona_types::{Consistency, CqlType};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a trace may take to be written, and how often it is looked for meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
/// UUIDs of time count from 1582 on, in steps of 100 ns.
const UUID_EPOCH_MILLIS: i64 = 12_219_292_800_000;

type Cell = Option<Vec<u8>>;

/// A trace as rows, the oldest first; none if it is not there in time.
///
/// # Errors
/// The node does not answer, or refuses.
pub(super) fn of_session(client: &mut Client, id: Uuid) -> Result<Option<Page>, ClientError> {
    let session = format!(
        "SELECT request, started_at, coordinator, client, duration FROM system_traces.sessions WHERE session_id = {id}"
    );
    let asked_at = Instant::now();
    let found = loop {
        let row = rows(client, &session)?.into_iter().next();
        if let Some(row) = row.filter(|row| row.last().is_some_and(Option::is_some)) {
            break row;
        }
        if asked_at.elapsed() >= PATIENCE {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    };
    let events = format!(
        "SELECT activity, event_id, source, source_elapsed FROM system_traces.events WHERE session_id = {id}"
    );
    Ok(Some(page_of(&found, &rows(client, &events)?)))
}

fn rows(client: &mut Client, text: &str) -> Result<Vec<Vec<Cell>>, ClientError> {
    let answer = client.query(text, QueryParameters::new(Consistency::One), false)?;
    Ok(answer.page.map(|page| page.rows).unwrap_or_default())
}

/// The rows of a session (request, started_at, coordinator, client, duration) and its events (activity, event_id, source,
/// source_elapsed).
fn page_of(session: &[Cell], events: &[Vec<Cell>]) -> Page {
    let column = |name: &str, cql_type| ColumnSpec {
        keyspace: "system_traces".into(),
        table: "events".into(),
        name: name.into(),
        cql_type,
    };
    let columns = vec![
        column("activity", CqlType::Text),
        column("timestamp", CqlType::Timestamp),
        column("source", CqlType::Inet),
        column("source_elapsed", CqlType::Int),
        column("client", CqlType::Inet),
    ];
    let cell = |row: &[Cell], place: usize| row.get(place).cloned().flatten();
    let (began, coordinator, client) = (cell(session, 1), cell(session, 2), cell(session, 3));
    let row = |activity: Vec<u8>, at: Cell, source: Cell, elapsed: Cell| {
        vec![Some(activity), at, source, elapsed, client.clone()]
    };
    let request = cell(session, 0).unwrap_or_default();
    let micros = cell(session, 4);
    let number = |bytes: &Cell| bytes.as_deref().and_then(|bytes| bytes.first_chunk()).copied();
    let ended = number(&began).map(|began| {
        let micros = micros.as_deref().and_then(|bytes| bytes.first_chunk()).copied();
        i64::from_be_bytes(began) + i64::from(micros.map_or(0, i32::from_be_bytes)) / 1_000
    });
    let first = row(request, began, coordinator.clone(), Some(0_i32.to_be_bytes().to_vec()));
    let of_event = |event: &Vec<Cell>| {
        let at = cell(event, 1).and_then(|id| Uuid::from_slice(&id).ok()).and_then(millis_of);
        let at = at.map(|at| at.to_be_bytes().to_vec());
        row(cell(event, 0).unwrap_or_default(), at, cell(event, 2), cell(event, 3))
    };
    let ended = ended.map(|at| at.to_be_bytes().to_vec());
    let last = row(b"Request complete".to_vec(), ended, coordinator, micros);
    let rows = [first].into_iter().chain(events.iter().map(of_event)).chain([last]).collect();
    Page { columns, rows, paging_state: None }
}

/// Milliseconds since the epoch of a UUID of time.
fn millis_of(id: Uuid) -> Option<i64> {
    let (ticks, _) = id.get_timestamp()?.to_gregorian();
    i64::try_from(ticks / 10_000).ok()?.checked_sub(UUID_EPOCH_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::format;

    #[test]
    fn a_trace_begins_with_its_request_and_ends_with_how_long_it_took() {
        let inet = |last: u8| Some(vec![127, 0, 0, last]);
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let int = |number: i32| Some(number.to_be_bytes().to_vec());
        // 2026-01-02T03:04:05.006Z.
        let began = 1_767_323_045_006_i64;
        let ticks = (began + UUID_EPOCH_MILLIS) as u64 * 10_000 + 25_000;
        let id = uuid::Builder::from_gregorian_timestamp(ticks, 0, &[0; 6]).into_uuid();
        let session =
            [text("Execute CQL3 query"), Some(began.to_be_bytes().to_vec()), inet(1), inet(9), int(3_400)];
        let event = vec![text("Parsing SELECT 1"), Some(id.as_bytes().to_vec()), inet(2), int(700)];
        let expected = "\n \
activity           | timestamp                       | source    | source_elapsed | client\n\
--------------------+---------------------------------+-----------+----------------+-----------\n \
Execute CQL3 query | 2026-01-02 03:04:05.006000+0000 | 127.0.0.1 |              0 | 127.0.0.9\n   \
Parsing SELECT 1 | 2026-01-02 03:04:05.008000+0000 | 127.0.0.2 |            700 | 127.0.0.9\n   \
Request complete | 2026-01-02 03:04:05.009000+0000 | 127.0.0.1 |           3400 | 127.0.0.9\n";
        assert_eq!(format::table(&page_of(&session, &[event])), expected);
    }
}
