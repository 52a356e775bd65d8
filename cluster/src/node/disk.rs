//! Looks at the data disk now and then, tells others how full it is, and knows it of those who are written to
//! (Cassandra: the guardrail `data_disk_usage_percentage`, `DiskUsageMonitor`).

use super::Node;
use crate::disk_usage::DiskUsageBounds;
use crate::gossip::disk_usages::DiskUsage;
use crate::gossip::state::Key;
use crate::on_engine::on_engine;
use dodona_types::{TableId, Token};
use std::sync::Arc;
use std::time::Duration;

/// How often a node looks at its disk.
const PERIOD: Duration = Duration::from_secs(5);

impl Node {
    /// How full the fullest disk of those is that a token of a table is written to.
    #[must_use]
    pub fn disk_usage_of(&self, table: TableId, token: Token) -> DiskUsage {
        let usages = self.gossiper.disk_usages();
        if usages.are_spacious() {
            return DiskUsage::Spacious;
        }
        let placement = self.placement();
        let (Ok(replicas), Ok(pending)) = (placement.replicas(table, token), placement.pending(table, token))
        else {
            return DiskUsage::Spacious;
        };
        let members = placement.ring.members();
        let hosts = replicas.iter().chain(&pending).map(|member| members[*member].host);
        hosts.map(|host| usages.of(host)).max().unwrap_or(DiskUsage::Spacious)
    }

    /// Looks at the disk now and then, and tells the others.
    pub(super) async fn watch_disk(self: Arc<Self>) {
        let bounds = self.settings.disk_usage;
        if bounds.are_none() {
            return;
        }
        let mut before = DiskUsage::Spacious;
        loop {
            match on_engine(&self.env.tasks, &self.engine, move |engine| bounds.look(engine)).await {
                Ok((usage, percent)) => {
                    if usage != before {
                        tell(usage, percent, &bounds);
                        before = usage;
                    }
                    self.gossiper.set(Key::DISK_USAGE, usage.to_string());
                }
                Err(error) => tracing::warn!(%error, "how full the disk is cannot be seen"),
            }
            dodona_env::clock::sleep(PERIOD).await;
        }
    }
}

fn tell(usage: DiskUsage, percent: u64, bounds: &DiskUsageBounds) {
    let what = format!("Local data disk usage {percent}%({usage})");
    match (usage, bounds.warn_percent, bounds.fail_percent) {
        (DiskUsage::Full, _, Some(bound)) => tracing::error!(
            "Guardrail local_data_disk_usage violated: {what} exceeds failure threshold of {bound}%, will stop accepting writes"
        ),
        (DiskUsage::Stuffed, Some(bound), _) => {
            tracing::warn!(
                "Guardrail local_data_disk_usage violated: {what} exceeds warning threshold of {bound}%"
            );
        }
        _ => tracing::warn!("{what} is below the thresholds again"),
    }
}
