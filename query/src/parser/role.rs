//! Roles, users, permissions and identities.

use super::name::is_name;
use super::text::string_of;
use super::{Parsed, Parser, SyntaxError};
use crate::ast::{
    Access, AddIdentity, AlterRole, CreateRole, DropIdentity, DropRole, ListPermissions, ListRoles,
    Permission, PermissionChange, Permissions, Resource, RoleChange, RoleOptions, Statement,
};
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// `CREATE ROLE ..`, after ROLE.
    pub(super) fn create_role(&mut self) -> Parsed<CreateRole> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.role_name()?;
        Ok(CreateRole { name, if_not_exists, options: self.role_options()? })
    }

    /// `ALTER ROLE ..`, after ROLE.
    pub(super) fn alter_role(&mut self) -> Parsed<AlterRole> {
        let if_exists = self.if_exists()?;
        let name = self.role_name()?;
        Ok(AlterRole { name, if_exists, options: self.role_options()? })
    }

    /// `DROP ROLE ..`, after ROLE.
    pub(super) fn drop_role(&mut self) -> Parsed<DropRole> {
        let if_exists = self.if_exists()?;
        Ok(DropRole { name: self.role_name()?, if_exists })
    }

    /// `CREATE USER ..`, after USER.
    pub(super) fn create_user(&mut self) -> Parsed<CreateRole> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.user_name()?;
        let mut options = self.user_options()?;
        options.login = Some(true);
        options.superuser.get_or_insert(false);
        Ok(CreateRole { name, if_not_exists, options })
    }

    /// `ALTER USER ..`, after USER.
    pub(super) fn alter_user(&mut self) -> Parsed<AlterRole> {
        let if_exists = self.if_exists()?;
        let name = self.user_name()?;
        Ok(AlterRole { name, if_exists, options: self.user_options()? })
    }

    /// `DROP USER ..`, after USER.
    pub(super) fn drop_user(&mut self) -> Parsed<DropRole> {
        let if_exists = self.if_exists()?;
        Ok(DropRole { name: self.user_name()?, if_exists })
    }

    /// A word as it is written, or a string.
    fn word_or_string(&mut self, quoted: &'static str) -> Parsed<String> {
        match self.token.kind {
            TokenKind::Identifier => Ok(self.advance().text.to_owned()),
            TokenKind::String | TokenKind::DollarString => Ok(string_of(&self.advance())),
            TokenKind::QuotedName => Err(SyntaxError::plain(quoted)),
            _ => Err(self.unexpected()),
        }
    }

    fn user_name(&mut self) -> Parsed<String> {
        self.word_or_string(
            "Quoted strings are are not supported for user names and USER is deprecated, please use ROLE",
        )
    }

    fn identity(&mut self) -> Parsed<String> {
        self.word_or_string("Quoted strings are are not supported for identity")
    }

    fn user_options(&mut self) -> Parsed<RoleOptions> {
        let mut options = RoleOptions::default();
        if self.accept(Keyword::With) {
            match self.token.kind {
                TokenKind::Keyword(Keyword::Password) => {
                    self.advance();
                    options.password = Some(self.string()?);
                }
                TokenKind::Keyword(Keyword::Hashed) => {
                    self.expect_all(&[Keyword::Hashed, Keyword::Password])?;
                    options.hashed_password = Some(self.string()?);
                }
                TokenKind::Keyword(Keyword::Generated) => {
                    self.expect_all(&[Keyword::Generated, Keyword::Password])?;
                    options.generated_password = true;
                }
                _ => return Err(self.unexpected()),
            }
        }
        if self.accept(Keyword::Superuser) {
            options.superuser = Some(true);
        } else if self.accept(Keyword::NoSuperuser) {
            options.superuser = Some(false);
        }
        Ok(options)
    }

    fn role_options(&mut self) -> Parsed<RoleOptions> {
        let mut options = RoleOptions::default();
        if self.accept(Keyword::With) {
            self.and_list(|parser| parser.role_option(&mut options))?;
        }
        let passwords = [
            ("password", options.password.is_some()),
            ("hashed password", options.hashed_password.is_some()),
            ("generated password", options.generated_password),
        ];
        let mut given = passwords.iter().filter(|(_, given)| *given).map(|(name, _)| name);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let message = format!("Options '{first}' and '{second}' are mutually exclusive");
            return Err(SyntaxError::plain(message));
        }
        Ok(options)
    }

    fn role_option(&mut self, options: &mut RoleOptions) -> Parsed<()> {
        let TokenKind::Keyword(keyword) = self.token.kind else {
            return Err(self.unexpected());
        };
        match keyword {
            Keyword::Password => {
                self.advance();
                self.expect_symbol("=")?;
                let password = self.string()?;
                set_once(&mut options.password, password, "PASSWORD")
            }
            Keyword::Hashed => {
                self.expect_all(&[Keyword::Hashed, Keyword::Password])?;
                self.expect_symbol("=")?;
                let password = self.string()?;
                set_once(&mut options.hashed_password, password, "HASHED_PASSWORD")
            }
            Keyword::Generated => {
                self.expect_all(&[Keyword::Generated, Keyword::Password])?;
                options.generated_password = true;
                Ok(())
            }
            Keyword::Options => {
                self.advance();
                self.expect_symbol("=")?;
                let map = self.property_map()?;
                set_once(&mut options.options, map, "OPTIONS")
            }
            Keyword::Superuser => {
                let value = self.boolean_option()?;
                set_once(&mut options.superuser, value, "SUPERUSER")
            }
            Keyword::Login => {
                let value = self.boolean_option()?;
                set_once(&mut options.login, value, "LOGIN")
            }
            Keyword::Access => self.access(options),
            _ => Err(self.unexpected()),
        }
    }

    fn boolean_option(&mut self) -> Parsed<bool> {
        self.advance();
        self.expect_symbol("=")?;
        if self.token.kind != TokenKind::Boolean {
            return Err(self.expecting("BOOLEAN"));
        }
        Ok(self.advance().text.eq_ignore_ascii_case("true"))
    }

    fn access(&mut self, options: &mut RoleOptions) -> Parsed<()> {
        self.expect(Keyword::Access)?;
        let to_datacenters = self.accept(Keyword::To);
        if !to_datacenters {
            self.expect(Keyword::From)?;
        }
        let all = self.accept(Keyword::All);
        self.expect(if to_datacenters { Keyword::Datacenters } else { Keyword::Cidrs })?;
        let access = if all {
            Access::All
        } else {
            self.expect_symbol("{")?;
            let names = self.comma_list(Self::string)?;
            self.expect_symbol("}")?;
            Access::Only(names)
        };
        *(if to_datacenters { &mut options.datacenters } else { &mut options.cidrs }) = Some(access);
        Ok(())
    }

    /// `GRANT ..`.
    pub(super) fn grant(&mut self) -> Parsed<Statement> {
        self.expect(Keyword::Grant)?;
        if self.is_role_before(Keyword::To) {
            return self.role_change(Keyword::To).map(Statement::GrantRole);
        }
        self.permission_change(Keyword::To).map(Statement::Grant)
    }

    /// `REVOKE ..`.
    pub(super) fn revoke(&mut self) -> Parsed<Statement> {
        self.expect(Keyword::Revoke)?;
        if self.is_role_before(Keyword::From) {
            return self.role_change(Keyword::From).map(Statement::RevokeRole);
        }
        self.permission_change(Keyword::From).map(Statement::Revoke)
    }

    /// True if a role is granted or revoked, not permissions: some words may be either.
    fn is_role_before(&self, preposition: Keyword) -> bool {
        let is_role = is_name(&self.token) || self.is_string();
        is_role
            && (self.peek_is_keyword(preposition)
                || self.permission().is_none() && !self.is_keyword(Keyword::All))
    }

    fn role_change(&mut self, preposition: Keyword) -> Parsed<RoleChange> {
        let role = self.role_name()?;
        self.expect(preposition)?;
        Ok(RoleChange { role, grantee: self.role_name()? })
    }

    fn permission_change(&mut self, preposition: Keyword) -> Parsed<PermissionChange> {
        let permissions = self.permissions()?;
        self.expect(Keyword::On)?;
        let resource = self.resource()?;
        self.expect(preposition)?;
        Ok(PermissionChange { permissions, resource, role: self.role_name()? })
    }

    /// The permission that stands here.
    fn permission(&self) -> Option<Permission> {
        let TokenKind::Keyword(keyword) = self.token.kind else {
            return None;
        };
        Some(match keyword {
            Keyword::Create => Permission::Create,
            Keyword::Alter => Permission::Alter,
            Keyword::Drop => Permission::Drop,
            Keyword::Select => Permission::Select,
            Keyword::Modify => Permission::Modify,
            Keyword::Authorize => Permission::Authorize,
            Keyword::Describe => Permission::Describe,
            Keyword::Execute => Permission::Execute,
            Keyword::Unmask => Permission::Unmask,
            Keyword::SelectMasked => Permission::SelectMasked,
            _ => return None,
        })
    }

    fn permissions(&mut self) -> Parsed<Permissions> {
        if self.accept(Keyword::All) {
            self.accept(Keyword::Permissions);
            return Ok(Permissions::All);
        }
        let list = self.comma_list(|parser| {
            let permission = parser.permission().ok_or_else(|| parser.unexpected())?;
            parser.advance();
            parser.accept(Keyword::Permission);
            Ok(permission)
        })?;
        Ok(Permissions::Some(list))
    }

    fn resource(&mut self) -> Parsed<Resource> {
        let is_table = self.peek_is_symbol(".");
        match self.token.kind {
            TokenKind::Keyword(Keyword::All) if !is_table => self.resource_of_all(),
            TokenKind::Keyword(Keyword::Keyspace) => {
                self.advance();
                Ok(Resource::Keyspace(self.keyspace()?))
            }
            TokenKind::Keyword(Keyword::Table | Keyword::ColumnFamily) => {
                self.advance();
                Ok(Resource::Table(self.table()?))
            }
            TokenKind::Keyword(Keyword::Role) if !is_table => {
                self.named_resource(|parser| Ok(Resource::Role(parser.role_name()?)))
            }
            TokenKind::Keyword(Keyword::Function) if !is_table => self.named_resource(|parser| {
                Ok(Resource::Function(parser.function_name()?, parser.argument_types()?))
            }),
            TokenKind::Keyword(Keyword::Mbean) if !is_table => {
                self.named_resource(|parser| Ok(Resource::Mbean(parser.string()?)))
            }
            TokenKind::Keyword(Keyword::Mbeans) if !is_table => {
                self.named_resource(|parser| Ok(Resource::Mbeans(parser.string()?)))
            }
            _ => Ok(Resource::Table(self.table()?)),
        }
    }

    /// A word and a name, unless the word is itself the name of a table.
    fn named_resource(&mut self, name: impl FnOnce(&mut Self) -> Parsed<Resource>) -> Parsed<Resource> {
        let next = self.next;
        let has_name = is_name(&next) || matches!(next.kind, TokenKind::String | TokenKind::DollarString);
        if !has_name {
            return Ok(Resource::Table(self.table()?));
        }
        self.advance();
        name(self)
    }

    fn resource_of_all(&mut self) -> Parsed<Resource> {
        self.expect(Keyword::All)?;
        let TokenKind::Keyword(keyword) = self.token.kind else {
            return Err(self.unexpected());
        };
        let resource = match keyword {
            Keyword::Keyspaces => Resource::AllKeyspaces,
            Keyword::Roles => Resource::AllRoles,
            Keyword::Mbeans => Resource::AllMbeans,
            Keyword::Functions if !self.peek_is_keyword(Keyword::In) => Resource::AllFunctions,
            Keyword::Functions | Keyword::Tables | Keyword::ColumnFamilies => {
                self.advance();
                self.expect_all(&[Keyword::In, Keyword::Keyspace])?;
                let keyspace = self.keyspace()?;
                let is_functions = keyword == Keyword::Functions;
                return Ok(if is_functions {
                    Resource::AllFunctionsIn(keyspace)
                } else {
                    Resource::AllTables(keyspace)
                });
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(resource)
    }

    /// `LIST ..`.
    pub(super) fn list(&mut self) -> Parsed<Statement> {
        self.expect(Keyword::List)?;
        if self.accept(Keyword::Users) {
            return Ok(Statement::ListUsers);
        }
        if self.accept(Keyword::Superusers) {
            return Ok(Statement::ListSuperusers);
        }
        if self.accept(Keyword::Roles) {
            let role = self.of_role()?;
            return Ok(Statement::ListRoles(ListRoles {
                role,
                recursive: !self.accept(Keyword::NoRecursive),
            }));
        }
        let permissions = self.permissions()?;
        let resource = if self.accept(Keyword::On) { Some(self.resource()?) } else { None };
        let role = self.of_role()?;
        let recursive = !self.accept(Keyword::NoRecursive);
        Ok(Statement::ListPermissions(ListPermissions { permissions, resource, role, recursive }))
    }

    fn of_role(&mut self) -> Parsed<Option<String>> {
        if self.accept(Keyword::Of) { self.role_name().map(Some) } else { Ok(None) }
    }

    /// `ADD IDENTITY ..`.
    pub(super) fn add_identity(&mut self) -> Parsed<AddIdentity> {
        self.expect_all(&[Keyword::Add, Keyword::Identity])?;
        let if_not_exists = self.if_not_exists()?;
        let identity = self.identity()?;
        self.expect_all(&[Keyword::To, Keyword::Role])?;
        Ok(AddIdentity { identity, role: self.identity()?, if_not_exists })
    }

    /// `DROP IDENTITY ..`, after IDENTITY.
    pub(super) fn drop_identity(&mut self) -> Parsed<DropIdentity> {
        let if_exists = self.if_exists()?;
        Ok(DropIdentity { identity: self.identity()?, if_exists })
    }
}

fn set_once<T>(option: &mut Option<T>, value: T, name: &str) -> Parsed<()> {
    if option.replace(value).is_some() {
        return Err(SyntaxError::plain(format!("Multiple definition for property '{name}'")));
    }
    Ok(())
}
