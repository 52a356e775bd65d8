//! INSERT, UPDATE and DELETE to plans.

use super::{JsonSource, Kind, ModificationPlan};
use crate::ast::{
    Attributes, Delete, Insert, InsertSource, Operand, Operator, Relation, Subject, Term, Update,
};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::guardrails::Guard;
use crate::restrictions::{Purpose, Restrictions, column_of};
use crate::statement::cells::{Change, Operation};
use crate::statement::change::{change_of, deletion_of};
use crate::statement::condition::{CUSTOM_TIMESTAMP, Conditions};
use crate::term::{Expression, Receiver};
use dodona_types::CqlType;
use dodona_types::schema::{ColumnKind, Table};
use std::sync::Arc;

impl ModificationPlan {
    fn base(
        context: &mut Context<'_>,
        table: &Arc<Table>,
        kind: Kind,
        attributes: &Attributes,
    ) -> Result<Self, CqlError> {
        refuse_system_tables(table)?;
        if table.is_counter() && kind == Kind::Insert {
            return invalid("INSERT statements are not allowed on counter tables, use UPDATE instead");
        }
        if attributes.timestamp.is_some() {
            let what = "User provided timestamps (USING TIMESTAMP)";
            Guard::enabled("user_timestamps", context.guardrails.user_timestamps_enabled, what)?;
        }
        let mut attribute = |term: &Option<Term>, name: &str, ty: CqlType| match term {
            Some(term) => Expression::prepare(context, term, &Receiver::new(name, ty)).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            table: Arc::clone(table),
            kind,
            restrictions: None,
            json: None,
            operations: Vec::new(),
            timestamp: attribute(&attributes.timestamp, "[timestamp]", CqlType::Bigint)?,
            ttl: attribute(&attributes.ttl, "[ttl]", CqlType::Int)?,
            reads_first: false,
            is_counter: table.is_counter(),
            counts: false,
            conditions: Conditions::None,
        })
    }

    /// The plan of an INSERT.
    pub(crate) fn insert(context: &mut Context<'_>, insert: &Insert) -> Result<Self, CqlError> {
        let table = context.table(&insert.table)?;
        let mut plan = Self::base(context, &table, Kind::Insert, &insert.attributes)?;
        if insert.if_not_exists {
            plan.conditions = Conditions::NotExists;
        }
        match &insert.source {
            InsertSource::Json { document, default_unset } => {
                let document =
                    Expression::prepare(context, document, &Receiver::new("[json]", CqlType::Text))?;
                plan.json = Some(JsonSource { document, default_unset: *default_unset });
                // A document names every column of the key.
                table.clustering_key().try_for_each(|column| column_of(&table, &column.name).map(drop))?;
                plan.finish()
            }
            InsertSource::Values { columns, values } => plan.insert_values(context, columns, values),
        }
    }

    fn insert_values(
        mut self,
        context: &mut Context<'_>,
        columns: &[String],
        values: &[Term],
    ) -> Result<Self, CqlError> {
        if columns.len() != values.len() {
            return invalid("Unmatched column names/values");
        }
        let mut relations = Vec::new();
        for (index, (name, term)) in columns.iter().zip(values).enumerate() {
            let column = column_of(&self.table, name)?.clone();
            if columns[..index].contains(name) {
                return invalid("The column names contains duplicates");
            }
            if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
                relations.push(equality(name, term));
                continue;
            }
            let change = change_of(context, &column, &crate::ast::Operation::Set(term.clone()), false)?;
            self.operations.push(Operation { column, change });
        }
        if let Some(column) = self.table.empty_value() {
            let empty = Change::Set(Expression::Constant(Some(Arc::from([]))));
            self.operations.push(Operation { column: column.clone(), change: empty });
        }
        self.restrictions =
            Some(Restrictions::prepare(context, &self.table, &relations, self.purpose("INSERT"))?);
        self.finish()
    }

    /// The plan of an UPDATE.
    pub(crate) fn update(context: &mut Context<'_>, update: &Update) -> Result<Self, CqlError> {
        let table = context.table(&update.table)?;
        let mut plan = Self::base(context, &table, Kind::Update, &update.attributes)?;
        plan.conditions = Conditions::prepare(context, &table, &update.condition, plan.has_timestamp())?;
        for assignment in &update.assignments {
            let column = column_of(&table, &assignment.column)?.clone();
            if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
                return invalid(format!("PRIMARY KEY part {} found in SET part", column.name));
            }
            let change = change_of(context, &column, &assignment.operation, plan.is_conditional())?;
            check_allowed(context, &change)?;
            let clash = |other: &&Operation| {
                other.column.id == column.id && (change.is_whole() || other.change.is_whole())
            };
            if plan.operations.iter().any(|other| clash(&other)) {
                return invalid(format!("Multiple incompatible setting of column {}", column.name));
            }
            plan.operations.push(Operation { column, change });
        }
        plan.restrictions =
            Some(Restrictions::prepare(context, &table, &update.relations, plan.purpose("UPDATE"))?);
        plan.finish()
    }

    /// The plan of a DELETE.
    pub(crate) fn delete(context: &mut Context<'_>, delete: &Delete) -> Result<Self, CqlError> {
        let table = context.table(&delete.table)?;
        let mut plan = Self::base(context, &table, Kind::Delete, &delete.attributes)?;
        plan.conditions = Conditions::prepare(context, &table, &delete.condition, plan.has_timestamp())?;
        for (name, part) in &delete.columns {
            let column = column_of(&table, name)?.clone();
            if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
                return invalid(format!(
                    "Invalid identifier {name} for deletion (should not be a PRIMARY KEY part)"
                ));
            }
            let change = deletion_of(context, &column, part.as_ref())?;
            check_allowed(context, &change)?;
            plan.operations.push(Operation { column, change });
        }
        plan.restrictions =
            Some(Restrictions::prepare(context, &table, &delete.relations, plan.purpose("DELETE"))?);
        plan.finish()
    }

    /// Checks what Cassandra looks at once it has prepared the statement, or all of a batch.
    pub(crate) fn check(&self) -> Result<(), CqlError> {
        if self.is_counter && self.has_timestamp() {
            return invalid("Cannot provide custom timestamp for counter updates");
        }
        if self.is_counter && self.ttl.is_some() {
            return invalid("Cannot provide custom TTL for counter updates");
        }
        Ok(())
    }

    fn purpose(&self, statement: &'static str) -> Purpose {
        let is_static = |operation: &Operation| operation.column.kind == ColumnKind::Static;
        let only_static = !self.operations.is_empty()
            && self.operations.iter().all(is_static)
            && !self.conditions.has_regular();
        Purpose { statement, allow_filtering: false, only_static }
    }

    /// Checks that the primary key suits what is changed.
    fn finish(self) -> Result<Self, CqlError> {
        if self.is_counter && matches!(self.conditions, Conditions::Exists) {
            return invalid("Conditional updates are not supported on counter tables");
        }
        let checked = self.checked()?;
        if checked.is_conditional() && checked.has_timestamp() {
            return invalid(CUSTOM_TIMESTAMP);
        }
        Ok(checked)
    }

    fn checked(mut self) -> Result<Self, CqlError> {
        self.operations.sort_by_key(|operation| operation.column.id);
        self.reads_first = self.operations.iter().any(|operation| operation.change.reads_first());
        self.counts =
            self.operations.iter().any(|operation| matches!(operation.change, Change::Count { .. }));
        self.check_conditional()?;
        let Some(restrictions) = &self.restrictions else {
            return Ok(self);
        };
        if restrictions.names_whole_clustering() {
            return Ok(self);
        }
        let regular = self.operations.iter().find(|operation| operation.column.kind == ColumnKind::Regular);
        let missing = self.missing_clustering(restrictions);
        match (self.kind, regular) {
            // That no range is deleted of some columns is said when it is executed.
            (Kind::Delete, _) => Ok(self),
            // Without the clustering key only static columns can be meant.
            (_, None) if restrictions.is_whole_partition() && !self.operations.is_empty() => Ok(self),
            (Kind::Update, _) if restrictions.has_clustering_slice() => {
                invalid("Slice restrictions are not supported on the clustering columns in UPDATE statements")
            }
            _ => invalid(format!("Some clustering keys are missing: {missing}")),
        }
    }
}

impl ModificationPlan {
    /// The clustering columns that the statement does not name.
    pub(super) fn missing_clustering(&self, restrictions: &Restrictions) -> String {
        let missing = self.table.clustering_key().skip(restrictions.exact_clustering_columns());
        missing.map(|column| &*column.name).collect::<Vec<_>>().join(", ")
    }
}

/// Refuses changes of lists that guardrails do not allow.
fn check_allowed(context: &Context<'_>, change: &Change) -> Result<(), CqlError> {
    let what = match change {
        Change::RemoveFromList(_) => "Removal of list items",
        Change::SetIndex(..) => "Setting of list items by index",
        Change::DeleteIndex(_) => "Removal of list items by index",
        _ => return Ok(()),
    };
    let is_enabled = context.guardrails.read_before_write_list_operations_enabled;
    let what = format!("{what} requiring read before write");
    Guard::enabled("read_before_write_list_operations", is_enabled, &what)
}

fn refuse_system_tables(table: &Table) -> Result<(), CqlError> {
    if matches!(&*table.keyspace, "system" | "system_schema" | "system_virtual_schema" | "system_views") {
        return Err(CqlError::Unauthorized(format!("{} keyspace is not user-modifiable.", table.keyspace)));
    }
    Ok(())
}

fn equality(name: &str, term: &Term) -> Relation {
    Relation {
        subject: Subject::Column(name.to_owned()),
        operator: Operator::Equal,
        operand: Operand::One(term.clone()),
        position: term.position,
    }
}
