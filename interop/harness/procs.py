"""Child processes: started so that they die with the harness, looked at through /proc."""

import ctypes
import os
import signal
import subprocess

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_TICKS = os.sysconf("SC_CLK_TCK")


def die_with_parent():
    """For `preexec_fn`: the kernel kills this process when the thread that started it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, stdout, stderr, cwd=None, env=None, stdin=subprocess.DEVNULL):
    """A child that cannot outlive the harness."""
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        preexec_fn=die_with_parent,
    )


def rss_kb(pid, field="VmRSS"):
    """Resident memory of a process in KiB (`VmHWM` for its peak)."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/status has no {field}")


def cpu_seconds(pid):
    """User and system time that a process has used so far."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def open_files(pid):
    """How many file descriptors a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))
