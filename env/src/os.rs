//! The real world: the operating system's clock, files and sockets.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is what the bans lead to")]

use crate::clock::Clock;
use crate::disk::{Disk, DiskReader, DiskWriter};
use crate::net::{Accepted, BoxFuture, Listener, Net, Stream};
use crate::program::Programs;
use crate::random::Random;
use crate::task::Tasks;
use crate::{Env, Mutants};
use rand::TryRngCore;
use rustix::fs::FlockOperation;
use rustix::io::ReadWriteFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSliceMut, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The environment of a node whose files are under `data`, which is created if need be.
///
/// # Errors
/// The directory cannot be created, or the system has no randomness to give.
pub fn env(data: &Path) -> io::Result<Env> {
    std::fs::create_dir_all(data)?;
    let seed = rand::rngs::OsRng.try_next_u64().map_err(io::Error::other)?;
    Ok(Env {
        clock: Arc::new(OsClock { start: Instant::now() }),
        random: Random::from_seed(seed),
        disk: Arc::new(OsDisk { root: data.to_owned() }),
        net: Arc::new(OsNet),
        programs: Arc::new(OsPrograms),
        tasks: Tasks::pool(),
        mutants: Mutants::none(),
    })
}

struct OsClock {
    start: Instant,
}

impl Clock for OsClock {
    fn mono(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall_micros(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

struct OsDisk {
    root: PathBuf,
}

impl OsDisk {
    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for OsDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>> {
        let file = OpenOptions::new().append(true).create_new(true).open(self.path(path))?;
        Ok(Arc::new(OsWriter { file }))
    }

    fn overwrite(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>> {
        let file = OpenOptions::new().write(true).open(self.path(path))?;
        Ok(Arc::new(OsWriter { file }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskReader>> {
        Ok(Arc::new(OsReader { file: File::open(self.path(path))? }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn hard_link(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::hard_link(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(path))
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        std::fs::remove_dir_all(self.path(path))
    }

    fn create_dir_all(&self, path: &str) -> io::Result<()> {
        let full = self.path(path);
        if full.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(&full)?;
        full.ancestors()
            .take_while(|dir| dir.starts_with(&self.root))
            .try_for_each(|dir| File::open(dir)?.sync_all())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(path))? {
            let entry = entry?;
            let mut name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                name.push('/');
            }
            names.push(name);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().create(true).append(true).open(self.path(path))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn full_path(&self, path: &str) -> String {
        let full = self.path(path);
        std::path::absolute(&full).unwrap_or(full).to_string_lossy().into_owned()
    }

    fn available_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct OsWriter {
    file: File,
}

impl DiskWriter for OsWriter {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

struct OsReader {
    file: File,
}

impl DiskReader for OsReader {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn try_read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let wanted = buffer.len();
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read == wanted),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INTR) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

struct OsPrograms;

impl Programs for OsPrograms {
    fn run(&self, program: &str, arguments: &[String]) -> io::Result<()> {
        let mut command = std::process::Command::new(program);
        let output = command.args(arguments).stdin(std::process::Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("{program}: {}: {}", output.status, said.trim())))
    }
}

struct OsNet;

impl Net for OsNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let socket = match address {
                SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
                SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
            };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(Box::new(OsListener { listener: socket.listen(1024)? }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

struct OsListener {
    listener: tokio::net::TcpListener,
}

impl Listener for OsListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, address) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Stream>, address))
        })
    }

    fn accept_for_any_thread(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let (stream, address) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            let stream = stream.into_std()?;
            Ok(Accepted::new(address, move || {
                Ok(Box::new(tokio::net::TcpStream::from_std(stream)?) as Box<dyn Stream>)
            }))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// True for the error of an address that another process listens on.
#[must_use]
pub fn is_address_taken(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrInUse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_ends_well_or_its_words_are_told() {
        let run = |program: &str, arguments: &[&str]| {
            OsPrograms.run(program, &arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert!(run("true", &[]).is_ok());
        let error = run("ls", &["/there is no such file"]).unwrap_err().to_string();
        assert!(error.starts_with("ls: exit status: ") && error.contains("no such file"), "{error}");
        assert_eq!(run("/there/is/no/program", &[]).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
