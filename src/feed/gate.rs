//! The gate a fresh load passes before it replaces the one in use: a list that lost most of its names is refused, and the old one stays.

/// A load with fewer than this share of the last one's names is refused, in percent: an upstream that broke, far more often than one
/// that cleaned up (a guess; half is what the operator is told).
pub const SHRUNK_BELOW_PERCENT: u64 = 50;

/// Why a load may not replace the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Nothing is left of it.
    #[error("expected at least one usable entry, got none")]
    Empty,
    /// Under [`SHRUNK_BELOW_PERCENT`].
    #[error("expected at least {SHRUNK_BELOW_PERCENT} % of the last load's {previous} entries, got {new}")]
    Shrunk {
        /// Entries of the load in use.
        previous: u64,
        /// Entries of the new one.
        new: u64,
    },
}

/// Whether a load of `new` entries may replace one of `previous`; the first load has no previous.
///
/// # Errors
/// [`GateError`].
pub const fn gate(previous: Option<u64>, new: u64) -> Result<(), GateError> {
    match previous {
        _ if new == 0 => Err(GateError::Empty),
        Some(previous) if new.saturating_mul(100) < previous.saturating_mul(SHRUNK_BELOW_PERCENT) => {
            Err(GateError::Shrunk { previous, new })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_enough_and_less_is_not() {
        for (previous, new, want) in [
            (None, 1, Ok(())),
            (None, 0, Err(GateError::Empty)),
            (Some(10), 0, Err(GateError::Empty)),
            (Some(10), 5, Ok(())),
            (Some(10), 4, Err(GateError::Shrunk { previous: 10, new: 4 })),
            (Some(11), 5, Err(GateError::Shrunk { previous: 11, new: 5 })),
            (Some(0), 1, Ok(())),
            (Some(5), 5000, Ok(())),
        ] {
            assert_eq!(gate(previous, new), want, "{previous:?} {new}");
        }
    }
}
