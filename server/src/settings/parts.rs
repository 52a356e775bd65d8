//! What each part of a server is told of its settings.

use super::{CommitLogSync, Settings, SettingsError};
use crate::point_in_time;
use dodona_cluster::NodeSettings;
use dodona_cluster::coordinator::Timeouts;
use dodona_cluster::hints::HintSettings;
use dodona_cluster::snapshots::AutoSnapshot;
use dodona_query::BatchBounds;
use dodona_storage::EngineSettings;
use dodona_storage::engine::restore::RestoreSettings;
use dodona_storage::settings::{ArchiveSettings, SyncMode};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

impl Settings {
    /// Bounds of batches.
    pub(crate) const fn batch_bounds(&self) -> BatchBounds {
        BatchBounds {
            warn_bytes: self.batch_size_warn_threshold,
            fail_bytes: self.batch_size_fail_threshold,
            unlogged_partitions: self.unlogged_batch_across_partitions_warn_threshold,
        }
    }

    pub(super) fn archive(&self) -> ArchiveSettings {
        ArchiveSettings {
            directory: self.archive_directory.as_ref().map(|path| path.to_string_lossy().into_owned()),
            command: self.archive_command.clone().filter(|command| !command.trim().is_empty()),
        }
    }

    pub(super) fn restore(&self) -> Result<RestoreSettings, SettingsError> {
        let up_to_micros = match &self.restore_point_in_time {
            None => None,
            Some(text) => Some(point_in_time::parse(text).ok_or_else(|| {
                SettingsError::Conflict(format!(
                    "restore_point_in_time: `{text}` is no time as yyyy:MM:dd HH:mm:ss, in UTC"
                ))
            })?),
        };
        let directories = &self.restore_directories;
        Ok(RestoreSettings {
            directories: directories.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            command: self.restore_command.clone().filter(|command| !command.trim().is_empty()),
            up_to_micros,
            micros_per_step: self.precision.micros(),
        })
    }

    /// Certificate and key for clients, if they connect by TLS.
    pub(crate) fn client_files(&self) -> Option<[&PathBuf; 2]> {
        Some([self.tls_certificate.as_ref()?, self.tls_key.as_ref()?])
    }

    /// Certificate, key and authority for other nodes, if they connect by TLS.
    pub(crate) fn internode_files(&self) -> Option<[&PathBuf; 3]> {
        Some([
            self.internode_tls_certificate.as_ref()?,
            self.internode_tls_key.as_ref()?,
            self.internode_tls_authority.as_ref()?,
        ])
    }

    /// Address at which other nodes reach this one.
    pub(crate) fn internode_address(&self) -> IpAddr {
        self.advertise.unwrap_or(self.listen)
    }

    /// Address on which clients connect.
    #[must_use]
    pub const fn native(&self) -> SocketAddr {
        SocketAddr::new(self.listen, self.port)
    }

    /// Address of the service for administration. Nodes beside each other on one machine have a loopback address
    /// each; other addresses are reached by other machines, which administer nothing unless that is said.
    #[must_use]
    pub fn administration(&self) -> SocketAddr {
        let unless_set = if self.listen.is_loopback() { self.listen } else { Ipv4Addr::LOCALHOST.into() };
        SocketAddr::new(self.admin_listen.unwrap_or(unless_set), self.admin_port)
    }

    /// The settings of the node beneath, whose clients connect to `port`.
    #[must_use]
    pub fn node(&self, port: u16) -> NodeSettings {
        let address = self.internode_address();
        NodeSettings {
            cluster_name: self.cluster_name.clone(),
            data_center: self.data_center.clone(),
            rack: self.rack.clone(),
            native: SocketAddr::new(address, port),
            internode: SocketAddr::new(address, if self.serves_peers() { self.internode_port } else { 0 }),
            num_tokens: self.num_tokens,
            seeds: self.seed_addresses().unwrap_or_default(),
            replace: self.replace.clone(),
            new_cluster: self.new_cluster,
            recover_metadata: self.recover_metadata,
            members: Vec::new(),
            engine: self.engine(),
            timeouts: Timeouts {
                read: Duration::from_millis(self.read_timeout_ms),
                write: Duration::from_millis(self.write_timeout_ms),
                contention: Duration::from_millis(self.cas_contention_timeout_ms),
            },
            hints: self.hints(),
            stream_bytes_per_second: self.stream_bytes_per_second,
            stream_files_of_bytes: if self.stream_entire_sstables {
                NodeSettings::default().stream_files_of_bytes
            } else {
                u64::MAX
            },
            automatic_repair: self.automatic_repair,
            automatic_repair_incremental: self.automatic_repair_incremental,
            check_data_resurrection: self.check_data_resurrection,
            max_clock_offset: Duration::from_secs(self.max_clock_offset_seconds),
            restore: self.restore().unwrap_or_default(),
            auto_snapshot: AutoSnapshot {
                enabled: self.auto_snapshot,
                ttl: (self.auto_snapshot_ttl_seconds > 0)
                    .then(|| Duration::from_secs(self.auto_snapshot_ttl_seconds)),
            },
            disk_usage: self.guardrails.disk_usage_bounds(),
            internode_tls: None,
        }
    }

    fn hints(&self) -> HintSettings {
        HintSettings {
            enabled: self.hinted_handoff_enabled,
            disabled_data_centers: self.hinted_handoff_disabled_datacenters.iter().cloned().collect(),
            max_hint_window: Duration::from_secs(self.max_hint_window_seconds),
            delivered_bytes_per_second: self.hint_bytes_per_second,
            max_bytes_per_target: self.max_hint_bytes_per_host,
            max_bytes: self.max_hint_bytes,
            ..HintSettings::default()
        }
    }

    /// Plain traffic between nodes stays on this machine, unless the operator says otherwise.
    pub(super) fn serves_peers(&self) -> bool {
        let is_encrypted = self.internode_files().is_some() && !self.internode_tls_optional;
        is_encrypted || self.allow_plain_internode || self.internode_address().is_loopback()
    }

    /// The seeds' addresses.
    ///
    /// # Errors
    /// One is no address.
    pub(super) fn seed_addresses(&self) -> Result<Vec<SocketAddr>, SettingsError> {
        let address = |text: &String| {
            let with_port = text.parse::<SocketAddr>();
            let parsed =
                with_port.or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, self.internode_port)));
            parsed.map_err(|_| {
                SettingsError::Conflict(format!(
                    "seeds: `{text}` is no address (as 10.0.0.1 or 10.0.0.1:7000)"
                ))
            })
        };
        self.seeds.iter().map(address).collect()
    }

    /// Bytes of requests and answers in flight, of all clients.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.max_bytes_in_flight.unwrap_or(self.memory_bytes / 4)
    }

    pub(super) fn engine(&self) -> EngineSettings {
        let within = EngineSettings::within(self.memory_bytes);
        EngineSettings {
            sync_mode: match self.commit_log_sync {
                CommitLogSync::Periodic => SyncMode::Periodic {
                    period: Duration::from_millis(self.commit_log_sync_period_ms.max(1)),
                },
                CommitLogSync::Group => {
                    SyncMode::Group { window: Duration::from_millis(self.commit_log_group_window_ms) }
                }
                CommitLogSync::Batch => SyncMode::Batch,
            },
            memtable_bytes: self.memtable_bytes.unwrap_or(within.memtable_bytes),
            block_cache_bytes: self.block_cache_bytes.unwrap_or(within.block_cache_bytes),
            tombstone_warn_threshold: self.tombstone_warn_threshold,
            tombstone_failure_threshold: self.tombstone_failure_threshold,
            partition_bounds: self.guardrails.partition_bounds(),
            commit_log_bytes: self.commit_log_bytes,
            compaction_bytes_per_second: self.compaction_bytes_per_second,
            concurrent_compactors: self.concurrent_compactors,
            incremental_backups: self.incremental_backups,
            archive: self.archive(),
            ..within
        }
    }
}
