//! What concerns the process as a whole: signals and its id.

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To end.
    ToEnd,
    /// To read the configuration again.
    ToReload,
}

/// Listens for what the process is asked for by signals: to end (Ctrl-C or SIGTERM), and to read its configuration again
/// (SIGHUP). From its making on, none of them kills the process.
#[derive(Debug)]
pub struct Signals {
    #[cfg(not(sim))]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(not(sim))]
    terminate: tokio::signal::unix::Signal,
    #[cfg(not(sim))]
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the signals cannot be listened to.
    #[cfg(not(sim))]
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Completes when the process is to end.
    #[cfg(not(sim))]
    pub async fn asked_to_end(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Completes when the process is asked for something.
    #[cfg(not(sim))]
    pub async fn asked(&mut self) -> Asked {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Asked::ToEnd,
            _ = self.terminate.recv() => Asked::ToEnd,
            _ = self.hangup.recv() => Asked::ToReload,
        }
    }

    /// Begins to listen; a simulated process is never asked to end.
    ///
    /// # Errors
    /// Never.
    #[cfg(sim)]
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Never completes.
    #[cfg(sim)]
    pub async fn asked(&mut self) -> Asked {
        std::future::pending().await
    }

    /// Never completes.
    #[cfg(sim)]
    pub async fn asked_to_end(&mut self) {
        std::future::pending().await
    }
}

/// Asks another process to end (SIGTERM).
///
/// # Errors
/// When there is no such process, or it is not ours.
pub fn terminate(pid: u32) -> std::io::Result<()> {
    signal(pid, Ending::Asked)
}

/// Ends another process at once (SIGKILL).
///
/// # Errors
/// When there is no such process, or it is not ours.
pub fn kill(pid: u32) -> std::io::Result<()> {
    signal(pid, Ending::AtOnce)
}

/// How another process is to end.
enum Ending {
    Asked,
    AtOnce,
}

#[cfg(not(sim))]
fn signal(pid: u32, ending: Ending) -> std::io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::NotFound)?;
    let signal = match ending {
        Ending::Asked => Signal::TERM,
        Ending::AtOnce => Signal::KILL,
    };
    Ok(kill_process(pid, signal)?)
}

#[cfg(sim)]
fn signal(_pid: u32, _ending: Ending) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Lets this process open as many files as the system allows it: each partition holds one open, each connection another.
/// If the system refuses, the limit stays; see [`DescriptorBudget::of_this_process`].
pub fn raise_open_files_max() {
    #[cfg(not(sim))]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limits = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, maximum: limits.maximum });
    }
}

/// How many files this process may have open now.
#[must_use]
pub fn open_files_max() -> u64 {
    #[cfg(not(sim))]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    }
    #[cfg(sim)]
    u64::MAX
}

/// How the file descriptors of this process are shared out, so that neither clients nor logs take those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorBudget {
    /// How many there may be in all: `ulimit -n`, after [`raise_open_files_max`].
    pub limit: u64,
    /// How many files the logs keep open. What is being read, written or synced at the moment is beyond that.
    pub log_files: usize,
    /// How many connections there may be, on all listeners together: enforced when a connection is accepted.
    pub connections: usize,
}

impl DescriptorBudget {
    /// More than any disk has heads for; each costs memory of the kernel.
    const LOG_FILES_MAX: u64 = 100_000;
    /// The fewest that logs or connections get, however low the limit is: a node needs as many to come up at all.
    const SHARE_MIN: u64 = 8;

    /// The shares of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::of(open_files_max())
    }

    /// The shares of a process with this limit: a part stays free for listeners, checkpoints, snapshots, and what is open
    /// for a moment; logs and connections have half of the rest each.
    #[must_use]
    pub fn of(limit: u64) -> Self {
        let free = 32 + (limit / 16).min(512);
        let rest = limit.saturating_sub(free);
        let log_files = (rest / 2).clamp(Self::SHARE_MIN, Self::LOG_FILES_MAX);
        let connections = rest.saturating_sub(log_files).max(Self::SHARE_MIN);
        let count = |share: u64| usize::try_from(share).unwrap_or(usize::MAX);
        Self { limit, log_files: count(log_files), connections: count(connections) }
    }
}

/// Keeps the kernel from giving this process memory in pages of 2 MB (transparent huge pages), of which an allocator
/// touches a small part: without them a node holds half as much memory. To be called before memory is taken. Does nothing
/// on systems without such pages.
pub fn take_small_pages() {
    #[cfg(all(not(sim), target_os = "linux"))]
    {
        // Kernels that do not know the call have no such pages either, or give them as before.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
}

/// Has the system send SIGTERM to this process when the thread that started it ends.
///
/// # Errors
/// When the system cannot do that.
pub fn end_with_parent() -> std::io::Result<()> {
    #[cfg(all(not(sim), target_os = "linux"))]
    return Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?);
    #[cfg(not(all(not(sim), target_os = "linux")))]
    Err(std::io::ErrorKind::Unsupported.into())
}

/// A file to which another process appends what it prints.
///
/// # Errors
/// When the file cannot be made or opened.
#[cfg(not(sim))]
pub fn output_to(path: &std::path::Path) -> std::io::Result<std::process::Stdio> {
    Ok(std::fs::OpenOptions::new().create(true).append(true).open(path)?.into())
}

/// Says to systemd how the service is, when it has started this process with `Type=notify`: `READY=1`, `STOPPING=1`
/// (`sd_notify(3)`).
///
/// # Errors
/// When systemd cannot be reached.
#[cfg(not(sim))]
pub fn tell_systemd(state: &str) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

/// This process's id.
#[must_use]
pub fn id() -> u32 {
    std::process::id()
}

/// What the process has used of the machine so far, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of all threads.
    pub cpu: std::time::Duration,
    /// Memory in bytes that is in RAM.
    pub resident_bytes: u64,
    /// Memory in bytes that is mapped.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// How many file descriptors it may have.
    pub open_files_max: u64,
    /// Bytes that disks had to read for it.
    pub disk_read_bytes: u64,
    /// Bytes that it has written, or will have once the kernel has written them.
    pub disk_written_bytes: u64,
    /// How many threads it has.
    pub threads: u64,
}

/// What the process has used so far; `None` where the system does not tell. May block for a moment.
#[must_use]
#[cfg(not(sim))]
pub fn usage() -> Option<Usage> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let field = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let (status, io) = (read("status"), read("io"));
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if status.is_empty() {
        return None;
    }
    let kilobytes = |key: &str| field(&status, key).unwrap_or(0) * 1024;
    Some(Usage {
        cpu: std::time::Duration::new(cpu.tv_sec.unsigned_abs(), u32::try_from(cpu.tv_nsec).unwrap_or(0)),
        resident_bytes: kilobytes("VmRSS"),
        virtual_bytes: kilobytes("VmSize"),
        // The listing itself holds one open.
        open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |entries| (entries.count() as u64).saturating_sub(1)),
        open_files_max: limits.current.unwrap_or(u64::MAX),
        disk_read_bytes: field(&io, "read_bytes").unwrap_or(0),
        disk_written_bytes: field(&io, "write_bytes").unwrap_or(0),
        threads: field(&status, "Threads").unwrap_or(0),
    })
}

/// A simulated process uses nothing that could be counted.
#[must_use]
#[cfg(sim)]
pub fn usage() -> Option<Usage> {
    None
}

#[cfg(test)]
mod tests {
    use super::DescriptorBudget;

    #[test]
    fn logs_and_connections_have_shares_of_the_descriptors_that_leave_some_free() {
        for (limit, log_files, connections) in
            [(10, 8, 8), (256, 104, 104), (1024, 464, 464), (20_000, 9728, 9728), (1_000_000, 100_000, 899_456)]
        {
            assert_eq!(DescriptorBudget::of(limit), DescriptorBudget { limit, log_files, connections });
        }
    }
}
