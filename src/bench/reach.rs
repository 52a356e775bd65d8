//! Contact points: a connection goes to one of them, and to another one if that is not reached.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::link::Link;
use super::pace::Timer;
use super::schema::{self, Statements};
use super::{BenchArgs, BenchError};

/// How long it is tried to open a connection again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long one try may take: what does not answer may be gone.
const TRY: Duration = Duration::from_secs(5);
/// Pauses after all contact points have been tried in vain: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Opens a connection to the first contact point that takes it.
pub(super) async fn open(args: &BenchArgs) -> Result<Link, BenchError> {
    first_of(args, 0, async |host| Link::open(args, host).await).await
}

/// Opens a connection and prepares the statements on it. Connections are dealt out to the contact points by their number; one that
/// is not reached leaves it to those behind it.
///
/// # Errors
/// No contact point was reached for that long.
pub(super) async fn open_prepared(
    args: &BenchArgs,
    number: usize,
    patience: Duration,
) -> Result<(Link, Statements), BenchError> {
    let (began, [mut pause, longest]) = (Instant::now(), PAUSES);
    let open = async |host: &str| {
        let mut link = Link::open(args, host).await?;
        let statements = schema::prepare(&mut link, &args.keyspace).await?;
        Ok((link, statements))
    };
    loop {
        let error = match first_of(args, number, open).await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        if began.elapsed() >= patience {
            return Err(BenchError::Unreached { patience, error: Box::new(error) });
        }
        within(pause, std::future::pending::<()>()).await?;
        pause = (pause * 2).min(longest);
    }
}

/// What the first contact point gives that gives anything; the last one's error if none does.
async fn first_of<T>(
    args: &BenchArgs,
    from: usize,
    open: impl AsyncFn(&str) -> Result<T, BenchError>,
) -> Result<T, BenchError> {
    let mut last = BenchError::Arguments("there is no contact point");
    for index in 0..args.hosts.len() {
        let host = &args.hosts[(from + index) % args.hosts.len()];
        match within(TRY, open(host)).await? {
            Some(Ok(opened)) => return Ok(opened),
            Some(Err(error)) => last = error,
            None => last = BenchError::Silent(TRY),
        }
    }
    Err(last)
}

/// What comes within some time.
async fn within<T>(time: Duration, what: impl Future<Output = T>) -> Result<Option<T>, BenchError> {
    let (mut timer, mut what) = (Timer::new()?, pin!(what));
    timer.arm(time.as_nanos() as u64)?;
    let came = poll_fn(|context| match what.as_mut().poll(context) {
        Poll::Ready(came) => Poll::Ready(Some(came)),
        Poll::Pending => timer.poll(context).map(|()| None),
    });
    Ok(came.await)
}

#[cfg(test)]
mod tests {
    use super::super::tests::args;
    use super::super::worker::runtime;
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn what_is_not_reached_is_given_up_after_a_while() {
        // Bound, but closed by the time that it is asked.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let args = args(&format!("--host 127.0.0.1:{port}"));
        let (began, patience) = (Instant::now(), Duration::from_millis(300));
        let error = runtime().unwrap().block_on(open_prepared(&args, 3, patience)).unwrap_err();
        assert!(began.elapsed() >= patience);
        assert!(error.to_string().contains("the last try: connect"), "{error}");
    }

    #[test]
    fn contact_points_have_ports_of_their_own_or_the_common_one() {
        let args = args("--host one,two:7 --host ::1 --host [::2]:8 --host [::3] --port 9");
        let split: Vec<_> = args.hosts.iter().map(|host| args.address(host)).collect();
        assert_eq!(split, [("one", 9), ("two", 7), ("::1", 9), ("::2", 8), ("::3", 9)]);
    }
}
