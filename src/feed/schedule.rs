//! [`Schedule`]: when each feed is to be read again without being told. Time and chance in, names out; no clock, no I/O.
//!
//! Each feed has its own interval and its own backoff: one that fails is tried again for ever, ever less often, and no other feed notices.

use std::time::{Duration, Instant};

/// How long after its first failure a feed is tried again; each further failure doubles it (a guess: a writer's slip is mended in seconds).
pub const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest wait between two tries of a feed that fails.
pub const RETRY_MAX: Duration = Duration::from_secs(3600);
/// How much shorter or longer than stated a wait may be, in hundredths: feeds with one interval do not stay in step.
const JITTER_PERCENT: u32 = 10;

/// One feed's times.
#[derive(Debug, Clone)]
struct Entry {
    /// The feed.
    name: String,
    /// How often it is read; `None`: when it is told to be.
    interval: Option<Duration>,
    /// Tries that failed since the last good one.
    failures: u32,
    /// When it is next to be read.
    next: Option<Instant>,
}

/// All feeds' times.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    /// In the configuration's order.
    entries: Vec<Entry>,
}

impl Schedule {
    /// Takes over the feeds of a configuration, by name and interval in seconds (0: none); those it knows keep their times.
    pub fn set<'f>(&mut self, feeds: impl Iterator<Item = (&'f str, u32)>, now: Instant) {
        let mut old = std::mem::take(&mut self.entries);
        for (name, interval_secs) in feeds {
            let interval = Some(Duration::from_secs(u64::from(interval_secs))).filter(|interval| !interval.is_zero());
            let known = old.iter().position(|entry| entry.name == name).map(|place| old.swap_remove(place));
            self.entries.push(match known {
                Some(entry) if entry.interval == interval => entry,
                Some(Entry { failures: failures @ 1.., next, .. }) => {
                    Entry { name: name.to_owned(), interval, failures, next }
                }
                _ => Entry {
                    name: name.to_owned(),
                    interval,
                    failures: 0,
                    next: interval.and_then(|interval| now.checked_add(interval)),
                },
            });
        }
    }

    /// A feed was read at `now`, well or not; `chance` is of 0 to 1.
    pub fn done(&mut self, name: &str, well: bool, now: Instant, chance: f64) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.name == name) else { return };
        let wait = if well {
            entry.failures = 0;
            entry.interval
        } else {
            let doubled = RETRY_FIRST.saturating_mul(1 << entry.failures.min(20));
            entry.failures = entry.failures.saturating_add(1);
            let backoff = doubled.min(RETRY_MAX);
            Some(entry.interval.map_or(backoff, |interval| interval.min(backoff)))
        };
        entry.next = wait.and_then(|wait| now.checked_add(jitter(wait, chance)));
    }

    /// A feed is not to be read until it is told to be.
    pub fn rest(&mut self, name: &str) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.name == name) {
            entry.next = None;
        }
    }

    /// The feeds to read at `now`.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<String> {
        let due = self.entries.iter().filter(|entry| entry.next.is_some_and(|next| next <= now));
        due.map(|entry| entry.name.clone()).collect()
    }

    /// When one is next to be read.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|entry| entry.next).min()
    }

    /// When this one is.
    #[must_use]
    pub fn next_of(&self, name: &str) -> Option<Instant> {
        self.entries.iter().find(|entry| entry.name == name)?.next
    }
}

/// `wait`, up to [`JITTER_PERCENT`] shorter or longer.
fn jitter(wait: Duration, chance: f64) -> Duration {
    let span = wait * JITTER_PERCENT / 100;
    (wait - span).saturating_add((span * 2).mul_f64(chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn intervals_backoff_and_jitter() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set([("a", 100), ("b", 0)].into_iter(), start);
        assert_eq!((schedule.next(), schedule.next_of("b")), (Some(start + 100 * SECOND), None));
        assert!(schedule.due(start + 99 * SECOND).is_empty());
        assert_eq!(schedule.due(start + 100 * SECOND), ["a"]);

        for (chance, secs) in [(0.0, 90), (0.5, 100), (1.0, 110)] {
            schedule.done("a", true, start, chance);
            assert_eq!(schedule.next_of("a"), Some(start + secs * SECOND));
        }
        // Failures: 5, 10, 20 … seconds, at most an hour, and no longer than its own interval.
        let mut waits = Vec::new();
        for _ in 0..12 {
            schedule.done("b", false, start, 0.5);
            waits.push((schedule.next_of("b").unwrap() - start).as_secs());
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        for want in [5, 10, 20, 40, 80, 100] {
            schedule.done("a", false, start, 0.5);
            assert_eq!(schedule.next_of("a"), Some(start + want * SECOND));
        }
        schedule.done("b", true, start, 0.5);
        assert_eq!(schedule.next_of("b"), None, "it is read when its file changes");
        schedule.done("b", false, start, 0.5);
        assert_eq!(schedule.next_of("b"), Some(start + 5 * SECOND), "and begins anew");
        schedule.rest("b");
        assert_eq!(schedule.next_of("b"), None);
    }

    #[test]
    fn another_configuration_keeps_the_times_of_what_stays() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set([("a", 100), ("b", 100), ("c", 100)].into_iter(), start);
        schedule.done("c", false, start, 0.5);
        schedule.set([("c", 50), ("a", 100), ("b", 200), ("d", 10)].into_iter(), start + SECOND);
        for (name, secs) in [("a", 100), ("b", 201), ("c", 5), ("d", 11)] {
            assert_eq!(schedule.next_of(name), Some(start + secs * SECOND), "{name}");
        }
    }

    #[test]
    fn failures_without_end_do_not_overflow() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set([("a", 0)].into_iter(), start);
        for _ in 0..100 {
            schedule.done("a", false, start, 1.0);
        }
        assert!(schedule.next_of("a").unwrap() <= start + RETRY_MAX * 11 / 10);
    }
}
