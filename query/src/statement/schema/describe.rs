//! DESCRIBE on the server (CQL 3.4.7; Cassandra `DescribeStatement`). All rows come in one page.

use crate::ast::{Describe, DescribeTarget, FunctionName, QualifiedName};
use crate::create_text::{TextOptions, keyspace_text, table_text, type_text, types_in_order};
use crate::error::{CqlError, invalid};
use crate::host::Host;
use crate::outcome::{ColumnSpec, Outcome, StatementResult};
use crate::system_keyspaces::{is_system_keyspace, is_virtual_keyspace};
use dodona_cluster::replication::Replication;
use dodona_types::cql_type::quote_identifier;
use dodona_types::schema::{Keyspace, Schema, Table};
use dodona_types::value::{Value, encode};
use dodona_types::{CqlType, RowSink, UserType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `DESCRIBE ..`, in the session's keyspace.
#[derive(Debug)]
pub(crate) struct DescribePlan {
    describe: Describe,
    current: Option<Arc<str>>,
}

/// A row of the answer.
struct Element {
    keyspace: String,
    kind: &'static str,
    name: String,
    /// The statement that makes it; none in lists of names.
    text: Option<String>,
}

impl DescribePlan {
    pub(super) const fn new(describe: Describe, current: Option<Arc<str>>) -> Self {
        Self { describe, current }
    }

    /// The columns of the answer.
    pub(super) fn columns(&self, host: &Host) -> Vec<ColumnSpec> {
        let text = |names: &[&str]| names.iter().map(|name| column(name, CqlType::Text)).collect::<Vec<_>>();
        match &self.describe.target {
            DescribeTarget::Cluster => {
                let mut columns = text(&["cluster", "partitioner", "snitch"]);
                if self.placed_keyspace(&host.node.schema()).is_some() {
                    columns.push(column("range_ownership", range_ownership_type()));
                }
                columns
            }
            DescribeTarget::Keyspaces
            | DescribeTarget::Tables
            | DescribeTarget::Types
            | DescribeTarget::Functions
            | DescribeTarget::Aggregates => text(&["keyspace_name", "type", "name"]),
            _ => text(&["keyspace_name", "type", "name", "create_statement"]),
        }
    }

    pub(super) fn execute(&self, host: &Host, sink: &mut dyn RowSink) -> Result<Outcome, CqlError> {
        let schema = host.node.schema();
        if self.describe.target == DescribeTarget::Cluster {
            self.cluster(host, &schema, sink)?;
        } else {
            let describer = Describer { schema: &schema, plan: self };
            for element in describer.elements()? {
                sink.value(Some(quote_identifier(&element.keyspace).as_bytes()));
                sink.value(Some(element.kind.as_bytes()));
                sink.value(Some(quote_identifier(&element.name).as_bytes()));
                if let Some(text) = element.text {
                    sink.value(Some(text.as_bytes()));
                }
                sink.end_row();
            }
        }
        Ok(Outcome::of(StatementResult::Rows { paging_state: None }))
    }

    /// The current keyspace, if its place on the ring is worth showing.
    fn placed_keyspace<'a>(&self, schema: &'a Schema) -> Option<&'a Arc<Keyspace>> {
        let current = self.current.as_deref()?;
        if is_system_keyspace(current) { None } else { schema.keyspace(current) }
    }

    fn cluster(&self, host: &Host, schema: &Schema, sink: &mut dyn RowSink) -> Result<(), CqlError> {
        sink.value(Some(host.node.info.cluster_name.as_bytes()));
        sink.value(Some(b"Murmur3Partitioner"));
        // What Cassandra says, whichever snitch it wraps.
        sink.value(Some(b"DynamicEndpointSnitch"));
        if let Some(keyspace) = self.placed_keyspace(schema) {
            sink.value(Some(&range_ownership(host, keyspace)?));
        }
        sink.end_row();
        Ok(())
    }
}

fn column(name: &str, cql_type: CqlType) -> ColumnSpec {
    ColumnSpec { keyspace: "system".into(), table: "describe".into(), name: name.into(), cql_type }
}

fn range_ownership_type() -> CqlType {
    CqlType::map(CqlType::Text, CqlType::list(CqlType::Text, false), false)
}

/// For each range's end the addresses of the nodes that hold it.
fn range_ownership(host: &Host, keyspace: &Keyspace) -> Result<Vec<u8>, CqlError> {
    let placement = host.node.placement();
    let strategy = Replication::from_options(&keyspace.replication).map_err(CqlError::Server)?;
    let members = placement.ring.members();
    let mut owners = BTreeMap::new();
    for token in members.iter().flat_map(|member| &member.tokens) {
        let replicas = strategy.replicas(&placement.ring, *token, placement.local);
        let addresses = replicas.iter().map(|index| Value::Text(format!("/{}", members[*index].internode)));
        owners.insert(token.to_string(), Value::List(addresses.collect()));
    }
    let entries = owners.into_iter().map(|(token, addresses)| (Value::Text(token), addresses));
    let mut out = Vec::new();
    encode(&range_ownership_type(), &Value::Map(entries.collect()), &mut out)?;
    Ok(out)
}

struct Describer<'a> {
    schema: &'a Schema,
    plan: &'a DescribePlan,
}

impl<'a> Describer<'a> {
    fn elements(&self) -> Result<Vec<Element>, CqlError> {
        Ok(match &self.plan.describe.target {
            // It has columns of its own.
            DescribeTarget::Cluster => Vec::new(),
            DescribeTarget::Keyspaces => self
                .keyspaces()
                .into_iter()
                .map(|keyspace| name_of(keyspace, "keyspace", &keyspace.name))
                .collect(),
            DescribeTarget::Schema { full } => self
                .keyspaces()
                .into_iter()
                .filter(|keyspace| *full || !is_system_keyspace(&keyspace.name))
                .flat_map(|keyspace| self.whole_keyspace(keyspace))
                .collect(),
            DescribeTarget::Tables => self.names("table", |keyspace| keyspace.tables.keys())?,
            DescribeTarget::Types => self.names("type", |keyspace| keyspace.types.keys())?,
            DescribeTarget::Functions | DescribeTarget::Aggregates => {
                self.listed()?;
                Vec::new()
            }
            DescribeTarget::Keyspace { name, only } => {
                let keyspace = self.keyspace(name.as_deref())?;
                if *only { vec![self.keyspace_element(keyspace)] } else { self.whole_keyspace(keyspace) }
            }
            DescribeTarget::Table(name) => vec![self.table(name)?],
            DescribeTarget::Type(name) => {
                let keyspace = self.keyspace(name.keyspace.as_deref())?;
                match keyspace.types.get(name.name.as_str()) {
                    Some(definition) => vec![type_element(definition)],
                    None => return not_found("User defined type", &name.name, keyspace),
                }
            }
            DescribeTarget::Function(name) => return self.no_function("User defined function", name),
            DescribeTarget::Aggregate(name) => return self.no_function("User defined aggregate", name),
            DescribeTarget::Index(name) => {
                let keyspace = self.keyspace(name.keyspace.as_deref())?;
                return not_found("Table for existing index", &name.name, keyspace);
            }
            DescribeTarget::View(name) => {
                let keyspace = self.keyspace(name.keyspace.as_deref())?;
                return not_found("Materialized view", &name.name, keyspace);
            }
            DescribeTarget::Any(name) => self.any(name)?,
        })
    }

    /// All keyspaces, in order.
    fn keyspaces(&self) -> Vec<&'a Arc<Keyspace>> {
        in_order(self.schema.keyspaces.values(), |keyspace| &keyspace.name)
    }

    /// The keyspaces whose names are listed: the current one, or all.
    fn listed(&self) -> Result<Vec<&'a Arc<Keyspace>>, CqlError> {
        match &self.plan.current {
            Some(current) => Ok(vec![self.existing_keyspace(current)?]),
            None => Ok(self.keyspaces()),
        }
    }

    fn names<I: Iterator<Item = &'a Arc<str>>>(
        &self,
        kind: &'static str,
        names: impl Fn(&'a Keyspace) -> I,
    ) -> Result<Vec<Element>, CqlError> {
        let keyspaces = self.listed()?;
        Ok(keyspaces
            .into_iter()
            .flat_map(|keyspace| {
                let names = in_order(names(keyspace), |name| name);
                names.into_iter().map(|name| name_of(keyspace, kind, name))
            })
            .collect())
    }

    fn existing_keyspace(&self, name: &str) -> Result<&'a Arc<Keyspace>, CqlError> {
        match self.schema.keyspace(name) {
            Some(keyspace) => Ok(keyspace),
            None => invalid(format!("'{name}' not found in keyspaces")),
        }
    }

    /// The keyspace of this name, or the current one.
    fn keyspace(&self, name: Option<&str>) -> Result<&'a Arc<Keyspace>, CqlError> {
        match name.or(self.plan.current.as_deref()) {
            Some(name) => self.existing_keyspace(name),
            None => invalid("No keyspace specified and no current keyspace"),
        }
    }

    fn options(&self, keyspace: &str) -> TextOptions {
        TextOptions {
            internals: self.plan.describe.with_internals,
            is_virtual: is_virtual_keyspace(keyspace),
        }
    }

    fn keyspace_element(&self, keyspace: &Keyspace) -> Element {
        let text = keyspace_text(keyspace, self.options(&keyspace.name));
        Element { text: Some(text), ..name_of(keyspace, "keyspace", &keyspace.name) }
    }

    fn table_element(&self, table: &Table) -> Element {
        Element {
            keyspace: table.keyspace.to_string(),
            kind: "table",
            name: table.name.to_string(),
            text: Some(table_text(table, self.options(&table.keyspace))),
        }
    }

    fn whole_keyspace(&self, keyspace: &Keyspace) -> Vec<Element> {
        let mut elements = vec![self.keyspace_element(keyspace)];
        elements.extend(types_in_order(keyspace).into_iter().map(type_element));
        let tables = in_order(keyspace.tables.values(), |table| &table.name);
        elements.extend(tables.into_iter().map(|table| self.table_element(table)));
        elements
    }

    fn table(&self, name: &QualifiedName) -> Result<Element, CqlError> {
        let keyspace = self.keyspace(name.keyspace.as_deref())?;
        match keyspace.tables.get(name.name.as_str()) {
            Some(table) => Ok(self.table_element(table)),
            None => invalid(format!("Table '{}' not found in keyspace '{}'", name.name, keyspace.name)),
        }
    }

    fn no_function(&self, what: &str, name: &FunctionName) -> Result<Vec<Element>, CqlError> {
        not_found(what, &name.name, self.keyspace(name.keyspace.as_deref())?)
    }

    /// A name alone: a keyspace, or a table of the current one.
    fn any(&self, name: &QualifiedName) -> Result<Vec<Element>, CqlError> {
        if name.keyspace.is_none()
            && let Some(keyspace) = self.schema.keyspace(&name.name)
        {
            return Ok(self.whole_keyspace(keyspace));
        }
        let keyspace = name.keyspace.as_deref().or(self.plan.current.as_deref()).unwrap_or(&name.name);
        let keyspace = self.existing_keyspace(keyspace)?;
        match keyspace.tables.get(name.name.as_str()) {
            Some(table) => Ok(vec![self.table_element(table)]),
            None => invalid(format!("'{}' not found in keyspace '{}'", name.name, keyspace.name)),
        }
    }
}

/// In the order of the names, whatever their case (Cassandra `SchemaElement.NAME_COMPARATOR`).
fn in_order<'a, T: 'a>(things: impl Iterator<Item = &'a T>, name: impl Fn(&T) -> &Arc<str>) -> Vec<&'a T> {
    let mut things: Vec<&T> = things.collect();
    things.sort_by_cached_key(|thing| name(thing).to_lowercase());
    things
}

fn not_found<T>(what: &str, name: &str, keyspace: &Keyspace) -> Result<T, CqlError> {
    invalid(format!("{what} '{name}' not found in '{}'", keyspace.name))
}

fn name_of(keyspace: &Keyspace, kind: &'static str, name: &str) -> Element {
    Element { keyspace: keyspace.name.to_string(), kind, name: name.to_owned(), text: None }
}

fn type_element(definition: &UserType) -> Element {
    Element {
        keyspace: definition.keyspace.to_string(),
        kind: "type",
        name: definition.name.to_string(),
        text: Some(type_text(definition)),
    }
}
