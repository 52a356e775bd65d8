//! What tests share: the runtime that a server's thread has, and an environment in a folder that goes with the test.

use dodona_env::Env;

/// Runs a test with the runtime that a server's thread has.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// The same with a folder of its own.
pub(crate) fn run_in_folder<F: Future<Output = ()>>(test: impl FnOnce(Env) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let env = dodona_env::os::env(folder.path()).unwrap();
    run(test(env));
}

/// Bytes as golden bytes are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
