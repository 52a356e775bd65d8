//! Files, at the granularity that a database needs. Paths are relative to the node's data
//! directory and use `/`.

use std::io;
use std::sync::Arc;

/// A directory tree of files.
pub trait Disk: Send + Sync {
    /// Creates a file to append to. It is an error if it exists. Its name is durable only after
    /// [`Disk::sync_dir`] of its directory.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>>;

    /// Opens a file to write over what it holds, from its start on, and behind its end. Bytes that
    /// lie on the disk already need no room when they are written over.
    ///
    /// # Errors
    /// The operating system's.
    fn overwrite(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>>;

    /// Opens a file that is not written any more.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskReader>>;

    /// Renames a file, replacing another of the new name.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes `to` a second name of the file `from`. It is an error if there is a file of that name.
    ///
    /// # Errors
    /// The operating system's.
    fn hard_link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes a directory and everything in it.
    ///
    /// # Errors
    /// The operating system's.
    fn remove_dir_all(&self, path: &str) -> io::Result<()>;

    /// Creates a directory and those above it, durably. No error if it exists.
    ///
    /// # Errors
    /// The operating system's.
    fn create_dir_all(&self, path: &str) -> io::Result<()>;

    /// Names in a directory, sorted; directories end in `/`.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_dir(&self, path: &str) -> io::Result<()>;

    /// Takes the lock file `path` until the returned guard is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process holds it.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Send + Sync>>;

    /// The path by which programs outside find a file.
    fn full_path(&self, path: &str) -> String {
        path.to_owned()
    }

    /// Bytes that can still be written.
    ///
    /// # Errors
    /// The operating system's.
    fn available_bytes(&self) -> io::Result<u64>;

    /// The whole content of a small file.
    ///
    /// # Errors
    /// The operating system's.
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let reader = self.open(path)?;
        let length = usize::try_from(reader.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        reader.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Replaces a small file's content so that a crash leaves the old or the new one.
    ///
    /// # Errors
    /// The operating system's.
    fn replace(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let temporary = format!("{path}.tmp");
        match self.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let writer = self.create(&temporary)?;
        writer.append(content)?;
        writer.sync()?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.rsplit_once('/').map_or("", |(directory, _)| directory))
    }
}

/// A file that is being written, from its start on.
pub trait DiskWriter: Send + Sync {
    /// Appends; what is appended by one call reaches the operating system before it returns.
    ///
    /// # Errors
    /// The operating system's. How much was written is then unknown.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// The operating system's. What is durable is then unknown, and stays so.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is not written any more.
pub trait DiskReader: Send + Sync {
    /// The file's length in bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self) -> io::Result<u64>;

    /// True if the file has no bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// The operating system's; [`io::ErrorKind::UnexpectedEof`] past the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// As [`Self::read_at`], but only if the bytes are in memory: `false` if the disk is needed.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    fn try_read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool>;
}
