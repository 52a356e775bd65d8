//! A whole statement.

use super::*;

/// A statement and its bind markers.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedStatement {
    /// The statement.
    pub statement: Statement,
    /// The names of the bind markers, in the order of their numbers.
    pub markers: Vec<Option<String>>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the statement that it is named after")]
pub enum Statement {
    Select(Box<Select>),
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Batch(Batch),
    Truncate(QualifiedName),
    Use(String),
    Explain(Box<Self>),
    CreateKeyspace(CreateKeyspace),
    AlterKeyspace(AlterKeyspace),
    DropKeyspace(DropKeyspace),
    CreateTable(Box<CreateTable>),
    AlterTable(AlterTable),
    DropTable(DropNamed),
    CreateType(CreateType),
    AlterType(AlterType),
    DropType(DropNamed),
    CreateIndex(CreateIndex),
    DropIndex(DropNamed),
    CreateView(Box<CreateView>),
    AlterView(AlterView),
    DropView(DropNamed),
    CreateFunction(Box<CreateFunction>),
    DropFunction(DropFunction),
    CreateAggregate(Box<CreateAggregate>),
    DropAggregate(DropFunction),
    CreateTrigger(CreateTrigger),
    DropTrigger(DropTrigger),
    CreateRole(CreateRole),
    AlterRole(AlterRole),
    DropRole(DropRole),
    GrantRole(RoleChange),
    RevokeRole(RoleChange),
    ListRoles(ListRoles),
    ListUsers,
    ListSuperusers,
    Grant(PermissionChange),
    Revoke(PermissionChange),
    ListPermissions(ListPermissions),
    AddIdentity(AddIdentity),
    DropIdentity(DropIdentity),
    Describe(Describe),
}
