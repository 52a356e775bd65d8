//! `dodona dataset`: rows of mixed types made from a seed, as JSON lines, so that what one program
//! wrote through one driver can be compared value by value by another.
//!
//! Two tables cover every type of CQL but `counter`: `readings`, a time series with a partition for
//! each sensor and day, and `events`, a log whose partitions hold from 1 to 200,000 rows. `plan`
//! cuts the rows into partitions, `rows` makes the row at a place of a partition, `values` draws
//! values of a type, ends of the range and oddities more often than chance would have them.
//!
//! A line is `{"number": n, "table": "events", "row": {column: value, ...}}`. Numbers run from 0
//! without gaps, in the order of the partitions, whichever order the lines come in. A column that
//! is missing was not set by the writer; one that is `null` was set to null. Forms of the values:
//!
//! | CQL | JSON |
//! |---|---|
//! | `int`, `smallint`, `tinyint`, `timestamp` (milliseconds), `time` (nanoseconds) | number |
//! | `bigint`, `varint`, `float`, `double` (`NaN`, `Infinity` and `-Infinity` too) | string |
//! | `decimal` | `{"unscaled": string, "scale": number}` |
//! | `duration` | `{"months": number, "days": number, "nanos": string}` |
//! | `blob` | string of hexadecimal digits |
//! | `ascii`, `text`, `varchar`, `inet`, `uuid`, `timeuuid`, `date` (`2026-11-24`) | string |
//! | `list`, `set`, `tuple`, `vector` | array |
//! | `map` | array of `[key, value]` |
//! | user-defined type | object |

mod plan;
mod rows;
mod values;

use clap::{Args, Subcommand, ValueEnum};
use plan::Plan;
use std::io::{self, BufWriter, Write};

/// The statements that make the tables.
const SCHEMA: &str = include_str!("schema.cql");

/// What `dodona dataset` is asked for.
#[derive(Debug, Args)]
pub struct DatasetArgs {
    #[command(subcommand)]
    command: DatasetCommand,
}

#[derive(Debug, Subcommand)]
enum DatasetCommand {
    /// Print the statements that make the tables
    Schema,
    /// Print the rows, one JSON object a line
    Rows(RowsArgs),
}

#[derive(Debug, Args)]
struct RowsArgs {
    /// How many rows, of both tables together
    #[arg(long, default_value_t = 2_000_000)]
    rows: u64,
    /// The same seed makes the same rows
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The order of the lines
    #[arg(long, value_enum, default_value_t = Order::Arrival)]
    order: Order,
}

/// An order of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// As the rows would come in: all sensors and streams at once, one day after the other
    Arrival,
    /// Partition by partition, a partition's rows by their clustering
    Partition,
}

/// Prints what `args` ask for to standard output.
///
/// # Errors
/// If standard output cannot be written, unless nobody reads it any more.
pub fn run(args: &DatasetArgs) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = match &args.command {
        DatasetCommand::Schema => out.write_all(SCHEMA.as_bytes()),
        DatasetCommand::Rows(args) => write_rows(args, &mut out),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn write_rows(args: &RowsArgs, out: &mut impl Write) -> io::Result<()> {
    let plan = Plan::new(args.rows, args.seed);
    let mut write = |partition: &plan::Partition, index: u64| {
        let line = serde_json::json!({
            "number": partition.first_row + index,
            "table": partition.table.name(),
            "row": rows::row(args.seed, partition, index),
        });
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    };
    match args.order {
        Order::Arrival => plan.by_arrival().try_for_each(|(partition, index)| write(partition, index)),
        Order::Partition => plan
            .partitions()
            .iter()
            .try_for_each(|partition| (0..partition.rows).try_for_each(|index| write(partition, index))),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
