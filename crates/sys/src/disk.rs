//! The simulated disk: files and directories in memory, of which a power failure leaves only what was synced.
//!
//! It has inodes, as POSIX file systems have: a name leads to one, an open file holds one, and renaming a directory takes
//! along all that is in it. Three things become durable apart from each other: the bytes of a file when it is synced, a name
//! when its directory is synced, and both in vain while the directory itself has no durable name. A rename within a
//! directory is atomic; between two it is refused, since nobody here needs it.
//!
//! (turmoil's own file system of the `unstable-fs` feature keeps paths instead of inodes: there a renamed directory is empty,
//! and what was written to a renamed file before its directory was synced is lost.)
//!
//! One simulation runs in one thread, and so this is a value of the thread. Every node of it has a directory of its own,
//! which is its disk: the power of each fails apart from that of the others.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a power failure does to that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// All of it is lost.
    Lost,
    /// Of each file, and of each directory, the seed says how much has reached the disk by chance: the last write that has
    /// may be torn.
    PartlyThere,
    /// As [`Unsynced::PartlyThere`] for files, while any of the changes of a directory may have reached the disk without
    /// those before it: POSIX promises an order to nobody who does not sync.
    AnyOrder,
}

/// What a disk writes either whole or not at all.
const SECTOR: usize = 512;

type Inode = u64;
const ROOT: Inode = 0;

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    SetLen(usize),
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes } => {
            let end = at + bytes.len();
            if end > content.len() {
                content.resize(end, 0);
            }
            content[*at..end].copy_from_slice(bytes);
        }
        Change::SetLen(len) => content.resize(*len, 0),
    }
}

/// Names that are set or taken away together.
type Step = Vec<(String, Option<Inode>)>;

fn take(entries: &mut BTreeMap<String, Inode>, step: &Step) {
    for (name, inode) in step {
        match inode {
            Some(inode) => entries.insert(name.clone(), *inode),
            None => entries.remove(name),
        };
    }
}

#[derive(Clone, Debug, Default)]
struct FileNode {
    content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    modified: Duration,
}

impl FileNode {
    fn change(&mut self, change: Change) {
        apply(&mut self.content, &change);
        self.unsynced.push(change);
        self.modified = turmoil::since_epoch().unwrap_or_default();
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    fn lose_power(&mut self, unsynced: Unsynced) {
        let kept = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::PartlyThere | Unsynced::AnyOrder => draw(self.unsynced.len()),
        };
        let mut changes = std::mem::take(&mut self.unsynced).into_iter();
        for change in changes.by_ref().take(kept) {
            apply(&mut self.durable, &change);
        }
        if unsynced != Unsynced::Lost
            && let Some(Change::Write { at, mut bytes }) = changes.next()
        {
            let whole = (at + draw(bytes.len())) / SECTOR * SECTOR;
            bytes.truncate(whole.saturating_sub(at));
            apply(&mut self.durable, &Change::Write { at, bytes });
        }
        self.content.clone_from(&self.durable);
    }
}

#[derive(Clone, Debug, Default)]
struct DirNode {
    entries: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
    unsynced: Vec<Step>,
}

impl DirNode {
    fn change(&mut self, step: Step) {
        take(&mut self.entries, &step);
        self.unsynced.push(step);
    }

    fn sync(&mut self) {
        for step in self.unsynced.drain(..) {
            take(&mut self.durable, &step);
        }
    }

    fn lose_power(&mut self, unsynced: Unsynced) {
        let steps = std::mem::take(&mut self.unsynced);
        let reached: Vec<bool> = match unsynced {
            Unsynced::Lost => Vec::new(),
            Unsynced::PartlyThere => vec![true; draw(steps.len())],
            Unsynced::AnyOrder => any_of(steps.len()),
        };
        for (step, _) in steps.iter().zip(reached).filter(|(_, reached)| *reached) {
            take(&mut self.durable, step);
        }
        self.entries.clone_from(&self.durable);
    }
}

/// Which of `count` changes have reached the disk: half of them, nearly none or nearly all, so that a single one that is
/// missing, or is there alone, is seen often.
fn any_of(count: usize) -> Vec<bool> {
    let (of, all_but) = [(2, false), (count.max(2), false), (count.max(2), true)][draw(2)];
    (0..count).map(|_| (draw(of - 1) == 0) != all_but).collect()
}

/// A number from 0 to `max`.
fn draw(max: usize) -> usize {
    usize::try_from(crate::random::u64() % (max as u64 + 1)).unwrap_or(max)
}

#[derive(Clone, Debug)]
enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Clone, Debug)]
struct Disk {
    nodes: BTreeMap<Inode, Node>,
    next: Inode,
}

thread_local! {
    static DISK: RefCell<Disk> = RefCell::new(Disk::new());
}

fn on_disk<T>(work: impl FnOnce(&mut Disk) -> T) -> T {
    DISK.with_borrow_mut(work)
}

/// A new disk with nothing on it.
pub fn replace() {
    on_disk(|disk| *disk = Disk::new());
}

/// The disk of a node, an empty directory that is there whatever happens to its power.
pub fn attach(dir: &Path) -> io::Result<()> {
    create_dir_all(dir)?;
    dir.ancestors().skip(1).try_for_each(sync_dir)
}

/// The power of the node whose disk is `dir` has failed and is back: what was not synced is gone. Files that are open belong
/// to programs that are gone too.
pub fn lose_power(dir: &Path, unsynced: Unsynced) {
    on_disk(|disk| disk.lose_power(dir, unsynced));
}

/// The disk as it is at one moment, with all that is not synced.
#[derive(Clone, Debug)]
pub struct Image(Disk);

/// The disk as it is now.
#[must_use]
pub fn image() -> Image {
    on_disk(|disk| Image(disk.clone()))
}

/// The disk is again as it was.
pub fn restore(image: &Image) {
    on_disk(|disk| *disk = image.0.clone());
}

thread_local! {
    static RECORDED: RefCell<Option<Vec<Image>>> = const { RefCell::new(None) };
}

/// From now on, an image is taken before every operation that changes the disk: at each of them the power might fail.
pub fn record() {
    RECORDED.set(Some(Vec::new()));
}

/// How many images were taken since [`record`].
#[must_use]
pub fn recorded_count() -> usize {
    RECORDED.with_borrow(|images| images.as_ref().map_or(0, Vec::len))
}

/// The images that were taken since [`record`], the present state last; no more are taken.
#[must_use]
pub fn recorded() -> Vec<Image> {
    let mut images = RECORDED.take().unwrap_or_default();
    images.push(image());
    images
}

/// An operation is about to change the disk.
pub(crate) fn before_change() {
    RECORDED.with_borrow_mut(|images| {
        if let Some(images) = images {
            images.push(image());
        }
    });
}

fn error(kind: io::ErrorKind) -> io::Error {
    kind.into()
}

impl Disk {
    fn new() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::Dir(DirNode::default()))]), next: ROOT + 1 }
    }

    fn lose_power(&mut self, dir: &Path, unsynced: Unsynced) {
        let Ok(top) = self.find(dir) else { return };
        let before = self.reachable(top);
        for inode in &before {
            match self.nodes.get_mut(inode) {
                Some(Node::File(file)) => file.lose_power(unsynced),
                Some(Node::Dir(dir)) => dir.lose_power(unsynced),
                None => {}
            }
        }
        // What no name leads to is given back.
        let left = self.reachable(top);
        self.nodes.retain(|inode, _| left.contains(inode) || !before.contains(inode));
    }

    /// What names lead to from a directory on: those that are there, and those that a power failure may bring back.
    fn reachable(&self, from: Inode) -> BTreeSet<Inode> {
        let (mut reachable, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(inode) = next.pop() {
            let Some(Node::Dir(dir)) = self.nodes.get(&inode) else { continue };
            let unsynced = dir.unsynced.iter().flatten().filter_map(|(_, inode)| *inode);
            let links = dir.entries.values().chain(dir.durable.values()).copied().chain(unsynced);
            next.extend(links.filter(|link| reachable.insert(*link)));
        }
        reachable
    }

    fn add(&mut self, node: Node) -> Inode {
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, node);
        inode
    }

    fn dir(&mut self, inode: Inode) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(error(io::ErrorKind::NotADirectory)),
            None => Err(error(io::ErrorKind::NotFound)),
        }
    }

    fn file(&mut self, inode: Inode) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(error(io::ErrorKind::IsADirectory)),
            None => Err(error(io::ErrorKind::NotFound)),
        }
    }

    /// What stands at `path`.
    fn find(&mut self, path: &Path) -> io::Result<Inode> {
        let mut at = ROOT;
        for name in names(path)? {
            at = *self.dir(at)?.entries.get(&name).ok_or(error(io::ErrorKind::NotFound))?;
        }
        Ok(at)
    }

    /// The directory that `path` is in, and its name there.
    fn place(&mut self, path: &Path) -> io::Result<(Inode, String)> {
        let mut names = names(path)?;
        let name = names.pop().ok_or(error(io::ErrorKind::InvalidInput))?;
        let parent = self.find(&names.iter().collect::<PathBuf>())?;
        self.dir(parent)?;
        Ok((parent, name))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (dir, old) = self.place(from)?;
        let (other, new) = self.place(to)?;
        let inode = *self.dir(dir)?.entries.get(&old).ok_or(error(io::ErrorKind::NotFound))?;
        if dir != other {
            return Err(error(io::ErrorKind::CrossesDevices));
        }
        let is_dir = matches!(self.nodes.get(&inode), Some(Node::Dir(_)));
        if let Some(replaced) = self.dir(dir)?.entries.get(&new).copied() {
            match self.nodes.get(&replaced) {
                Some(Node::Dir(_)) if !is_dir => return Err(error(io::ErrorKind::IsADirectory)),
                Some(Node::Dir(there)) if !there.entries.is_empty() => {
                    return Err(error(io::ErrorKind::DirectoryNotEmpty));
                }
                Some(Node::File(_)) if is_dir => return Err(error(io::ErrorKind::NotADirectory)),
                _ => {}
            }
        }
        if old != new {
            self.dir(dir)?.change(vec![(old, None), (new, Some(inode))]);
        }
        Ok(())
    }
}

/// The names on the way from the root.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                found.push(name.to_str().ok_or(error(io::ErrorKind::InvalidFilename))?.to_owned());
            }
            Component::RootDir | Component::CurDir => {}
            _ => return Err(error(io::ErrorKind::InvalidInput)),
        }
    }
    Ok(found)
}

/// How a file is opened, as in the standard library.
#[derive(Debug, Default)]
pub(crate) struct OpenOptions {
    create: bool,
    truncate: bool,
}

impl OpenOptions {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn read(&mut self, _: bool) -> &mut Self {
        self
    }

    pub(crate) fn write(&mut self, _: bool) -> &mut Self {
        self
    }

    pub(crate) fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    pub(crate) fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        on_disk(|disk| {
            let inode = match disk.find(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.create => {
                    let (dir, name) = disk.place(path)?;
                    let inode = disk.add(Node::File(FileNode::default()));
                    disk.dir(dir)?.change(vec![(name, Some(inode))]);
                    inode
                }
                found => found?,
            };
            let file = disk.file(inode)?;
            if self.truncate && !file.content.is_empty() {
                file.change(Change::SetLen(0));
            }
            Ok(File { inode })
        })
    }
}

/// An open file, as in the standard library.
#[derive(Debug)]
pub(crate) struct File {
    inode: Inode,
}

impl File {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().open(path)
    }

    fn with<T>(&self, work: impl FnOnce(&mut FileNode) -> T) -> io::Result<T> {
        on_disk(|disk| disk.file(self.inode).map(work))
    }

    pub(crate) fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let at = usize::try_from(at).map_err(io::Error::other)?;
        self.with(|file| {
            let rest = file.content.get(at..).unwrap_or_default();
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            len
        })
    }

    pub(crate) fn read_exact_at(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        if self.read_at(buf, at)? < buf.len() {
            return Err(error(io::ErrorKind::UnexpectedEof));
        }
        Ok(())
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let at = usize::try_from(at).map_err(io::Error::other)?;
        self.with(|file| file.change(Change::Write { at, bytes: bytes.to_vec() }))
    }

    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.with(|file| file.change(Change::SetLen(len)))
    }

    pub(crate) fn sync_data(&self) -> io::Result<()> {
        self.with(FileNode::sync)
    }

    pub(crate) fn sync_all(&self) -> io::Result<()> {
        self.with(FileNode::sync)
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        on_disk(|disk| disk.nodes.get(&self.inode).map(Metadata::of).ok_or(error(io::ErrorKind::NotFound)))
    }
}

/// What is known about a file or directory, as in the standard library.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metadata {
    is_dir: bool,
    len: u64,
    modified: Duration,
}

impl Metadata {
    fn of(node: &Node) -> Self {
        match node {
            Node::File(file) => Self { is_dir: false, len: file.content.len() as u64, modified: file.modified },
            Node::Dir(_) => Self { is_dir: true, len: 0, modified: Duration::ZERO },
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.is_dir
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn modified(&self) -> io::Result<SystemTime> {
        Ok(UNIX_EPOCH + self.modified)
    }
}

/// A name in a directory, as in the standard library.
#[derive(Debug)]
pub(crate) struct DirEntry {
    name: String,
    metadata: Metadata,
}

impl DirEntry {
    pub(crate) fn file_name(&self) -> OsString {
        OsString::from(&self.name)
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        Ok(self.metadata)
    }
}

pub(crate) fn metadata(path: &Path) -> io::Result<Metadata> {
    on_disk(|disk| {
        let inode = disk.find(path)?;
        disk.nodes.get(&inode).map(Metadata::of).ok_or(error(io::ErrorKind::NotFound))
    })
}

pub(crate) fn read_dir(path: &Path) -> io::Result<impl Iterator<Item = io::Result<DirEntry>> + use<>> {
    on_disk(|disk| {
        let dir = disk.find(path)?;
        let mut found = Vec::new();
        for (name, inode) in disk.dir(dir)?.entries.clone() {
            let metadata = disk.nodes.get(&inode).map(Metadata::of).ok_or(error(io::ErrorKind::NotFound))?;
            found.push(Ok(DirEntry { name, metadata }));
        }
        Ok(found.into_iter())
    })
}

pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    on_disk(|disk| {
        let mut at = ROOT;
        for name in names(path)? {
            at = match disk.dir(at)?.entries.get(&name).copied() {
                Some(inode) => inode,
                None => {
                    let inode = disk.add(Node::Dir(DirNode::default()));
                    disk.dir(at)?.change(vec![(name, Some(inode))]);
                    inode
                }
            };
        }
        disk.dir(at).map(|_| ())
    })
}

pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    File::open(path)?.with(|file| file.content.clone())
}

pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    on_disk(|disk| disk.rename(from, to))
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    on_disk(|disk| {
        let inode = disk.find(path)?;
        disk.file(inode)?;
        let (dir, name) = disk.place(path)?;
        disk.dir(dir)?.change(vec![(name, None)]);
        Ok(())
    })
}

/// Takes away what is in a directory, entry by entry, and then the directory: the power may fail between any two.
pub(crate) fn remove_dir_all(path: &Path) -> io::Result<()> {
    for entry in read_dir(path)? {
        let entry = entry?;
        let inside = path.join(&entry.name);
        if entry.metadata.is_dir { remove_dir_all(&inside) } else { remove_file(&inside) }?;
        before_change();
    }
    on_disk(|disk| {
        let (dir, name) = disk.place(path)?;
        disk.dir(dir)?.change(vec![(name, None)]);
        Ok(())
    })
}

pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    on_disk(|disk| {
        let inode = disk.find(path)?;
        disk.dir(inode).map(DirNode::sync)
    })
}

pub(crate) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    metadata(path).map(|_| Path::new("/").join(path))
}
