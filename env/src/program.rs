//! Programs of the operating system, which an operator names in the settings.

use std::io;

/// Runs programs.
pub trait Programs: Send + Sync {
    /// Runs a program, without a shell, and waits until it has ended well.
    ///
    /// # Errors
    /// It cannot be started, or says that it failed: then with what it has said.
    fn run(&self, program: &str, arguments: &[String]) -> io::Result<()>;
}

/// Where there are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrograms;

impl Programs for NoPrograms {
    fn run(&self, program: &str, _: &[String]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("there is no program {program} here")))
    }
}
