//! What statements may ask for: what is allowed at all, and bounds, above which clients are warned or
//! refused (Cassandra `Guardrails`, with the keys and defaults of `cassandra.yaml`).

mod disks;
mod guard;
mod schema;

pub(crate) use disks::Disks;
pub(crate) use guard::Guard;
pub(crate) use schema::{admit, drops_tables, judge};

use dodona_cluster::PartitionBounds;
use dodona_cluster::disk_usage::DiskUsageBounds;
use dodona_types::Consistency;
use serde::{Deserialize, Serialize};

/// Settings of what statements may ask for. Of bounds, -1 is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guardrails {
    /// Keyspaces of users. Beyond it clients are warned.
    pub keyspaces_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub keyspaces_fail_threshold: i64,
    /// Tables of users. Beyond it clients are warned.
    pub tables_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub tables_fail_threshold: i64,
    /// Columns of a table. Beyond it clients are warned.
    pub columns_per_table_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub columns_per_table_fail_threshold: i64,
    /// Fields of a user-defined type. Beyond it clients are warned.
    pub fields_per_udt_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub fields_per_udt_fail_threshold: i64,
    /// Dimensions of a vector. Beyond it clients are warned.
    pub vector_dimensions_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub vector_dimensions_fail_threshold: i64,
    /// Bytes of a column's value, or of an element of a collection. Beyond it clients are warned.
    pub column_value_size_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub column_value_size_fail_threshold: i64,
    /// Bytes of the elements that a statement writes to a collection. Beyond it clients are warned.
    pub collection_size_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub collection_size_fail_threshold: i64,
    /// Elements that a statement writes to a collection. Beyond it clients are warned.
    pub items_per_collection_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub items_per_collection_fail_threshold: i64,
    /// Rows of a page that a client asks for. Beyond it clients are warned.
    pub page_size_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub page_size_fail_threshold: i64,
    /// Partitions that a SELECT names. Beyond it clients are warned.
    pub partition_keys_in_select_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub partition_keys_in_select_fail_threshold: i64,
    /// Combinations of values of IN. Beyond it clients are warned.
    pub in_select_cartesian_product_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub in_select_cartesian_product_fail_threshold: i64,
    /// Copies of a keyspace in each data centre, at least. Beyond it clients are warned.
    pub minimum_replication_factor_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub minimum_replication_factor_fail_threshold: i64,
    /// Copies of a keyspace in each data centre, at most. Beyond it clients are warned.
    pub maximum_replication_factor_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub maximum_replication_factor_fail_threshold: i64,
    /// Seconds by which a statement's own timestamp may be in the past. Beyond it clients are warned.
    pub minimum_timestamp_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub minimum_timestamp_fail_threshold: i64,
    /// Seconds by which a statement's own timestamp may be in the future. Beyond it clients are warned.
    pub maximum_timestamp_warn_threshold: i64,
    /// The same: beyond it statements are refused.
    pub maximum_timestamp_fail_threshold: i64,
    /// Bytes of a partition in a file, before compression. Beyond it the log warns of it.
    pub partition_size_warn_threshold: i64,
    /// The same: beyond it the log has an error. Nothing is refused: the data is there.
    pub partition_size_fail_threshold: i64,
    /// Tombstones of a partition in a file. Beyond it the log warns of it.
    pub partition_tombstones_warn_threshold: i64,
    /// The same: beyond it the log has an error. Nothing is refused: the data is there.
    pub partition_tombstones_fail_threshold: i64,
    /// Hundredths of the disk that data and memtables take. Beyond it clients that write are warned.
    pub data_disk_usage_percentage_warn_threshold: i64,
    /// The same: beyond it writes that the node is a replica of are refused.
    pub data_disk_usage_percentage_fail_threshold: i64,
    /// Bytes that the disk counts as at most for that.
    pub data_disk_usage_max_disk_size: i64,
    /// Properties of tables of which clients are warned.
    pub table_properties_warned: Vec<String>,
    /// Properties of tables that are ignored, with a warning.
    pub table_properties_ignored: Vec<String>,
    /// Properties of tables that are refused.
    pub table_properties_disallowed: Vec<String>,
    /// Levels of reads of which clients are warned.
    pub read_consistency_levels_warned: Vec<String>,
    /// Levels of reads that are refused.
    pub read_consistency_levels_disallowed: Vec<String>,
    /// Levels of writes of which clients are warned.
    pub write_consistency_levels_warned: Vec<String>,
    /// Levels of writes that are refused.
    pub write_consistency_levels_disallowed: Vec<String>,
    /// Allow USING TIMESTAMP.
    pub user_timestamps_enabled: bool,
    /// Allow GROUP BY.
    pub group_by_enabled: bool,
    /// Allow ALLOW FILTERING.
    pub allow_filtering_enabled: bool,
    /// Allow changes of lists by index or by value.
    pub read_before_write_list_operations_enabled: bool,
    /// Allow DROP TABLE and TRUNCATE.
    pub drop_truncate_table_enabled: bool,
    /// Allow DROP KEYSPACE.
    pub drop_keyspace_enabled: bool,
    /// Allow ALTER TABLE to change columns.
    pub alter_table_enabled: bool,
    /// Allow new tables with COMPACT STORAGE.
    pub compact_tables_enabled: bool,
    /// Allow ALTER TABLE .. DROP COMPACT STORAGE.
    pub drop_compact_storage_enabled: bool,
    /// Allow SimpleStrategy.
    pub simplestrategy_enabled: bool,
    /// Allow tables without compression.
    pub uncompressed_tables_enabled: bool,
    /// Allow vectors.
    pub vector_type_enabled: bool,
    /// Allow time windows without a default time to live.
    pub zero_ttl_on_twcs_enabled: bool,
    /// Warn of time windows without a default time to live.
    pub zero_ttl_on_twcs_warned: bool,
    /// Copies of keyspaces that do not say how many.
    pub default_keyspace_rf: u32,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            keyspaces_warn_threshold: -1,
            keyspaces_fail_threshold: -1,
            tables_warn_threshold: -1,
            tables_fail_threshold: -1,
            columns_per_table_warn_threshold: -1,
            columns_per_table_fail_threshold: -1,
            fields_per_udt_warn_threshold: -1,
            fields_per_udt_fail_threshold: -1,
            vector_dimensions_warn_threshold: -1,
            vector_dimensions_fail_threshold: -1,
            column_value_size_warn_threshold: -1,
            column_value_size_fail_threshold: -1,
            collection_size_warn_threshold: -1,
            collection_size_fail_threshold: -1,
            items_per_collection_warn_threshold: -1,
            items_per_collection_fail_threshold: -1,
            page_size_warn_threshold: -1,
            page_size_fail_threshold: -1,
            partition_keys_in_select_warn_threshold: -1,
            partition_keys_in_select_fail_threshold: -1,
            in_select_cartesian_product_warn_threshold: -1,
            in_select_cartesian_product_fail_threshold: -1,
            minimum_replication_factor_warn_threshold: -1,
            minimum_replication_factor_fail_threshold: -1,
            maximum_replication_factor_warn_threshold: -1,
            maximum_replication_factor_fail_threshold: -1,
            minimum_timestamp_warn_threshold: -1,
            minimum_timestamp_fail_threshold: -1,
            maximum_timestamp_warn_threshold: -1,
            maximum_timestamp_fail_threshold: -1,
            partition_size_warn_threshold: -1,
            partition_size_fail_threshold: -1,
            partition_tombstones_warn_threshold: -1,
            partition_tombstones_fail_threshold: -1,
            data_disk_usage_percentage_warn_threshold: -1,
            data_disk_usage_percentage_fail_threshold: -1,
            data_disk_usage_max_disk_size: -1,
            table_properties_warned: Vec::new(),
            table_properties_ignored: Vec::new(),
            table_properties_disallowed: Vec::new(),
            read_consistency_levels_warned: Vec::new(),
            read_consistency_levels_disallowed: Vec::new(),
            write_consistency_levels_warned: Vec::new(),
            write_consistency_levels_disallowed: Vec::new(),
            user_timestamps_enabled: true,
            group_by_enabled: true,
            allow_filtering_enabled: true,
            read_before_write_list_operations_enabled: true,
            drop_truncate_table_enabled: true,
            drop_keyspace_enabled: true,
            alter_table_enabled: true,
            compact_tables_enabled: true,
            drop_compact_storage_enabled: false,
            simplestrategy_enabled: true,
            uncompressed_tables_enabled: true,
            vector_type_enabled: true,
            zero_ttl_on_twcs_enabled: true,
            zero_ttl_on_twcs_warned: true,
            default_keyspace_rf: 1,
        }
    }
}

impl Guardrails {
    /// Checks what one key alone does not show.
    ///
    /// # Errors
    /// A bound that warns is beyond the one that refuses, or a name is not one of those there are.
    pub fn check(&self) -> Result<(), String> {
        let levels = [
            ("read_consistency_levels_warned", &self.read_consistency_levels_warned),
            ("read_consistency_levels_disallowed", &self.read_consistency_levels_disallowed),
            ("write_consistency_levels_warned", &self.write_consistency_levels_warned),
            ("write_consistency_levels_disallowed", &self.write_consistency_levels_disallowed),
        ];
        for (key, names) in levels {
            if let Some(unknown) = names.iter().find(|name| name.parse::<Consistency>().is_err()) {
                return Err(format!("{key}: there is no consistency level {unknown}"));
            }
        }
        for (name, warn, fail, is_least) in self.thresholds() {
            let is_beyond = if is_least { warn < fail } else { warn > fail };
            if warn >= 0 && fail >= 0 && is_beyond {
                let than = if is_least { "lower" } else { "greater" };
                return Err(format!(
                    "The warn threshold {warn} for {name}_warn_threshold should be no {than} than the fail \
                     threshold {fail}"
                ));
            }
        }
        for (key, percent) in [
            ("warn", self.data_disk_usage_percentage_warn_threshold),
            ("fail", self.data_disk_usage_percentage_fail_threshold),
        ] {
            if percent > 100 {
                return Err(format!(
                    "Invalid value {percent} for data_disk_usage_percentage_{key}_threshold: maximum allowed value is 100"
                ));
            }
        }
        if self.default_keyspace_rf == 0 {
            return Err("default_keyspace_rf must be 1 or more".into());
        }
        Ok(())
    }

    /// Above how much of one partition in a file the log tells of it.
    #[must_use]
    pub fn partition_bounds(&self) -> PartitionBounds {
        let bound = |threshold: i64| u64::try_from(threshold).unwrap_or(u64::MAX);
        PartitionBounds {
            warn_bytes: bound(self.partition_size_warn_threshold),
            fail_bytes: bound(self.partition_size_fail_threshold),
            warn_tombstones: bound(self.partition_tombstones_warn_threshold),
            fail_tombstones: bound(self.partition_tombstones_fail_threshold),
        }
    }

    /// From where on the node's disk is stuffed or full.
    #[must_use]
    pub fn disk_usage_bounds(&self) -> DiskUsageBounds {
        let bound = |threshold: i64| u64::try_from(threshold).ok();
        DiskUsageBounds {
            warn_percent: bound(self.data_disk_usage_percentage_warn_threshold),
            fail_percent: bound(self.data_disk_usage_percentage_fail_threshold),
            max_disk_bytes: bound(self.data_disk_usage_max_disk_size),
        }
    }

    /// All bounds by their names: of warnings, of refusals, and whether they are bounds from below.
    const fn thresholds(&self) -> [(&'static str, i64, i64, bool); 18] {
        [
            ("keyspaces", self.keyspaces_warn_threshold, self.keyspaces_fail_threshold, false),
            ("tables", self.tables_warn_threshold, self.tables_fail_threshold, false),
            (
                "columns_per_table",
                self.columns_per_table_warn_threshold,
                self.columns_per_table_fail_threshold,
                false,
            ),
            ("fields_per_udt", self.fields_per_udt_warn_threshold, self.fields_per_udt_fail_threshold, false),
            (
                "vector_dimensions",
                self.vector_dimensions_warn_threshold,
                self.vector_dimensions_fail_threshold,
                false,
            ),
            (
                "column_value_size",
                self.column_value_size_warn_threshold,
                self.column_value_size_fail_threshold,
                false,
            ),
            (
                "collection_size",
                self.collection_size_warn_threshold,
                self.collection_size_fail_threshold,
                false,
            ),
            (
                "items_per_collection",
                self.items_per_collection_warn_threshold,
                self.items_per_collection_fail_threshold,
                false,
            ),
            ("page_size", self.page_size_warn_threshold, self.page_size_fail_threshold, false),
            (
                "partition_keys_in_select",
                self.partition_keys_in_select_warn_threshold,
                self.partition_keys_in_select_fail_threshold,
                false,
            ),
            (
                "in_select_cartesian_product",
                self.in_select_cartesian_product_warn_threshold,
                self.in_select_cartesian_product_fail_threshold,
                false,
            ),
            (
                "minimum_replication_factor",
                self.minimum_replication_factor_warn_threshold,
                self.minimum_replication_factor_fail_threshold,
                true,
            ),
            (
                "maximum_replication_factor",
                self.maximum_replication_factor_warn_threshold,
                self.maximum_replication_factor_fail_threshold,
                false,
            ),
            (
                "minimum_timestamp",
                self.minimum_timestamp_warn_threshold,
                self.minimum_timestamp_fail_threshold,
                false,
            ),
            (
                "maximum_timestamp",
                self.maximum_timestamp_warn_threshold,
                self.maximum_timestamp_fail_threshold,
                false,
            ),
            ("partition_size", self.partition_size_warn_threshold, self.partition_size_fail_threshold, false),
            (
                "partition_tombstones",
                self.partition_tombstones_warn_threshold,
                self.partition_tombstones_fail_threshold,
                false,
            ),
            (
                "data_disk_usage_percentage",
                self.data_disk_usage_percentage_warn_threshold,
                self.data_disk_usage_percentage_fail_threshold,
                false,
            ),
        ]
    }
}
