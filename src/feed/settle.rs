//! [`Settling`]: whether a file that changes has come to rest. Time and what the file looks like in, a verdict out; no clock, no I/O of its own.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long size and times must stay as they are before a changed file is read: writers pause for less between two writes of one file
/// (a guess), and a person waits for more.
pub const STILL_FOR: Duration = Duration::from_millis(200);
/// How long a file that never rests is waited for before it is read as it is.
pub const SETTLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// What tells one state of a file from another; `None` in its place: there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Which file: device and inode, so that one of the same size and time moved over it shows.
    identity: (u64, u64),
    /// Its size, octets.
    octets: u64,
    /// When it was last written, seconds and nanoseconds; a writer may set it to what it was.
    mtime: (i64, i64),
    /// When anything of it was last changed, likewise; that nobody sets. Not written down by earlier versions.
    #[serde(default)]
    ctime: (i64, i64),
}

impl Stat {
    /// Looks at the file behind `path`, links followed.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::from)
    }
}

impl From<&Metadata> for Stat {
    fn from(file: &Metadata) -> Self {
        Self {
            identity: (file.dev(), file.ino()),
            octets: file.size(),
            mtime: (file.mtime(), file.mtime_nsec()),
            ctime: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// Whether the file may be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet: look again after this long, or when something happens.
    Wait(Duration),
    /// It has come to rest.
    Still,
    /// It has not, and has been waited for long enough.
    Restless,
}

/// A file on its way to rest.
#[derive(Debug, Clone)]
pub struct Settling {
    /// When the wait began.
    began: Instant,
    /// Since when the file looks like `last`.
    since: Instant,
    /// What it looked like when last looked at.
    last: Option<Stat>,
}

impl Settling {
    /// Begins to wait at `now` for a file that looks like `stat`.
    #[must_use]
    pub const fn begin(now: Instant, stat: Option<Stat>) -> Self {
        Self { began: now, since: now, last: stat }
    }

    /// What the file's look at `now` means.
    pub fn look(&mut self, now: Instant, stat: Option<Stat>) -> Verdict {
        if self.last != stat {
            self.last = stat;
            self.since = now;
        }
        let still_for = now.saturating_duration_since(self.since);
        let waited = now.saturating_duration_since(self.began);
        if still_for >= STILL_FOR {
            Verdict::Still
        } else if waited >= SETTLE_WAIT_MAX {
            Verdict::Restless
        } else {
            Verdict::Wait(STILL_FOR.saturating_sub(still_for).min(SETTLE_WAIT_MAX.saturating_sub(waited)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `octets` octets.
    fn stat(octets: u64) -> Option<Stat> {
        Some(Stat { identity: (1, 1), octets, mtime: (0, 0), ctime: (0, 0) })
    }

    #[test]
    fn still_for_long_enough() {
        let begin = Instant::now();
        let ms = |ms| begin + Duration::from_millis(ms);
        let wait = |ms| Verdict::Wait(Duration::from_millis(ms));
        let replaced = Some(Stat { identity: (1, 2), ..stat(9).unwrap() });
        let touched = Some(Stat { ctime: (0, 1), ..stat(9).unwrap() });
        let mut settling = Settling::begin(begin, stat(1));
        for (at, stat, want) in [
            (ms(0), stat(1), wait(200)),
            (ms(150), stat(1), wait(50)),
            (ms(160), stat(9), wait(200)), // it grew
            (ms(300), stat(9), wait(60)),
            (ms(310), replaced, wait(200)), // another took its place
            (ms(320), None, wait(200)),     // it went
            (ms(519), None, wait(1)),
            (ms(520), None, Verdict::Still),
            (ms(530), stat(9), wait(200)), // it came again
            (ms(540), touched, wait(200)), // and was written with its old size and time
            (ms(740), touched, Verdict::Still),
        ] {
            assert_eq!(settling.look(at, stat), want, "{:?}", at - begin);
        }
    }

    #[test]
    fn a_file_that_never_rests_is_not_waited_for_for_ever() {
        let begin = Instant::now();
        let mut settling = Settling::begin(begin, stat(0));
        let mut looks = 0;
        loop {
            looks += 1;
            let now = begin + Duration::from_millis(100 * looks);
            match settling.look(now, stat(looks)) {
                Verdict::Wait(more) => assert!(now + more <= begin + SETTLE_WAIT_MAX),
                Verdict::Restless => break assert_eq!(now, begin + SETTLE_WAIT_MAX),
                Verdict::Still => panic!("it moves"),
            }
        }
    }

    #[test]
    fn time_that_goes_backwards_waits() {
        let begin = Instant::now() + Duration::from_secs(1);
        let mut settling = Settling::begin(begin, None);
        assert_eq!(settling.look(begin - Duration::from_millis(500), None), Verdict::Wait(STILL_FOR));
    }
}
