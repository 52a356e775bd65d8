//! Roles, users, permissions and identities.

use super::{FunctionName, QualifiedName, RawType};

/// `CREATE ROLE` or `CREATE USER` (which sets `login` and `superuser`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRole {
    /// The role.
    pub name: String,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Its options.
    pub options: RoleOptions,
}

/// `ALTER ROLE` or `ALTER USER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterRole {
    /// The role.
    pub name: String,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// What changes.
    pub options: RoleOptions,
}

/// `DROP ROLE` or `DROP USER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropRole {
    /// The role.
    pub name: String,
    /// `IF EXISTS`.
    pub if_exists: bool,
}

/// The options of a role, as far as they are given. At most one of the passwords is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleOptions {
    /// `PASSWORD`.
    pub password: Option<String>,
    /// `HASHED PASSWORD`.
    pub hashed_password: Option<String>,
    /// `GENERATED PASSWORD` (after 5.0).
    pub generated_password: bool,
    /// `SUPERUSER`.
    pub superuser: Option<bool>,
    /// `LOGIN`.
    pub login: Option<bool>,
    /// `OPTIONS`.
    pub options: Option<Vec<(String, String)>>,
    /// `ACCESS TO DATACENTERS`.
    pub datacenters: Option<Access>,
    /// `ACCESS FROM CIDRS`.
    pub cidrs: Option<Access>,
}

/// From or to where a role has access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everywhere.
    All,
    /// These names only.
    Only(Vec<String>),
}

/// A permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the permission that it is named after")]
pub enum Permission {
    Create,
    Alter,
    Drop,
    Select,
    Modify,
    Authorize,
    Describe,
    Execute,
    Unmask,
    SelectMasked,
}

/// The permissions of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// `ALL [PERMISSIONS]`.
    All,
    /// These.
    Some(Vec<Permission>),
}

/// What a permission is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `ALL KEYSPACES`.
    AllKeyspaces,
    /// `KEYSPACE name`.
    Keyspace(String),
    /// `ALL TABLES IN KEYSPACE name`.
    AllTables(String),
    /// `[TABLE] name`.
    Table(QualifiedName),
    /// `ALL ROLES`.
    AllRoles,
    /// `ROLE name`.
    Role(String),
    /// `ALL FUNCTIONS`.
    AllFunctions,
    /// `ALL FUNCTIONS IN KEYSPACE name`.
    AllFunctionsIn(String),
    /// `FUNCTION name(types)`.
    Function(FunctionName, Vec<RawType>),
    /// `ALL MBEANS`.
    AllMbeans,
    /// `MBEAN name`.
    Mbean(String),
    /// `MBEANS pattern`.
    Mbeans(String),
}

/// `GRANT permissions ON resource TO role`, and `REVOKE .. FROM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionChange {
    /// The permissions.
    pub permissions: Permissions,
    /// The resource.
    pub resource: Resource,
    /// The role that gets or loses them.
    pub role: String,
}

/// `GRANT role TO role`, and `REVOKE .. FROM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleChange {
    /// The role that is granted.
    pub role: String,
    /// The role that gets or loses it.
    pub grantee: String,
}

/// `LIST permissions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPermissions {
    /// The permissions.
    pub permissions: Permissions,
    /// `ON`.
    pub resource: Option<Resource>,
    /// `OF`.
    pub role: Option<String>,
    /// Not `NORECURSIVE`.
    pub recursive: bool,
}

/// `LIST ROLES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRoles {
    /// `OF`.
    pub role: Option<String>,
    /// Not `NORECURSIVE`.
    pub recursive: bool,
}

/// `ADD IDENTITY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddIdentity {
    /// The identity in a client's certificate.
    pub identity: String,
    /// The role that it stands for.
    pub role: String,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
}

/// `DROP IDENTITY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropIdentity {
    /// The identity.
    pub identity: String,
    /// `IF EXISTS`.
    pub if_exists: bool,
}
