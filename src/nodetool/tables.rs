//! Which tables a command is about.

use super::client::query;
use clap::Args;

/// Which tables.
#[derive(Clone, Debug, Args)]
pub(super) struct Tables {
    /// Keyspace, or keyspace.table [default: all]
    pub(super) keyspace: Option<String>,
    /// Table [default: all]
    pub(super) table: Option<String>,
}

impl Tables {
    pub(super) fn query(&self) -> String {
        self.query_with(&[])
    }

    pub(super) fn query_with(&self, more: &[(&str, Option<&str>)]) -> String {
        let (keyspace, table) = match self.keyspace.as_deref().and_then(|name| name.split_once('.')) {
            Some((keyspace, table)) => (Some(keyspace), Some(table)),
            None => (self.keyspace.as_deref(), self.table.as_deref()),
        };
        query(&[&[("keyspace", keyspace), ("table", table)], more].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_with_its_keyspace_or_after_it() {
        let one = Tables { keyspace: Some("ks.t".into()), table: None };
        let other = Tables { keyspace: Some("ks".into()), table: Some("t".into()) };
        assert_eq!(one.query(), "?keyspace=ks&table=t");
        assert_eq!(other.query(), one.query());
        assert_eq!(query(&[("tag", Some("a b&c"))]), "?tag=a%20b%26c");
    }
}
