//! Limits of the process: no core dumps, many open files, memory given back, and no end by a signal that means nothing here.

#![expect(unsafe_code, reason = "mallopt, malloc_trim and signal have no safe wrapper")]

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setpriority_process, setrlimit,
};

/// The nice value of what may take its time: a tenth of a busy core against a worker, so that it still gets done.
const LOW_PRIORITY: i32 = 10;

/// Turns core dumps off, for good and for `ptrace` by others of the same user too: memory holds indicators.
///
/// # Errors
/// What `setrlimit(2)` or `prctl(2)` says.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Raises the soft limit of open files to the hard one, and gives it.
#[must_use]
pub fn open_files_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let granted = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    granted.unwrap_or(u64::MAX)
}

/// Signals that end a process by default and mean nothing here: timers, descriptors, power, and what programs give a meaning of their own.
/// With SIGXFSZ ignored a file that grows past a limit is an error of that write alone.
const MEANINGLESS: [libc::c_int; 9] = [
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGSTKFLT,
    libc::SIGPWR,
    libc::SIGXFSZ,
];

/// Ignores the signals that end a process by default and mean nothing here, real-time ones included, for good.
pub fn ignore_meaningless_signals() {
    for signal in MEANINGLESS.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
        // SAFETY: no code of ours runs in a handler: the kernel is told to drop the signal. It fails only on a number that is no signal's.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// Has the calling thread, on Linux it alone, yield to all others: what it does may take its time.
///
/// # Errors
/// What `setpriority(2)` says.
pub fn lower_priority() -> io::Result<()> {
    Ok(setpriority_process(None, LOW_PRIORITY)?)
}

/// Blocks of so many octets and more are mapped one by one: an index, the arena of a feed as it is read.
#[cfg(target_env = "gnu")]
const MAPPED_OCTETS_MIN: libc::c_int = 1 << 20;

/// Has large blocks of memory mapped by themselves, so that each goes back to the system when it is freed. Left alone, glibc raises that size to
/// the largest block that was ever freed, and indexes then leave holes in the heap: 23 MB before an update of a million names were 24 to 65
/// after it, and are 25 so.
pub fn map_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt sets one number of the allocator's, under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_OCTETS_MIN);
    }
}

/// Gives memory that was freed back to the system: what a build needed for a while is not kept for ever.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes the allocator's own locks and touches only memory that nobody holds.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_is_dumped() {
        forbid_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert!(open_files_limit() > 0);
    }

    #[test]
    fn priority_is_a_threads_own() {
        let here = rustix::process::getpriority_process(None).unwrap();
        let there = std::thread::spawn(|| {
            lower_priority().unwrap();
            rustix::process::getpriority_process(None).unwrap()
        });
        assert_eq!(there.join().unwrap(), LOW_PRIORITY);
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), here);
    }
}
