//! Who may connect: anybody, or roles with a password (salted Argon2 hashes in
//! `system_auth.roles`).

use crate::internal;
use crate::settings::AuthenticatorKind;
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use dodona_cluster::Node;
use dodona_query::{BoundValue, CqlError, Processor, Session};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The role that is there when nobody has made one, and its password, as in Cassandra.
const DEFAULT_ROLE: &str = "cassandra";
const FIND_ROLE: &str = "SELECT salted_hash, can_login FROM system_auth.roles WHERE role = ?";
const ANY_ROLE: &str = "SELECT role FROM system_auth.roles LIMIT 1";
const CREATE_ROLE: &str =
    "INSERT INTO system_auth.roles (role, is_superuser, can_login, salted_hash) VALUES (?, true, true, ?)";
/// Passwords that are hashed at the same time.
const MAX_HASHING: usize = 4;
/// What is verified for a role that does not exist, so that it takes as long as for one that does.
const NO_SALT: &[u8] = b"no role has this";
/// What a client is told whatever was wrong, as Cassandra words it.
const REFUSED: &str = "Provided username {} and/or password are incorrect";

/// Decides who may connect.
#[derive(Debug)]
pub(crate) struct Authenticator {
    kind: AuthenticatorKind,
    /// Held while a password is hashed, which takes 19 MiB.
    hashing: Semaphore,
}

impl Authenticator {
    pub(crate) const fn new(kind: AuthenticatorKind) -> Self {
        Self { kind, hashing: Semaphore::const_new(MAX_HASHING) }
    }

    /// True if clients have to log in.
    pub(crate) const fn is_required(&self) -> bool {
        matches!(self.kind, AuthenticatorKind::Password)
    }

    /// Checks a SASL PLAIN token, and returns the role.
    ///
    /// # Errors
    /// What the client is told.
    pub(crate) async fn log_in(&self, processor: &Arc<Processor>, token: &[u8]) -> Result<String, String> {
        let (role, password) = parse_token(token)?;
        let refused = || REFUSED.replacen("{}", &role, 1);
        let found =
            internal::run(processor, &internal_session(), FIND_ROLE, &[BoundValue::Bytes(role.as_bytes())])
                .await
                .map_err(|error| format!("Unable to perform authentication: {error}"))?;
        let mut values = found.into_iter().next().unwrap_or_default().into_iter();
        let hash = values.next().flatten().and_then(|hash| String::from_utf8(hash).ok());
        let can_login = values.next().flatten().is_some_and(|flag| flag == [1]);
        let _permit = self.hashing.acquire().await.map_err(|error| error.to_string())?;
        let verified = processor
            .node()
            .env
            .tasks
            .blocking(move || verify(hash.as_deref(), &password))
            .await
            .map_err(|error| error.to_string())?;
        if !verified {
            return Err(refused());
        }
        if !can_login {
            return Err(format!("{role} is not permitted to log in"));
        }
        Ok(role)
    }

    /// Makes the default superuser if there is no role yet.
    ///
    /// # Errors
    /// Roles cannot be read or written.
    pub(crate) async fn prepare(&self, node: &Arc<Node>, processor: &Arc<Processor>) -> Result<(), CqlError> {
        if !self.is_required() {
            return Ok(());
        }
        let session = internal_session();
        if !internal::run(processor, &session, ANY_ROLE, &[]).await?.is_empty() {
            return Ok(());
        }
        let mut salt = [0; 16];
        node.env.random.split("auth").fill(&mut salt);
        let hashed = node.env.tasks.blocking(move || hash(DEFAULT_ROLE.as_bytes(), &salt)).await;
        let hash = hashed.ok().flatten().ok_or_else(|| CqlError::Server("cannot hash a password".into()))?;
        let values = [BoundValue::Bytes(DEFAULT_ROLE.as_bytes()), BoundValue::Bytes(hash.as_bytes())];
        internal::run(processor, &session, CREATE_ROLE, &values).await?;
        tracing::warn!("made the role cassandra with the password cassandra: change it");
        Ok(())
    }
}

/// The session of what the server itself does.
fn internal_session() -> Session {
    Session::of_server()
}

/// The role and the password of a SASL PLAIN token: `[authorization] NUL role NUL password`.
fn parse_token(token: &[u8]) -> Result<(String, Vec<u8>), String> {
    let mut parts = token.rsplitn(3, |byte| *byte == 0);
    let (Some(password), Some(role), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("Malformed credentials: a role and a password are needed".into());
    };
    if role.is_empty() {
        return Err("Authentication ID must not be null".into());
    }
    if password.is_empty() {
        return Err("Password must not be null".into());
    }
    let role =
        String::from_utf8(role.to_vec()).map_err(|_| "Malformed credentials: the role is not UTF-8")?;
    Ok((role, password.to_vec()))
}

/// The hash of a password, as text that names algorithm, parameters and salt.
pub(crate) fn hash(password: &[u8], salt: &[u8]) -> Option<String> {
    let salt = SaltString::encode_b64(salt).ok()?;
    Argon2::default().hash_password(password, &salt).ok().map(|hash| hash.to_string())
}

/// True if the password is that of the hash. Takes as long if there is none.
fn verify(known: Option<&str>, password: &[u8]) -> bool {
    match known.and_then(|text| PasswordHash::new(text).ok()) {
        Some(known) => Argon2::default().verify_password(password, &known).is_ok(),
        None => {
            let _ = hash(password, NO_SALT);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_verified_against_its_hash_alone() {
        let known = hash(b"secret", b"0123456789abcdef").unwrap();
        assert!(known.starts_with("$argon2id$"));
        assert!(verify(Some(&known), b"secret"));
        assert!(!verify(Some(&known), b"Secret"));
        assert!(!verify(None, b"secret"));
        assert!(!verify(Some("nonsense"), b"secret"));
    }

    #[test]
    fn a_token_is_taken_apart_from_its_end() {
        let expected = ("user".to_owned(), b"pass".to_vec());
        assert_eq!(parse_token(b"\0user\0pass"), Ok(expected.clone()));
        assert_eq!(parse_token(b"other\0user\0pass"), Ok(expected));
        for malformed in [&b""[..], b"user\0pass", b"\0\0pass", b"\0user\0", b"\0\xFF\0pass"] {
            assert!(parse_token(malformed).is_err(), "{malformed:?}");
        }
    }
}
