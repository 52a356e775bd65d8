//! Files of snapshots and backups that are taken in.

use super::NodetoolError;
use super::client::query;
use super::report::{bytes, string};
use clap::Args;
use serde_json::Value;

type Post<'a> = &'a dyn Fn(&str) -> Result<Value, NodetoolError>;

/// Arguments of `nodetool import`.
#[derive(Clone, Debug, Args)]
pub(super) struct ImportArgs {
    /// Do not read and check every byte of the files first
    #[arg(short = 'v', long)]
    no_verify: bool,
    /// Accepted: every byte is checked unless --no-verify is given
    #[arg(short, long, conflicts_with = "no_verify")]
    extended_verify: bool,
    /// Take in what belongs to other nodes alone as well
    #[arg(short = 't', long)]
    no_tokens: bool,
    /// Accepted: there is no cache of rows
    #[arg(short = 'c', long)]
    no_invalidate_caches: bool,
    /// As --no-verify --no-tokens
    #[arg(short, long)]
    quick: bool,
    /// Leave the files where they are, instead of moving them
    #[arg(long)]
    copy_data: bool,
    /// Refused: levels are in the manifest, not in files
    #[arg(short = 'l', long)]
    keep_level: bool,
    /// Refused: no file is marked as repaired
    #[arg(short = 'r', long)]
    keep_repaired: bool,
    /// Send what the files hold to all its replicas, as Cassandra's sstableloader does; the files stay
    #[arg(long, conflicts_with = "no_tokens")]
    everywhere: bool,
    /// Keyspace
    keyspace: String,
    /// Table
    table: String,
    /// Directories on the node's machine: absolute, or in its data directory
    #[arg(required = true)]
    directories: Vec<String>,
}

/// Takes the files of directories into a table.
pub(super) fn import(args: &ImportArgs, post: Post<'_>) -> Result<String, NodetoolError> {
    for (is_given, reason) in [
        (
            args.keep_level,
            "--keep-level: levels are in the manifest of the node that had the files, not in them",
        ),
        (args.keep_repaired, "--keep-repaired: no file is marked as repaired"),
    ] {
        if is_given {
            return Err(NodetoolError::Refused(reason.into()));
        }
    }
    let flag = |is_set: bool| is_set.then_some("true");
    let directories = args.directories.join("\n");
    let answer = post(&format!(
        "import{}",
        query(&[
            ("keyspace", Some(&*args.keyspace)),
            ("table", Some(&*args.table)),
            ("directories", Some(&*directories)),
            ("no_verify", flag(args.no_verify || args.quick)),
            ("no_tokens", flag(args.no_tokens || args.quick)),
            ("copy", flag(args.copy_data)),
            ("everywhere", flag(args.everywhere)),
        ])
    ))?;
    let quick = if args.quick { "Doing a quick import - skipping sstable verification\n" } else { "" };
    Ok(format!("{quick}{}", report(&answer, args.everywhere)))
}

/// Takes the files that lie where the node looks for them into a table.
pub(super) fn refresh(keyspace: &str, table: &str, post: Post<'_>) -> Result<String, NodetoolError> {
    let parts = [("keyspace", Some(keyspace)), ("table", Some(table))];
    Ok(report(&post(&format!("import{}", query(&parts)))?, false))
}

fn report(answer: &Value, everywhere: bool) -> String {
    if everywhere {
        return format!("{} partitions sent\n", string(&answer["sent"]));
    }
    format!(
        "{} files imported ({}), {} of them linked, {} were there already\n",
        string(&answer["files"]),
        bytes(&answer["bytes"]),
        string(&answer["linked"]),
        string(&answer["known"])
    )
}
