//! EXPLAIN of BATCH: what an execution would do with each partition.

use super::{TextBatch, bounds, check_consistency, views_of};
use crate::ast::BatchKind;
use crate::binding::Binding;
use crate::error::CqlError;
use crate::host::Host;
use crate::session::Parameters;
use crate::statement::explanation::{Explanation, Line, MOST_PARTITIONS, counted};
use crate::statement::modification::conditional::{self, Part};
use crate::statement::modification::explain::{COUNTING, LISTS_FIRST};
use dodona_cluster::coordinator::explain::Asked;
use dodona_types::schema::Table;
use dodona_types::{TableId, Token};
use std::collections::{BTreeMap, BTreeSet};

/// What a batch does with a partition.
struct Changed<'b> {
    table: &'b Table,
    key: Vec<u8>,
    statements: usize,
    counts: bool,
    /// Bytes of its mutations; none where something must be read to make them.
    bytes: Option<u64>,
}

impl TextBatch {
    /// Tells what an execution with these values would do. It writes nothing, and reads nothing.
    pub(crate) fn explain(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
        out: &mut Explanation,
    ) -> Result<(), CqlError> {
        binding.guard.write_level(parameters.consistency)?;
        let mut warnings = Vec::new();
        let mut bytes: BTreeMap<(TableId, Vec<u8>), u64> = BTreeMap::new();
        let is_known = !self.is_conditional() && !self.reads_first();
        if self.is_conditional() {
            let parts: Vec<Part<'_>> = self.statements.iter().map(|statement| (statement, binding)).collect();
            conditional::check(host, &parts, parameters)?;
        } else {
            check_consistency(parameters)?;
            self.counts(binding)?;
        }
        if is_known {
            let mutations = self.mutations(binding, parameters, &[])?;
            warnings = bounds::check(host, self.kind, &mutations)?;
            for view in views_of(&mutations)? {
                *bytes.entry((view.table, view.key.bytes.to_vec())).or_default() += view.bytes().len() as u64;
            }
        }
        let mut partitions = self.partitions(binding)?;
        for changed in partitions.iter_mut().filter(|changed| is_known && !changed.counts) {
            let bytes = bytes.get(&(changed.table.id, changed.key.clone()));
            changed.bytes = Some(bytes.copied().unwrap_or_default());
        }
        out.say("BATCH", self.summary(&partitions));
        self.manner(parameters, out);
        let coordinator = &host.node.coordinator;
        let mut asked = Vec::new();
        for changed in &partitions {
            let token = Token::of_key(&changed.key);
            asked.push(coordinator.asked_to_write(changed.table.id, token, parameters.consistency)?);
        }
        if self.kind == BatchKind::Logged && !self.is_conditional() {
            let mutations: usize = partitions.iter().map(|changed| changed.statements).sum();
            explain_log(host, mutations, &asked, out);
        }
        for (changed, asked) in partitions.iter().zip(&asked).take(MOST_PARTITIONS) {
            out.enter(changed.table, &changed.key)?;
            out.put(Line {
                what: "partition",
                source: Some(format!("{}.{}", changed.table.keyspace, changed.table.name)),
                detail: format!(
                    "token {}, {} of {} must acknowledge at {}; {}",
                    Token::of_key(&changed.key),
                    asked.block_for,
                    counted(asked.replicas.len(), "replica"),
                    parameters.consistency.name(),
                    counted(changed.statements, "statement"),
                ),
                bytes: changed.bytes,
                ..Line::default()
            });
            let leader = changed.counts.then(|| coordinator.asked_to_count(asked)).flatten();
            out.written(asked, leader.as_ref());
        }
        out.leave();
        if partitions.len() > MOST_PARTITIONS {
            out.say("partitions", format!("{} more, in the same way", partitions.len() - MOST_PARTITIONS));
        }
        warnings.into_iter().for_each(|warning| out.say("warning", warning));
        Ok(())
    }

    /// The partitions in the order in which statements name them.
    fn partitions(&self, binding: &Binding<'_>) -> Result<Vec<Changed<'_>>, CqlError> {
        let mut places: BTreeMap<(TableId, Vec<u8>), usize> = BTreeMap::new();
        let mut partitions: Vec<Changed<'_>> = Vec::new();
        for statement in &self.statements {
            for key in statement.partition_keys(binding)? {
                let table = &*statement.table;
                let place = *places.entry((table.id, key.clone())).or_insert(partitions.len());
                if place == partitions.len() {
                    let (statements, counts, bytes) = (0, false, None);
                    partitions.push(Changed { table, key, statements, counts, bytes });
                }
                partitions[place].statements += 1;
                partitions[place].counts |= statement.counts();
            }
        }
        Ok(partitions)
    }

    fn summary(&self, partitions: &[Changed<'_>]) -> String {
        let kind = match self.kind {
            BatchKind::Logged => "logged",
            BatchKind::Unlogged => "unlogged",
            BatchKind::Counter => "of counters",
        };
        let tables: BTreeSet<TableId> = partitions.iter().map(|changed| changed.table.id).collect();
        format!(
            "{kind}: {} on {} of {}",
            counted(self.statements.len(), "statement"),
            counted(partitions.len(), "partition"),
            counted(tables.len(), "table")
        )
    }

    fn manner(&self, parameters: &Parameters<'_>, out: &mut Explanation) {
        if self.is_conditional() {
            let conditional = self.statements.iter().filter(|statement| statement.is_conditional()).count();
            out.say(
                "Paxos",
                format!(
                    "at {}: reads the rows, judges the conditions of {}, then commits all statements or none at {}",
                    parameters.serial_consistency.name(),
                    counted(conditional, "statement"),
                    parameters.consistency.name()
                ),
            );
            return;
        }
        if self.has_counts() {
            out.say("counter", format!("of each partition {COUNTING}; one partition after another"));
        }
        if self.reads_first() {
            out.say("read", LISTS_FIRST);
        }
        if self.kind != BatchKind::Logged && self.statements.len() > 1 {
            out.say("atomicity", "of each partition alone: some may be written and others not");
        }
    }
}

/// Tells who keeps the batch until all of it is written.
fn explain_log(host: &Host, mutations: usize, asked: &[Asked], out: &mut Explanation) {
    if mutations < 2 {
        return out.say("batch log", "not needed: there is one mutation");
    }
    if asked.iter().all(Asked::is_only_here) {
        return out
            .say("batch log", "not needed: this node alone holds all of it, and writes it as one record");
    }
    let keepers = host.node.coordinator.asked_to_keep();
    if keepers.count == 0 {
        return out.say("error", "nobody is alive that could keep the batch");
    }
    let detail = format!(
        "of {} below {} keep it until it is written: all of it is written in the end, or nothing",
        counted(keepers.members.len(), "member"),
        keepers.count,
    );
    out.say("batch log", detail);
    for address in keepers.members {
        let (source, detail) = (Some(address.to_string()), "may keep the batch".into());
        out.put(Line { what: "keeper", source, detail, ..Line::default() });
    }
}
