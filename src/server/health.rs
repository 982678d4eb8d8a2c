//! [`UpstreamHealth`]: whether each upstream answers, as all workers together know it.
//!
//! A table of atomics, one row an upstream, made once. A worker writes to it when its own view of an upstream changes; to every reply it costs
//! one load of what hardly ever changes.

use std::sync::atomic::{AtomicU64, Ordering};

/// One upstream.
#[derive(Debug, Default)]
struct Row {
    /// Since when it does not answer, milliseconds and one; 0: it answers.
    silent_since: AtomicU64,
    /// When it last answered again after it had not, milliseconds and one.
    recovered_at: AtomicU64,
}

/// Whether each upstream answers. One does not when a worker's tries failed often enough in a row for it to rest, and no worker had a reply since.
#[derive(Debug)]
pub struct UpstreamHealth {
    /// By place among the upstreams.
    rows: Box<[Row]>,
}

impl UpstreamHealth {
    /// Of so many upstreams, of which nothing is known yet.
    #[must_use]
    pub fn new(upstreams: usize) -> Self {
        Self { rows: (0..upstreams).map(|_| Row::default()).collect() }
    }

    /// A worker has it rest, the last try that failed sent at `sent_ms`.
    pub fn fell_silent(&self, upstream: usize, sent_ms: u64) {
        let Some(row) = self.rows.get(upstream) else { return };
        // What was sent before another worker had a reply says nothing any more.
        if row.recovered_at.load(Ordering::Relaxed) <= sent_ms {
            let since = sent_ms.saturating_add(1);
            // Silent already: the first tells since when.
            row.silent_since.compare_exchange(0, since, Ordering::Relaxed, Ordering::Relaxed).ok();
        }
    }

    /// A worker had a reply of it.
    pub fn replied(&self, upstream: usize, now_ms: u64) {
        let Some(row) = self.rows.get(upstream) else { return };
        if row.silent_since.load(Ordering::Relaxed) != 0 {
            row.recovered_at.store(now_ms.saturating_add(1), Ordering::Relaxed);
            row.silent_since.store(0, Ordering::Relaxed);
        }
    }

    /// Since when it does not answer, milliseconds as the workers' clock has them; `None`: it answers, as far as is known.
    #[must_use]
    pub fn silent_since_ms(&self, upstream: usize) -> Option<u64> {
        self.rows.get(upstream)?.silent_since.load(Ordering::Relaxed).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_silence_counts_until_anyone_has_a_reply() {
        let health = UpstreamHealth::new(2);
        health.replied(0, 5);
        assert_eq!(health.silent_since_ms(0), None);
        health.fell_silent(0, 0);
        health.fell_silent(0, 300);
        assert_eq!((health.silent_since_ms(0), health.silent_since_ms(1)), (Some(0), None));
        health.replied(0, 900);
        assert_eq!(health.silent_since_ms(0), None);
        health.fell_silent(0, 900);
        assert_eq!(health.silent_since_ms(0), None, "that try was sent before the reply came");
        health.fell_silent(0, 901);
        assert_eq!(health.silent_since_ms(0), Some(901));
        health.fell_silent(2, 0);
        assert_eq!(health.silent_since_ms(2), None, "there is no such upstream");
    }
}
