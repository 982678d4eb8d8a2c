//! [`Until`]: until when an entry is enforced.
//!
//! Whole hours, so that a feed whose every entry ends at a moment of its own still shares few rows. There is no clock here: who has one says
//! what time it is.

/// Seconds of an hour.
const HOUR_SECS: u64 = 3600;

/// The hour an entry is enforced until, counted from 1970, rounded up: an indicator is never let go early, and at most an hour late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Until(u32);

impl Until {
    /// For ever: later than every hour.
    pub const NEVER: Self = Self(u32::MAX);

    /// The first whole hour from `secs` after 1970 on; [`NEVER`](Self::NEVER) for those too far away to count.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        let hours = secs.div_ceil(HOUR_SECS);
        #[expect(clippy::cast_possible_truncation, reason = "it was compared")]
        if hours < u32::MAX as u64 { Self(hours as u32) } else { Self::NEVER }
    }

    /// That hour in seconds since 1970; `None` if it never comes.
    #[must_use]
    pub const fn secs(self) -> Option<u64> {
        match self {
            Self::NEVER => None,
            Self(hours) => Some(hours as u64 * HOUR_SECS),
        }
    }

    /// Whether it has come, `now_secs` after 1970.
    #[must_use]
    pub const fn has_come(self, now_secs: u64) -> bool {
        match self.secs() {
            Some(secs) => secs <= now_secs,
            None => false,
        }
    }

    /// Its number in the artifact and in [`Entries`](super::Entries).
    pub(super) const fn number(self) -> u32 {
        self.0
    }

    /// The hour with this number.
    pub(super) const fn of(number: u32) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_rounded_up_and_never_comes_last() {
        for (secs, hour_secs) in
            [(0, Some(0)), (1, Some(3600)), (3600, Some(3600)), (3601, Some(7200)), (u64::MAX, None)]
        {
            let until = Until::from_secs(secs);
            assert_eq!(until.secs(), hour_secs, "{secs}");
            assert!(until <= Until::NEVER, "{secs}");
            for (now_secs, come) in [(0, secs == 0), (3599, secs == 0), (3600, secs <= 3600), (7200, secs <= 7200)] {
                assert_eq!(until.has_come(now_secs), come, "{secs} at {now_secs}");
            }
        }
        let last = u64::from(u32::MAX) * HOUR_SECS;
        assert_eq!(Until::from_secs(last), Until::NEVER);
        assert_eq!(Until::from_secs(last - HOUR_SECS).secs(), Some(last - HOUR_SECS));
        assert!(!Until::NEVER.has_come(u64::MAX));
    }
}
