//! EXPLAIN of INSERT, UPDATE and DELETE: what [`ModificationPlan::execute`] would do.

use super::{Kind, ModificationPlan, check_write_consistency, conditional};
use crate::binding::Binding;
use crate::error::CqlError;
use crate::host::Host;
use crate::session::Parameters;
use crate::statement::explanation::{Explanation, Line, MOST_PARTITIONS, counted};
use dodona_types::Token;

/// How counters are changed.
pub(in crate::statement) const COUNTING: &str =
    "one replica leads: it reads its count, adds to it and tells the others";
/// What some changes of lists begin with.
pub(in crate::statement) const LISTS_FIRST: &str = "the lists that are changed by index or value, first";

impl ModificationPlan {
    /// Tells what an execution with these values would do. It writes nothing, and reads nothing.
    pub(crate) fn explain(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
        out: &mut Explanation,
    ) -> Result<(), CqlError> {
        self.judge(binding, parameters)?;
        if self.is_counter() {
            self.check_counter_level(parameters)?;
        }
        if !self.is_conditional() {
            check_write_consistency(parameters)?;
        }
        let keys = self.partition_keys(binding)?;
        out.put(Line {
            what: match self.kind {
                Kind::Insert => "INSERT",
                Kind::Update => "UPDATE",
                Kind::Delete => "DELETE",
            },
            source: Some(format!("{}.{}", self.table.keyspace, self.table.name)),
            detail: format!("changes {} by key", counted(keys.len(), "partition")),
            ..Line::default()
        });
        let level = parameters.consistency;
        if self.is_conditional() {
            conditional::check(host, &[(self, binding)], parameters)?;
            let serial = parameters.serial_consistency.name();
            out.say(
                "Paxos",
                format!("at {serial}: reads the rows, judges them, then commits at {}", level.name()),
            );
        } else if self.counts() {
            out.say("counter", COUNTING);
        } else if self.reads_first() {
            out.say("read", LISTS_FIRST);
        }
        for key in keys.iter().take(MOST_PARTITIONS) {
            out.enter(&self.table, key)?;
            let token = Token::of_key(key);
            let coordinator = &host.node.coordinator;
            let asked = coordinator.asked_to_write(self.table.id, token, level)?;
            out.put(Line {
                what: "partition",
                detail: format!(
                    "token {token}, {} of {} must acknowledge at {}",
                    asked.block_for,
                    counted(asked.replicas.len(), "replica"),
                    level.name()
                ),
                bytes: self.mutation_bytes(key, binding, parameters)?,
                ..Line::default()
            });
            let leader = self.counts().then(|| coordinator.asked_to_count(&asked)).flatten();
            out.written(&asked, leader.as_ref());
        }
        out.leave();
        if keys.len() > MOST_PARTITIONS {
            out.say("partitions", format!("{} more, in the same way", keys.len() - MOST_PARTITIONS));
        }
        Ok(())
    }

    /// Bytes of the mutation of a partition, where nothing must be read to make it.
    fn mutation_bytes(
        &self,
        key: &[u8],
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
    ) -> Result<Option<u64>, CqlError> {
        if self.is_conditional() || self.counts() || self.reads_first() {
            return Ok(None);
        }
        let times = self.times(binding, parameters.timestamp_micros)?;
        let mut builder = dodona_types::MutationBuilder::new();
        self.build(key, binding, &times, &super::ExistingLists::default(), &mut builder)?;
        Ok(Some(if builder.is_empty() { 0 } else { builder.view().bytes().len() as u64 }))
    }
}
