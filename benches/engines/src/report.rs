//! Tables for people, in Markdown.

use crate::measure::Measure;
use std::collections::BTreeMap;

/// The one that is compared with the better of the others.
const OURS: &str = "Dodona";

/// What was measured, by what was done and by engine, in the order of the run.
#[derive(Default)]
pub struct Report {
    engines: Vec<&'static str>,
    times: Rows<Measure>,
    bytes: Rows<f64>,
}

/// Rows of a table: a name, and a cell for each engine.
type Rows<T> = Vec<(String, BTreeMap<&'static str, T>)>;

fn cell<T>(rows: &mut Rows<T>, name: &str, engine: &'static str, value: T) {
    match rows.iter_mut().find(|(row, _)| row == name) {
        Some((_, cells)) => drop(cells.insert(engine, value)),
        None => rows.push((name.to_owned(), BTreeMap::from([(engine, value)]))),
    }
}

impl Report {
    /// A report of these engines.
    pub fn new(engines: Vec<&'static str>) -> Self {
        Self { engines, ..Self::default() }
    }

    /// Adds what an engine took for something.
    pub fn add(&mut self, name: &str, engine: &'static str, measure: Measure) {
        eprintln!("{name}: {engine} {:.2} µs", measure.wall_micros());
        cell(&mut self.times, name, engine, measure);
    }

    /// Adds the bytes that rows take somewhere.
    pub fn add_bytes(&mut self, name: &str, engine: &'static str, bytes: u64, rows: u64) {
        cell(&mut self.bytes, name, engine, bytes as f64 / rows.max(1) as f64);
    }

    /// Prints everything.
    pub fn print(&self) {
        self.table("µs an operation", &self.times, &|cell| cell.wall_micros());
        self.table("CPU, µs an operation", &self.times, &|cell| cell.cpu_micros());
        self.latencies();
        self.table("bytes a row", &self.bytes, &|bytes| *bytes);
    }

    fn head(&self, title: &str, last: &str) {
        println!("\n| {title} | {} |{last}", self.engines.join(" | "));
        let columns = 1 + self.engines.len() + usize::from(!last.is_empty());
        println!("|{}", "---|".repeat(columns));
    }

    fn table<T>(&self, title: &str, rows: &Rows<T>, number: &dyn Fn(&T) -> f64) {
        self.head(title, &format!(" {OURS} / better peer |"));
        for (name, cells) in rows {
            let of = |engine: &str| cells.get(engine).map(number);
            let shown: Vec<String> = self.engines.iter().map(|engine| or_nothing(of(engine))).collect();
            let peers = self.engines.iter().filter(|engine| **engine != OURS);
            let best = peers.filter_map(|engine| of(engine)).min_by(f64::total_cmp);
            let ratio = of(OURS).zip(best).map(|(ours, best)| ours / best);
            println!("| {name} | {} | {} |", shown.join(" | "), or_nothing(ratio));
        }
    }

    fn latencies(&self) {
        self.head("µs, p50 and p99", "");
        for (name, cells) in &self.times {
            let of = |engine: &&'static str| {
                let cell = cells.get(engine)?;
                let (median, tail) = (cell.latency_micros(0.5)?, cell.latency_micros(0.99)?);
                Some(format!("{median:.2}, {tail:.1}"))
            };
            let shown: Vec<Option<String>> = self.engines.iter().map(of).collect();
            if shown.iter().any(Option::is_some) {
                let shown: Vec<String> = shown.into_iter().map(Option::unwrap_or_default).collect();
                println!("| {name} | {} |", shown.join(" | "));
            }
        }
    }
}

fn or_nothing(number: Option<f64>) -> String {
    number.map_or_else(String::new, |number| format!("{number:.2}"))
}
