//! Standard output of the commands, which may be a pipe whose reader has gone.

use std::io::Write;

/// Prints text. If nobody reads it any more (as with `| head`), the process ends quietly.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
