//! Files with positional reads and writes, and the few directory operations that a log needs.
//!
//! Nothing here is durable until it was synced: a file's bytes by [`File::sync_data`], a file's name by [`sync_dir`] of
//! its directory.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

#[cfg(sim)]
use crate::disk as imp;
#[cfg(not(sim))]
use std::fs as imp;
#[cfg(not(sim))]
use std::os::unix::fs::FileExt as _;

/// An open file. It has no cursor: every read and write names its position, so that many readers share one handle.
#[derive(Debug)]
pub struct File {
    inner: imp::File,
    #[cfg(sim)]
    path: PathBuf,
}

/// An operation is about to change what stands at `path`: the place where the simulator lets it fail.
#[inline]
fn may_change(path: &Path) -> io::Result<()> {
    #[cfg(sim)]
    {
        crate::faults::before_change(path)?;
        imp::before_change();
    }
    let _ = path;
    Ok(())
}

/// What stands at `path` is about to be read: the place where the simulator lets that fail.
#[inline]
fn may_read(path: &Path) -> io::Result<()> {
    #[cfg(sim)]
    crate::faults::before_read(path)?;
    let _ = path;
    Ok(())
}

/// How often opening is tried when there is no file descriptor left: a quarter of a second in all. Most are held only for a
/// moment.
const OPEN_TRIES: u32 = 8;

/// Whether a call failed because the process, or the machine, has no file descriptor left.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Opens something, and waits a moment for a file descriptor if there is none left.
fn opened<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for attempt in 0..OPEN_TRIES {
        match open() {
            Err(e) if is_out_of_descriptors(&e) => wait_before_try(attempt),
            other => return other,
        }
    }
    open()
}

fn wait_before_try(attempt: u32) {
    #[cfg(not(sim))]
    std::thread::sleep(std::time::Duration::from_millis(1 << attempt));
    let _ = attempt;
}

impl File {
    /// Opens an existing file for reading and writing, or for reading alone where writing is not allowed.
    ///
    /// # Errors
    /// When it does not exist or may not be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        may_read(path)?;
        let to_write = opened(|| imp::OpenOptions::new().read(true).write(true).open(path));
        let inner = match to_write {
            Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                opened(|| imp::File::open(path))?
            }
            other => other?,
        };
        Ok(Self::with(inner, path))
    }

    fn with(inner: imp::File, path: &Path) -> Self {
        let _ = path;
        Self {
            inner,
            #[cfg(sim)]
            path: path.to_owned(),
        }
    }

    /// An operation is about to change the file.
    #[inline]
    fn may_change(&self) -> io::Result<()> {
        #[cfg(sim)]
        may_change(&self.path)?;
        Ok(())
    }

    /// Opens a file for reading and writing; creates it when it is missing and never truncates it.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open_rw(path: &Path) -> io::Result<Self> {
        may_change(path)?;
        let open = || imp::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        Ok(Self::with(opened(open)?, path))
    }

    /// Reads up to `buf.len()` bytes at `at`; 0 means the end of the file.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        #[cfg(sim)]
        match crate::faults::before_read(&self.path) {
            Ok(()) => {}
            Err(crate::faults::Kind::Short) => {
                let half = buf.len() / 2;
                return self.inner.read_at(&mut buf[..half], at);
            }
            Err(kind) => return Err(kind.into()),
        }
        self.inner.read_at(buf, at)
    }

    /// Fills `buf` from `at`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before.
    pub fn read_exact_at(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        #[cfg(sim)]
        may_read(&self.path)?;
        self.inner.read_exact_at(buf, at)
    }

    /// Fills `buf` from `at` if that needs no wait for the disk, and says whether it did. When it did not, the bytes of
    /// `buf` are unspecified: read again where blocking is allowed.
    ///
    /// # Errors
    /// As the operating system says; `UnexpectedEof` when the file ends before.
    pub fn read_exact_cached_at(&self, buf: &mut [u8], at: u64) -> io::Result<bool> {
        #[cfg(not(sim))]
        {
            use rustix::io::{Errno, ReadWriteFlags, preadv2};
            let mut done = 0;
            while done < buf.len() {
                let mut rest = [io::IoSliceMut::new(&mut buf[done..])];
                match preadv2(&self.inner, &mut rest, at + done as u64, ReadWriteFlags::NOWAIT) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(read) => done += read,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return Ok(false),
                    // Some file systems do not know the flag.
                    Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                        return self.read_exact_at(&mut buf[done..], at + done as u64).map(|()| true);
                    }
                    Err(e) => return Err(e.into()),
                }
            }
            Ok(true)
        }
        #[cfg(sim)]
        self.read_exact_at(buf, at).map(|()| true)
    }

    /// Writes all of `buf` at `at`.
    ///
    /// # Errors
    /// As the operating system says; part of `buf` may have been written.
    pub fn write_all_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        #[cfg(sim)]
        if let Err(kind) = crate::faults::before_change(&self.path) {
            if kind == crate::faults::Kind::Full {
                self.inner.write_all_at(&buf[..buf.len() / 2], at)?;
            }
            return Err(kind.into());
        }
        #[cfg(sim)]
        imp::before_change();
        self.inner.write_all_at(buf, at)
    }

    /// Writes all the slices one after the other from `at`, with as few system calls as possible. The slices are used
    /// up.
    ///
    /// # Errors
    /// As the operating system says; part of the bytes may have been written.
    pub fn write_all_vectored_at(&self, slices: &mut [IoSlice<'_>], at: u64) -> io::Result<()> {
        #[cfg(not(sim))]
        {
            let (mut rest, mut at) = (slices, at);
            // The kernel takes at most this many slices in one call.
            const SLICES_MAX: usize = 1024;
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let few = &rest[..rest.len().min(SLICES_MAX)];
                match rustix::io::pwritev(&self.inner, few, at) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        at += written as u64;
                        IoSlice::advance_slices(&mut rest, written);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            Ok(())
        }
        #[cfg(sim)]
        {
            let mut at = at;
            for slice in slices {
                self.write_all_at(slice, at)?;
                at += slice.len() as u64;
            }
            Ok(())
        }
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.inner.metadata()?.len())
    }

    /// Whether the file holds nothing.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.may_change()?;
        self.inner.set_len(len)
    }

    /// Lets the file look as if it had been written at this time, in milliseconds since 1970-01-01 UTC. In the simulator
    /// it does nothing.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn set_modified_ms(&self, ms: i64) -> io::Result<()> {
        #[cfg(not(sim))]
        {
            let since_epoch = std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0));
            self.inner.set_modified(std::time::UNIX_EPOCH + since_epoch)
        }
        #[cfg(sim)]
        {
            let _ = ms;
            Ok(())
        }
    }

    /// Makes the file's bytes durable. After an error the bytes written before may be lost: never retry, take the
    /// directory offline.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn sync_data(&self) -> io::Result<()> {
        self.may_change()?;
        self.inner.sync_data()
    }

    /// Makes the file's bytes and its metadata durable; see [`File::sync_data`].
    ///
    /// # Errors
    /// As the operating system says.
    pub fn sync_all(&self) -> io::Result<()> {
        self.may_change()?;
        self.inner.sync_all()
    }
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name inside its directory. Names that are not UTF-8 are not Kafka's and are left out.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Its length in bytes.
    pub len: u64,
}

/// What stands in a directory, sorted by name.
///
/// # Errors
/// As the operating system says. An entry that vanishes meanwhile is left out.
pub fn read_dir(path: &Path) -> io::Result<Vec<DirEntry>> {
    may_read(path)?;
    let mut entries = Vec::new();
    for entry in opened(|| imp::read_dir(path))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        match entry.metadata() {
            Ok(meta) => entries.push(DirEntry { name, is_dir: meta.is_dir(), len: meta.len() }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Creates a directory and those above it.
///
/// # Errors
/// As the operating system says.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    may_change(path)?;
    imp::create_dir_all(path)
}

/// Creates a directory and those above it, so that a power failure does not take the new ones away again.
///
/// # Errors
/// As the operating system says.
pub fn create_dir_all_durably(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !exists(dir)).count();
    create_dir_all(path)?;
    path.ancestors().skip(1).take(missing).try_for_each(sync_dir)
}

/// Makes `link` a symbolic link to `target`, in place of what stands there. The simulated disk has no links.
///
/// # Errors
/// As the operating system says.
pub fn replace_link(target: &Path, link: &Path) -> io::Result<()> {
    #[cfg(not(sim))]
    {
        match imp::remove_file(link) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => std::os::unix::fs::symlink(target, link),
        }
    }
    #[cfg(sim)]
    {
        let _ = (target, link);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A file's whole content.
///
/// # Errors
/// As the operating system says.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    may_read(path)?;
    opened(|| imp::read(path))
}

/// Reads a file from its beginning to its end, piece by piece.
///
/// # Errors
/// As the operating system says.
pub fn reader(path: &Path) -> io::Result<Box<dyn io::BufRead>> {
    #[cfg(not(sim))]
    let reader = Box::new(io::BufReader::new(std::fs::File::open(path)?));
    #[cfg(sim)]
    let reader = Box::new(io::Cursor::new(read(path)?));
    Ok(reader)
}

/// A file's whole content as text.
///
/// # Errors
/// As the operating system says; `InvalidData` when it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    may_read(path)?;
    opened(|| imp::read_to_string(path))
}

/// Creates a file, or empties it.
fn create(path: &Path) -> io::Result<File> {
    may_change(path)?;
    let open = || imp::OpenOptions::new().write(true).create(true).truncate(true).open(path);
    Ok(File::with(opened(open)?, path))
}

/// Replaces a file's content. Not durable and not atomic: see [`write_atomic`].
///
/// # Errors
/// As the operating system says.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create(path)?.write_all_at(bytes, 0)
}

/// Replaces a file's content as [`write`] does; a file that is new can be read by this user alone.
///
/// # Errors
/// As the operating system says.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    may_change(path)?;
    let mut options = imp::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(not(sim))]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    File::with(opened(|| options.open(path))?, path).write_all_at(bytes, 0)
}

/// Replaces a file durably: whoever reads it, even after a power failure, finds the old content or the new one.
///
/// # Errors
/// As the operating system says; then the old content stands.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let tmp = path.with_file_name(name);
    let file = create(&tmp)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    rename(&tmp, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The room on the file system of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// How many bytes it has.
    pub total: u64,
    /// How many of them this process may still take.
    pub usable: u64,
}

/// How much room there is on the file system of `path`; unlimited in the simulator.
///
/// # Errors
/// As the operating system says.
pub fn space(path: &Path) -> io::Result<Space> {
    #[cfg(not(sim))]
    {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space { total: stat.f_blocks * stat.f_frsize, usable: stat.f_bavail * stat.f_frsize })
    }
    #[cfg(sim)]
    {
        let _ = path;
        Ok(Space { total: u64::MAX, usable: u64::MAX })
    }
}

/// Whether files can be made in a directory, without making one: it is there, and its file system has not become read-only.
///
/// # Errors
/// Why not, as the operating system says.
pub fn check_writable(dir: &Path) -> io::Result<()> {
    #[cfg(not(sim))]
    {
        use rustix::fs::{Access, access};
        // With the dot a file that stands in its place is none.
        Ok(access(dir.join("."), Access::WRITE_OK | Access::EXEC_OK)?)
    }
    #[cfg(sim)]
    {
        imp::metadata(dir).map(drop)
    }
}

/// Renames a file or directory; an existing file at `to` is replaced.
///
/// # Errors
/// As the operating system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    may_change(from)?;
    imp::rename(from, to)
}

/// Removes a file.
///
/// # Errors
/// As the operating system says.
pub fn remove_file(path: &Path) -> io::Result<()> {
    may_change(path)?;
    imp::remove_file(path)
}

/// Removes a directory and all in it.
///
/// # Errors
/// As the operating system says.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    may_change(path)?;
    imp::remove_dir_all(path)
}

/// Whether something stands at `path`.
#[must_use]
pub fn exists(path: &Path) -> bool {
    imp::metadata(path).is_ok()
}

/// When the file was last written, in milliseconds since 1970-01-01 UTC.
///
/// # Errors
/// As the operating system says.
pub fn modified_ms(path: &Path) -> io::Result<i64> {
    let modified = imp::metadata(path)?.modified()?;
    let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Makes the names in a directory durable: creations, renames and removals.
///
/// # Errors
/// As the operating system says.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    #[cfg(not(sim))]
    return opened(|| imp::File::open(path))?.sync_all();
    #[cfg(sim)]
    {
        may_change(path)?;
        imp::sync_dir(path)
    }
}

/// Makes everything durable that was written to the file system of `path`, by whomever: cheaper than thousands of single
/// syncs, and a waste for few. Not there in the simulator.
///
/// # Errors
/// As the operating system says, also when an earlier write to that file system has failed.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    #[cfg(not(sim))]
    {
        let dir = opened(|| imp::File::open(path))?;
        Ok(rustix::fs::syncfs(&dir)?)
    }
    #[cfg(sim)]
    {
        may_change(path)?;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The path without `.`, `..` and links.
///
/// # Errors
/// When it does not exist.
pub fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    imp::canonicalize(path)
}

/// A directory for temporary files of this machine.
#[must_use]
pub fn temp_dir() -> PathBuf {
    std::env::temp_dir()
}

/// A lock on a file that only one process holds at a time; it ends with the value, or with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock on the file `path`, creating it when it is missing. `None` when another process has it.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open_rw(path)?;
        #[cfg(not(sim))]
        match rustix::fs::fcntl_lock(&file.inner, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        Ok(Some(Self { _file: file }))
    }
}

#[cfg(all(test, not(sim)))]
mod tests {
    use super::*;

    #[test]
    fn slices_are_written_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open_rw(&dir.path().join("a")).unwrap();
        let parts: Vec<Vec<u8>> = (0..3000).map(|i| vec![i as u8; i % 7]).collect();
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        file.write_all_vectored_at(&mut slices, 3).unwrap();
        let whole = parts.concat();
        assert_eq!(file.len().unwrap(), 3 + whole.len() as u64);
        let mut read = vec![1; whole.len()];
        assert!(file.read_exact_cached_at(&mut read, 3).unwrap());
        assert_eq!(read, whole);
        assert!(file.read_exact_cached_at(&mut read, 4).is_err());
    }

    #[test]
    fn an_atomic_write_leaves_only_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"long content").unwrap();
        write_atomic(&path, b"short").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "short");
        let expected = vec![DirEntry { name: "f".to_owned(), is_dir: false, len: 5 }];
        assert_eq!(read_dir(dir.path()).unwrap(), expected);
    }
}
