//! Settings that do not go together.

use super::{AuthenticatorKind, Settings, SettingsError};

impl Settings {
    /// Checks what one key alone does not show.
    ///
    /// # Errors
    /// Settings do not go together.
    pub fn check(&self) -> Result<(), SettingsError> {
        let conflict = |text: String| Err(SettingsError::Conflict(text));
        if self.authenticator == AuthenticatorKind::AllowAll
            && !self.listen.is_loopback()
            && !self.allow_anonymous
        {
            return conflict(format!(
                "whoever reaches {} could read and change everything: set authenticator = \"Password\", \
                 or allow_anonymous = true (--allow-anonymous) if that is what you want",
                self.listen
            ));
        }
        if self.listen.is_unspecified() && self.advertise.is_none() {
            return conflict(format!(
                "clients cannot connect to {}: set advertise (--advertise) to the address that they reach",
                self.listen
            ));
        }
        if self.advertise.is_some_and(|address| address.is_unspecified()) {
            return conflict("advertise must be an address that clients can connect to".into());
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return conflict("tls_certificate and tls_key go together: set both or none".into());
        }
        self.guardrails.check().or_else(|text| conflict(format!("guardrails: {text}")))?;
        self.check_internode_tls()?;
        self.check_archiving()?;
        if self.replace.is_some() && self.seeds.is_empty() {
            return conflict("replace needs seeds: nodes of the cluster that has lost a member".into());
        }
        if !self.seed_addresses()?.is_empty() && !self.serves_peers() {
            return conflict(format!(
                "nodes would talk to each other on {} without TLS: set internode_tls_certificate, \
                 internode_tls_key and internode_tls_authority (and not internode_tls_optional), or \
                 allow_plain_internode = true (--allow-plain-internode) if that network is yours alone",
                self.internode_address()
            ));
        }
        if self.max_concurrent_requests == 0 {
            return conflict("max_concurrent_requests must be 1 or more".into());
        }
        if self.num_tokens == 0 {
            return conflict("num_tokens must be 1 or more".into());
        }
        if self.memory_bytes < 16 << 20 {
            return conflict("memory_bytes must be 16777216 or more".into());
        }
        if self.memtable_bytes.is_some_and(|bytes| bytes < 1 << 20) {
            return conflict("memtable_bytes must be 1048576 or more".into());
        }
        Ok(())
    }

    fn check_internode_tls(&self) -> Result<(), SettingsError> {
        let conflict = |text: &str| Err(SettingsError::Conflict(text.into()));
        let files = [&self.internode_tls_certificate, &self.internode_tls_key, &self.internode_tls_authority];
        match files.iter().filter(|file| file.is_some()).count() {
            3 => Ok(()),
            0 if self.internode_tls_optional => conflict(
                "internode_tls_optional needs internode_tls_certificate, internode_tls_key and \
                 internode_tls_authority: without them there is no TLS between nodes",
            ),
            0 => Ok(()),
            _ => conflict(
                "internode_tls_certificate, internode_tls_key and internode_tls_authority go together: set \
                 all three or none",
            ),
        }
    }

    fn check_archiving(&self) -> Result<(), SettingsError> {
        let directories = self.restore_directories.iter().chain(&self.archive_directory);
        if let Some(relative) = directories.into_iter().find(|directory| !directory.is_absolute()) {
            return Err(SettingsError::Conflict(format!(
                "archive_directory and restore_directories must be absolute paths (got {})",
                relative.display()
            )));
        }
        let needs = |key: &str| {
            Err(SettingsError::Conflict(format!(
                "{key} needs restore_directories: where the archived segments are"
            )))
        };
        match &self.restore_point_in_time {
            _ if !self.restore_directories.is_empty() => self.restore().map(drop),
            Some(_) => needs("restore_point_in_time"),
            None if self.restore_command.is_some() => needs("restore_command"),
            None => Ok(()),
        }
    }
}
