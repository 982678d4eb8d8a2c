//! [`Upstream`]: one server we ask: its sockets, its health over UDP and over TCP, and whether it keeps letter case. All of it is learnt from the queries themselves;
//! no probe of our own is ever sent.

use rand::RngExt;
use rand::rngs::StdRng;

use super::check::Claim;
use super::flights::Path;
use super::sockets::Pool;

/// Timeouts in a row, without a reply between, after which an upstream rests: one is a lost packet, two are bad luck.
const TIMEOUTS_TO_REST: u32 = 3;
/// The first rest, milliseconds; each further one is twice as long. A guess: a restart takes seconds.
const REST_FIRST_MS: u64 = 1000;
/// The longest rest, milliseconds: how late a recovery may be noticed.
const REST_MAX_MS: u64 = 30_000;
/// The longest rest of an upstream's TCP, milliseconds. Shorter, because with nobody else to ask it fails every truncated name meanwhile, while
/// an upstream whose UDP rests is still asked if it is the only one.
const TCP_REST_MAX_MS: u64 = 4000;
/// Replies with other letters that TCP confirmed, after which 0x20 rests (DESIGN, decision 11).
const DOUBTS_TO_REST: u8 = 3;
/// How long 0x20 rests, milliseconds. A guess: long against the TCP queries it takes to find out again, short against a server's replacement.
const LETTERS_REST_MS: u64 = 3_600_000;

/// One server we ask.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Its sockets.
    pub(super) pool: Pool,
    /// Whether it answers over UDP.
    pub(super) udp: Health,
    /// Whether it answers over TCP. Each says nothing of the other: a firewall, a full table or a hung process takes one of them alone.
    pub(super) tcp: Health,
    /// Whether it keeps letter case.
    pub(super) letters: LetterTrust,
}

impl Upstream {
    /// One nothing is known of.
    pub(super) fn new(sockets: u16) -> Self {
        let (udp, tcp) = (Health::new(REST_MAX_MS), Health::new(TCP_REST_MAX_MS));
        Self { pool: Pool::new(sockets), udp, tcp, letters: LetterTrust::default() }
    }

    /// The health that a try on this path tells of.
    pub(super) const fn health(&mut self, path: Path) -> &mut Health {
        match path {
            Path::Tcp => &mut self.tcp,
            Path::Udp(_) | Path::Closed => &mut self.udp,
        }
    }
}

/// Whether an upstream answers over one transport, as far as its last tries tell.
#[derive(Debug)]
pub(super) struct Health {
    /// The longest rest, milliseconds.
    rest_max_ms: u64,
    /// Timeouts in a row.
    timeouts: u32,
    /// Rests in a row: the exponent of the next.
    rests: u32,
    /// Until when it rests; in the past: it is to be probed by a live query, if `timeouts` says it failed.
    rest_until_ms: u64,
    /// Until when a live query probes it, and no other is sent meanwhile.
    probe_until_ms: u64,
    /// When it last replied.
    replied_ms: Option<u64>,
}

impl Health {
    /// One nothing is known of.
    const fn new(rest_max_ms: u64) -> Self {
        Self { rest_max_ms, timeouts: 0, rests: 0, rest_until_ms: 0, probe_until_ms: 0, replied_ms: None }
    }

    /// Whether it is to be asked before those that are not.
    pub(super) const fn is_good(&self, now_ms: u64) -> bool {
        self.timeouts < TIMEOUTS_TO_REST || now_ms >= self.rest_until_ms && now_ms >= self.probe_until_ms
    }

    /// It is asked now: if its rest is over, this is the probe, for as long as a try takes.
    pub(super) const fn asked(&mut self, now_ms: u64, timeout_ms: u64) {
        if self.timeouts >= TIMEOUTS_TO_REST && self.is_good(now_ms) {
            self.probe_until_ms = now_ms + timeout_ms;
        }
    }

    /// It replied; whether it was resting, or being probed.
    pub(super) const fn replied(&mut self, now_ms: u64) -> bool {
        let was_silent = self.timeouts >= TIMEOUTS_TO_REST;
        *self = Self { replied_ms: Some(now_ms), ..Self::new(self.rest_max_ms) };
        was_silent
    }

    /// A try sent at `sent_ms` got no reply; whether it rests from now on.
    pub(super) fn failed(&mut self, sent_ms: u64, now_ms: u64, rng: &mut StdRng) -> bool {
        // Replied since: it is this name that is slow, not the upstream that is gone.
        if self.replied_ms.is_some_and(|replied_ms| replied_ms >= sent_ms) {
            return false;
        }
        self.timeouts = self.timeouts.saturating_add(1);
        // Of the many tries that were out when it fell silent, the first begins the rest and the others do not lengthen it.
        let rests = self.timeouts >= TIMEOUTS_TO_REST && now_ms >= self.rest_until_ms;
        if rests {
            let rest_ms = REST_FIRST_MS
                .checked_shl(self.rests.min(16))
                .map_or(self.rest_max_ms, |rest| rest.min(self.rest_max_ms));
            // Between 3/4 and 5/4 of it, so that workers and processes do not probe in step.
            self.rest_until_ms = now_ms + rest_ms * 3 / 4 + rng.random_range(0..=rest_ms / 2);
            self.probe_until_ms = 0;
            self.rests = self.rests.saturating_add(1);
        }
        rests
    }
}

/// Whether an upstream keeps the letter case of a question.
#[derive(Debug, Default)]
pub(super) struct LetterTrust {
    /// Replies in a row that had other letters and were right.
    doubts: u8,
    /// Until when all letters are small.
    rest_until_ms: u64,
}

impl LetterTrust {
    /// Whether random letters may be sent.
    pub(super) const fn is_on(&self, now_ms: u64) -> bool {
        now_ms >= self.rest_until_ms
    }

    /// A reply kept the letters.
    pub(super) const fn kept(&mut self) {
        self.doubts = 0;
    }

    /// TCP gave `said`, after a reply over UDP with other letters gave `claimed`.
    pub(super) fn confirmed(&mut self, claimed: Claim, said: Claim, now_ms: u64) {
        if claimed != said {
            return;
        }
        self.doubts += 1;
        if self.doubts >= DOUBTS_TO_REST {
            *self = Self { doubts: 0, rest_until_ms: now_ms + LETTERS_REST_MS };
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn three_timeouts_in_a_row_and_it_rests() {
        let (mut health, mut rng) = (Health::new(REST_MAX_MS), StdRng::seed_from_u64(1));
        assert!(!health.failed(0, 800, &mut rng) && !health.failed(0, 800, &mut rng));
        assert!(health.is_good(800));
        assert!(!health.replied(900), "it did not rest");
        health.failed(850, 1600, &mut rng);
        health.failed(901, 1700, &mut rng);
        health.failed(901, 1700, &mut rng);
        assert!(health.is_good(1700), "the first was sent before it replied and does not count");
        assert!(health.failed(901, 1700, &mut rng) && !health.failed(901, 1700, &mut rng), "it rests once");
        assert!(!health.is_good(1700) && !health.is_good(2449) && health.is_good(2951), "about a second");
    }

    #[test]
    fn one_query_probes_and_rests_get_longer() {
        let (mut health, mut rng) = (Health::new(REST_MAX_MS), StdRng::seed_from_u64(1));
        let mut now_ms = 1000;
        for _ in 0..TIMEOUTS_TO_REST {
            health.failed(0, now_ms, &mut rng);
        }
        for want_ms in [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000] {
            let rest_ms = health.rest_until_ms - now_ms;
            assert!((want_ms * 3 / 4..=want_ms * 5 / 4).contains(&rest_ms), "{rest_ms} for {want_ms}");
            health.failed(0, now_ms + 1, &mut rng);
            assert_eq!(health.rest_until_ms, now_ms + rest_ms, "a straggler lengthens nothing");
            now_ms = health.rest_until_ms;
            assert!(health.is_good(now_ms));
            health.asked(now_ms, 800);
            assert!(
                !health.is_good(now_ms) && !health.is_good(now_ms + 799) && health.is_good(now_ms + 800),
                "a probe"
            );
            now_ms += 800;
            health.failed(now_ms - 800, now_ms, &mut rng);
        }
        assert!(health.replied(now_ms) && !health.replied(now_ms), "it recovers once");
        assert!(health.is_good(now_ms));
        health.asked(now_ms, 800);
        assert!(health.is_good(now_ms), "one that answers is not probed");
    }

    #[test]
    fn letters_rest_after_three_confirmed_doubts() {
        let claim = |answers| Claim { rcode_low: 0, answers };
        let mut letters = LetterTrust::default();
        letters.confirmed(claim(1), claim(1), 5);
        letters.confirmed(claim(1), claim(1), 5);
        letters.confirmed(claim(1), claim(2), 5);
        letters.kept();
        letters.confirmed(claim(1), claim(1), 5);
        letters.confirmed(claim(1), claim(1), 5);
        assert!(letters.is_on(5));
        letters.confirmed(claim(1), claim(1), 5);
        assert!(!letters.is_on(5) && letters.is_on(5 + LETTERS_REST_MS));
    }
}
