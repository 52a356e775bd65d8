use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: BenchArgs,
}

pub(super) fn args(text: &str) -> BenchArgs {
    Cli::parse_from(["bench"].into_iter().chain(text.split_whitespace())).args
}

/// The port of a no-op server in this process.
fn start_noop() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || noop_server::serve_on(listener, 100));
    port
}

/// Runs the loader against it.
fn run_on_noop(text: &str) -> Measured {
    let args = args(&format!("{text} --port {}", start_noop()));
    args.check().unwrap();
    measure(&args).unwrap()
}

#[test]
fn every_workload_runs_in_every_version_and_counts_what_it_did() {
    for protocol in [3, 4, 5] {
        for workload in ["write", "read", "mixed", "scan"] {
            let text = format!(
                "{workload} --protocol {protocol} --connections 3 --depth 7 --threads 2 --operations 1000 \
                 --warmup 10 --keys 100 --rows-per-partition 10"
            );
            let stats = run_on_noop(&text).stats;
            assert_eq!((stats.operations(), stats.errors), (1_000, 0), "{text}");
            let rows = if workload == "scan" { 50 } else { 1 };
            let reads =
                stats.latencies().filter(|(kind, _)| !kind.is_write()).map(|(_, h)| h.len()).sum::<u64>();
            assert_eq!((stats.rows, stats.missing), (reads * rows, 0), "{text}");
        }
    }
}

#[test]
fn values_longer_than_a_segment_are_written() {
    for protocol in [4, 5] {
        let text =
            format!("--protocol {protocol} --value-bytes 300000 --operations 20 --connections 1 --depth 3");
        assert_eq!(run_on_noop(&text).stats.operations(), 20);
    }
}

#[test]
fn a_fixed_rate_is_kept() {
    let measured = run_on_noop("read --rate 2000 --operations 400 --no-load");
    assert_eq!(measured.stats.operations(), 400);
    assert!(measured.seconds > 0.19, "{}", measured.seconds);
}

#[test]
fn a_duration_is_kept() {
    let measured = run_on_noop("write --duration 0.1");
    assert!(measured.seconds >= 0.1 && measured.stats.operations() > 0);
}

#[test]
fn a_server_that_does_not_keep_what_it_acknowledges_is_found_out() {
    for (text, rows) in
        [("write --operations 500", 0), ("read --operations 100", 50), ("mixed --operations 500", 50)]
    {
        let measured =
            run_on_noop(&format!("{text} --verify --keys 50 --threads 2 --connections 3 --depth 9"));
        let verified = measured.verified.unwrap();
        assert_eq!((verified.at_the_end.compared, verified.unread), (50, 0), "{text}");
        assert!(verified.meanwhile.wrong > 0 && verified.at_the_end.wrong >= rows, "{text}: {verified}");
        let refused = verified.check().unwrap_err().to_string();
        assert!(refused.contains(" is not what was written"), "{refused}");
    }
    assert!(run_on_noop("write --operations 10").verified.is_none());
}

/// A port behind which is a server whose connections end after so many bytes of answers.
fn start_relay(server: u16, bytes: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) =
                (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
            let (mut requests, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut requests, &mut into));
            std::thread::spawn(move || {
                let mut left = bytes;
                let mut buffer = [0; 512];
                while left > 0 {
                    let read = server.read(&mut buffer[..left.min(512)]).unwrap_or(0);
                    if read == 0 || client.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                    left -= read;
                }
                let _ = client.shutdown(std::net::Shutdown::Both);
                let _ = server.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    port
}

#[test]
fn a_load_that_is_verified_outlives_its_connections() {
    let relay = start_relay(start_noop(), 6_000);
    let text = "write --operations 2000 --keys 300 --threads 2 --connections 3 --depth 9";
    let with = |more: &str| {
        let args = args(&format!("{text} --port {relay} {more}"));
        args.check().unwrap();
        measure(&args)
    };
    let measured = with("--verify").unwrap();
    let Measured { stats, verified, .. } = &measured;
    assert!(stats.lost > 5 && stats.unanswered > 0, "{stats:?}");
    assert_eq!(stats.operations() + stats.unanswered, 2_000);
    let verified = verified.as_ref().unwrap();
    assert_eq!((verified.at_the_end.compared, verified.unread), (300, 0), "every row is read in the end");
    let figures = report::as_json(&args(text), &measured);
    assert_eq!(
        (&figures["unanswered"], &figures["connections_lost"]),
        (&stats.unanswered.into(), &stats.lost.into())
    );
    // Figures would not be those of the server.
    assert!(matches!(with(""), Err(BenchError::Closed | BenchError::Io { .. })));
}

#[test]
fn connections_go_to_the_contact_points_that_there_are() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let there = start_noop();
    let text = format!("write --operations 300 --host 127.0.0.1:{gone},127.0.0.1:{there}");
    assert_eq!(measure(&args(&text)).unwrap().stats.operations(), 300);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for text in [
        "--threads 5",
        "--depth 0",
        "--depth 40000",
        "--keys 0",
        "--value-bytes 3",
        "--keyspace a;b",
        "scan --verify",
        "read --verify --no-load",
        "--verify --value-bytes 15",
    ] {
        assert!(args(text).check().is_err(), "{text}");
    }
    assert!(args("").check().is_ok());
}
