//! The commands of `dodona nodetool`, with their arguments.

use super::NodetoolError;
use super::bootstrap::BootstrapArgs;
use super::hints::HintsCommand;
use super::imports::ImportArgs;
use super::repair::RepairArgs;
use super::repair_admin::RepairAdminArgs;
use super::snapshots::{ClearArgs, SnapshotArgs};
use super::tables::Tables;
use clap::{Args, Subcommand};

/// Arguments of `dodona nodetool`.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct NodetoolArgs {
    /// Address of the node's administration service
    #[arg(short = 'h', long, default_value = "127.0.0.1", global = true)]
    pub(super) host: String,
    /// Port of the node's administration service
    #[arg(short, long, default_value_t = 7199, global = true)]
    pub(super) port: u16,
    /// Refused: the service asks nobody who he is
    #[arg(short, long, global = true)]
    pub(super) username: Option<String>,
    /// Refused, as a user name
    #[arg(long, visible_alias = "pw", global = true)]
    pub(super) password: Option<String>,
    /// Refused, as a user name
    #[arg(long, visible_alias = "pwf", global = true)]
    pub(super) password_file: Option<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help, global = true)]
    help: Option<bool>,
    #[command(subcommand)]
    pub(super) command: NodetoolCommand,
}

impl NodetoolArgs {
    /// # Errors
    /// It is said who asks, as if that were checked.
    pub(super) fn refuse_credentials(&self) -> Result<(), NodetoolError> {
        let given = [&self.username, &self.password, &self.password_file];
        if given.iter().all(|credential| credential.is_none()) {
            return Ok(());
        }
        let reason = "the administration service knows no users: whoever reaches its address administers the node, so keep \
                      that on loopback or behind a tunnel (ssh -L). Leave out --username, --password and --password-file";
        Err(NodetoolError::Refused(reason.into()))
    }
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum NodetoolCommand {
    /// The nodes of the cluster, and what each owns of a keyspace
    Status {
        /// Names of nodes instead of addresses, where those are known
        #[arg(short, long)]
        resolve_ip: bool,
        /// Keyspace [default: all, if they are replicated alike]
        keyspace: Option<String>,
    },
    /// The tokens of the cluster
    Ring {
        /// Names of nodes instead of addresses, where those are known
        #[arg(short, long)]
        resolve_ip: bool,
        /// Keyspace [default: all, if they are replicated alike]
        keyspace: Option<String>,
    },
    /// What nodes say of themselves
    Gossipinfo,
    /// Whether the node gossips
    Statusgossip,
    #[command(flatten)]
    Hints(HintsCommand),
    /// What the node does with others, and what waits for them
    Netstats,
    /// The ranges of tokens of a keyspace, and who holds each
    Describering {
        /// Keyspace
        keyspace: String,
    },
    /// Who holds a partition
    Getendpoints {
        /// Keyspace
        keyspace: String,
        /// Table
        table: String,
        /// The partition key as text; components are set apart by `:`
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
    /// What the node is and holds
    Info,
    /// Write memtables to files
    Flush(Tables),
    /// Merge the files of tables
    Compact {
        #[command(flatten)]
        tables: Tables,
        /// Only files that hold something from this token on
        #[arg(long, visible_alias = "st", allow_hyphen_values = true)]
        start_token: Option<i64>,
        /// Only files that hold something up to this token
        #[arg(long, visible_alias = "et", allow_hyphen_values = true)]
        end_token: Option<i64>,
    },
    /// Remove what deletions in other files cover
    Garbagecollect {
        /// ROW, or CELL for cells that were written over as well
        #[arg(short, long, default_value = "ROW")]
        granularity: String,
        #[command(flatten)]
        tables: Tables,
    },
    /// Remove what belongs to other nodes
    Cleanup(Tables),
    /// Read and check every byte of the files of tables
    Verify(Tables),
    /// Rebuild damaged files of what can be read of them
    Scrub(Tables),
    /// Make replicas hold the same
    Repair(RepairArgs),
    /// Incremental repairs that go on, and how to end one
    #[command(name = "repair_admin")]
    RepairAdmin(RepairAdminArgs),
    /// When what the node is the first replica of was repaired, and when it is again
    Autorepairstatus,
    /// MiB a second that are streamed to other nodes
    Getstreamthroughput,
    /// Set the MiB a second that are streamed to other nodes; 0 for no limit
    Setstreamthroughput {
        /// MiB a second
        value: u64,
    },
    /// The share of requests that are traced without a client that asks for it
    Gettraceprobability,
    /// Set the share of requests that are traced without a client that asks for it, until the next start
    Settraceprobability {
        /// From 0, for none, to 1, for all
        #[arg(allow_hyphen_values = true)]
        probability: f64,
    },
    /// End compactions that are under way
    Stop {
        /// COMPACTION, TOMBSTONE_COMPACTION, GARBAGE_COLLECT or CLEANUP [default: all]
        kind: Option<String>,
    },
    /// MiB a second that compactions may write
    Getcompactionthroughput {
        /// As a precise number
        #[arg(short = 'd', long)]
        precise: bool,
    },
    /// Set the MiB a second that compactions may write; 0 for no limit
    Setcompactionthroughput {
        /// MiB a second
        value: u64,
    },
    /// Compact tables without being asked to
    Enableautocompaction(Tables),
    /// Do not compact tables without being asked to
    Disableautocompaction(Tables),
    /// Whether tables are compacted without being asked to
    Statusautocompaction {
        /// Each table
        #[arg(short, long)]
        all: bool,
        #[command(flatten)]
        tables: Tables,
    },
    /// Keep the present files of tables under a name
    Snapshot(SnapshotArgs),
    /// The snapshots
    Listsnapshots {
        /// Leave out snapshots that expire
        #[arg(long = "no-ttl", visible_alias = "nt")]
        no_ttl: bool,
        /// Accepted: there are no ephemeral snapshots
        #[arg(short, long)]
        ephemeral: bool,
    },
    /// Remove snapshots
    Clearsnapshot(ClearArgs),
    /// Take files of snapshots or backups into a table
    Import(ImportArgs),
    /// Take the files in `upload/<table id>` of the data directory into a table
    Refresh {
        /// Keyspace
        keyspace: String,
        /// Table
        table: String,
    },
    /// Link files that come new into `backups` as well, until the next start
    Enablebackup,
    /// Do not link files that come new into `backups`, until the next start
    Disablebackup,
    /// Whether files that come new are linked into `backups`
    Statusbackup,
    /// Statistics of tables
    Tablestats(Tables),
    /// How many files reads look into, and how long reads and writes take
    Tablehistograms(Tables),
    /// How long requests of clients take, on all tables together
    Proxyhistograms,
    /// What compactions do
    Compactionstats,
    /// Bring everything to the disk
    Drain,
    /// Use certificates for TLS whose files have changed, without waiting until that is noticed
    Reloadssl,
    /// Take the node out of the cluster once others have what it holds; then it can be stopped
    Decommission {
        /// Although fewer nodes stay than a keyspace has copies
        #[arg(short, long)]
        force: bool,
    },
    /// Take a node that is down out of the cluster
    Removenode {
        /// Its host id, as `status` shows it; or `status`, to see what is being removed, or `force`, to end that at once
        #[arg(value_name = "HOST_ID")]
        id: String,
    },
    /// Take a node that is down out of the cluster at once: nobody fetches what it held, so repair --full afterwards
    Assassinate {
        /// Its address, or its host id
        address: String,
    },
    /// Stay in the cluster, if others do not rely on it yet that the node leaves
    Abortdecommission {
        /// The host id of another node that leaves, is removed or moves [default: this one]
        #[arg(long)]
        node: Option<String>,
    },
    /// Move the node to another token, if it has one alone
    Move {
        /// The token
        #[arg(allow_hyphen_values = true)]
        token: i64,
    },
    /// How a node that joins goes on
    Bootstrap(BootstrapArgs),
    /// Fetch what the node holds from others that hold it as well
    Rebuild {
        /// Only this keyspace
        #[arg(short, long = "keyspace", visible_alias = "ks")]
        keyspace: Option<String>,
        /// From no node of the node's own data centre
        #[arg(long)]
        exclude_local_dc: bool,
        /// Only these ranges of tokens of the keyspace: (start,end],(start,end]
        #[arg(long, visible_alias = "ts", allow_hyphen_values = true)]
        tokens: Option<String>,
        /// Only from nodes at these addresses, set apart by commas
        #[arg(short, long)]
        sources: Option<String>,
        /// From nodes of this data centre [default: any]
        source_dc: Option<String>,
    },
    /// The release that the node is compatible with
    Version,
    /// Name, partitioner and schema of the cluster
    Describecluster,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodetool::with_two_dashes;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: NodetoolArgs,
    }

    fn parse(words: &str) -> NodetoolArgs {
        let words = ["dodona", "nodetool"].into_iter().chain(words.split(' ')).map(str::to_owned);
        let words = with_two_dashes(words);
        <Line as clap::Parser>::try_parse_from(&words[1..]).unwrap_or_else(|error| panic!("{error}")).args
    }

    #[test]
    fn a_rebuild_of_tokens_of_a_keyspace_is_asked_for_as_in_cassandra() {
        let NodetoolCommand::Rebuild { keyspace, tokens, source_dc, .. } =
            parse("rebuild -ks shop -ts (-5,7] dc1").command
        else {
            panic!("another command")
        };
        assert_eq!((keyspace.as_deref(), tokens.as_deref()), (Some("shop"), Some("(-5,7]")));
        assert_eq!(source_dc.as_deref(), Some("dc1"));
    }

    #[test]
    fn who_says_who_he_is_hears_that_nobody_asks() {
        for words in
            ["-u cassandra status", "-pw secret status", "status -pwf /etc/pw", "status --username a"]
        {
            let refused = parse(words).refuse_credentials().unwrap_err().to_string();
            assert!(refused.contains("knows no users"), "{words}: {refused}");
        }
        assert!(parse("-h 127.0.0.2 -p 7200 status -r").refuse_credentials().is_ok());
    }
}
