//! Printing the figures.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::verify::Findings;
use super::{BenchArgs, Measured};

const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// Prints what a run gave, for people or as JSON.
pub(super) fn print(args: &BenchArgs, measured: &Measured) {
    if args.json {
        println!("{}", as_json(args, measured));
    } else {
        print!("{}", as_text(args, measured));
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// CPU time per operation in microseconds.
fn cpu_micros(seconds: f64, operations: u64) -> f64 {
    seconds * 1e6 / operations.max(1) as f64
}

fn as_text(args: &BenchArgs, measured: &Measured) -> String {
    let Measured { stats, seconds, .. } = measured;
    let operations = stats.operations();
    let mut lines = vec![format!(
        "{:?}, {} connections x {}, protocol {}{}: {operations} operations in {seconds:.2} s = {:.0} op/s",
        args.workload,
        args.connections,
        args.depth,
        args.protocol.number(),
        args.rate.map(|rate| format!(", {rate} op/s wanted")).unwrap_or_default(),
        operations as f64 / seconds,
    )];
    for (kind, latencies) in stats.latencies() {
        let quantiles = QUANTILES.map(|(name, quantile)| format!("{name} {:.0}", at(latencies, quantile)));
        lines.push(format!(
            "  {} latency in µs: mean {:.0}  {}",
            kind.name(),
            latencies.mean() / 1e3,
            quantiles.join("  ")
        ));
    }
    let cpu = |seconds: f64| format!("{:.2} µs per operation", cpu_micros(seconds, operations));
    if let Some(server) = measured.server_cpu_seconds {
        lines.push(format!("  server CPU: {}", cpu(server)));
    }
    lines.push(format!("  loader CPU: {}", cpu(measured.loader_cpu_seconds)));
    if stats.rows > 0 || stats.missing > 0 {
        lines.push(format!("  rows: {}, reads that found none: {}", stats.rows, stats.missing));
    }
    if let Some(verified) = &measured.verified {
        lines.push(format!("  verified: {verified}"));
    }
    if stats.lost > 0 {
        lines.push(format!(
            "  connections lost and opened again: {}, operations without an answer: {}",
            stats.lost, stats.unanswered
        ));
    }
    if let Some(error) = &stats.first_error {
        lines.push(format!("  errors: {}, the first: {error}", stats.errors));
    }
    lines.join("\n") + "\n"
}

fn at(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    micros(latencies.value_at_quantile(quantile))
}

pub(super) fn as_json(args: &BenchArgs, measured: &Measured) -> Value {
    let Measured { stats, seconds, .. } = measured;
    let operations = stats.operations();
    let latencies: serde_json::Map<String, Value> = stats
        .latencies()
        .map(|(kind, latencies)| {
            let mut quantiles: serde_json::Map<String, Value> = QUANTILES
                .iter()
                .map(|(name, quantile)| ((*name).to_owned(), json!(at(latencies, *quantile))))
                .collect();
            quantiles.insert("mean".to_owned(), json!(latencies.mean() / 1e3));
            (kind.name().to_owned(), quantiles.into())
        })
        .collect();
    json!({
        "workload": format!("{:?}", args.workload).to_lowercase(),
        "connections": args.connections,
        "depth": args.depth,
        "protocol": args.protocol.number(),
        "rate": args.rate,
        "operations": operations,
        "seconds": seconds,
        "operations_per_second": operations as f64 / seconds,
        "latency_micros": latencies,
        "server_cpu_micros_per_operation": measured.server_cpu_seconds.map(|cpu| cpu_micros(cpu, operations)),
        "loader_cpu_micros_per_operation": cpu_micros(measured.loader_cpu_seconds, operations),
        "rows": stats.rows,
        "missing": stats.missing,
        "connections_lost": stats.lost,
        "unanswered": stats.unanswered,
        "errors": stats.errors,
        "first_error": stats.first_error,
        "verified": measured.verified.as_ref().map(|verified| json!({
            "meanwhile": findings(&verified.meanwhile),
            "at_the_end": findings(&verified.at_the_end),
            "unread": verified.unread,
            "first": verified.first(),
        })),
    })
}

fn findings(findings: &Findings) -> Value {
    json!({ "compared": findings.compared, "missing": findings.missing, "wrong": findings.wrong })
}
