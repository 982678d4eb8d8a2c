//! [`Line`]: one connection to an upstream: which questions are out on it under which id, and whether anything still comes back.
//!
//! No socket and no clock. Ids are the line's own, since those of different workers may be equal; the question's id is put back into its reply.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::wire::HEADER_OCTETS;

/// The most questions out on one line. A guess: enough that a burst does not open a second line, little enough that a server which answers in
/// turn is not asked for seconds of work on one.
pub(super) const PIPELINE_MAX: usize = 100;
/// So many questions on a line that ended without a reply, and it is used no more: whatever the server does with them, their ids stay taken.
const ENDED_MAX: usize = PIPELINE_MAX / 2;
/// A line without a question is closed after this, milliseconds: sooner than any public resolver measured closes it (Quad9's 30 s is the
/// shortest, firestack #241), so that few questions meet a closing line.
const IDLE_MS: u64 = 10_000;
/// More messages in a row than this that reply to nothing asked, and the line is closed. A guess: none is ever to be expected.
const STRAYS_MAX: u32 = 16;

/// A question over TCP; `A` is whom its outcome goes to.
#[derive(Debug)]
pub(super) struct Question<A> {
    /// Whom its outcome goes to.
    pub(super) asker: A,
    /// The query, with the asker's id.
    pub(super) packet: Box<[u8]>,
    /// When nobody waits for it any more: from then on it is neither sent nor answered for.
    pub(super) deadline_ms: u64,
    /// The line that it was lost with: it goes on a newer one, and is not asked a third time.
    pub(super) lost_with: Option<u64>,
}

/// An id that is out.
#[derive(Debug)]
struct Out<A> {
    /// Whose it is; `None` when it has ended: a late reply is told from a stray one, and the id is not given away.
    question: Option<Question<A>>,
    /// Which of the line's questions it is.
    place: u64,
    /// When it was sent.
    sent_ms: u64,
    /// Replies that had come by then.
    replies_before: u64,
}

/// What a message was.
#[derive(Debug)]
pub(super) enum Heard<A> {
    /// The reply to a question, with the id of its asker.
    Reply(A, Box<[u8]>),
    /// A reply to one that has ended.
    Late,
    /// Nobody's. `true`: one too many.
    Stray(bool),
}

/// One connection, from the moment it is begun.
#[derive(Debug)]
pub(super) struct Line<A> {
    /// Tells it from all others of its upstream; a newer one has a higher.
    number: u64,
    /// By id, at most [`PIPELINE_MAX`].
    out: BTreeMap<u16, Out<A>>,
    /// Questions sent.
    sent: u64,
    /// How many of `out` have ended.
    ended: usize,
    /// Replies that came.
    replies: u64,
    /// Stray messages since the last reply.
    strays: u32,
    /// When it last sent or got something.
    used_ms: u64,
}

impl<A> Line<A> {
    /// A line that is begun now.
    pub(super) fn new(number: u64, now_ms: u64) -> Self {
        Self { number, out: BTreeMap::new(), sent: 0, ended: 0, replies: 0, strays: 0, used_ms: now_ms }
    }

    /// Its number.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// How many questions wait on it.
    pub(super) fn waiting(&self) -> usize {
        self.out.len() - self.ended
    }

    /// How many replies came on it.
    pub(super) const fn replies(&self) -> u64 {
        self.replies
    }

    /// Whether one more question may go on it; one that is waited for in vain for `patience_ms` gets no more.
    pub(super) fn takes(&self, now_ms: u64, patience_ms: u64) -> bool {
        self.out.len() < PIPELINE_MAX
            && self.ended < ENDED_MAX
            && !self.out.values().any(|out| self.is_unheard(out, now_ms, patience_ms))
    }

    /// Whether `out` was sent `patience_ms` ago and nothing came since.
    const fn is_unheard(&self, out: &Out<A>, now_ms: u64, patience_ms: u64) -> bool {
        out.replies_before == self.replies && now_ms.saturating_sub(out.sent_ms) >= patience_ms
    }

    /// Whether it is dead: nothing came since a question was sent that has ended by now, `patience_ms` ago at least.
    pub(super) fn is_silent(&self, now_ms: u64, patience_ms: u64) -> bool {
        self.out.values().any(|out| out.question.is_none() && self.is_unheard(out, now_ms, patience_ms))
    }

    /// Whether nothing waits on it, and it is of no more use or has not been used for long.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.waiting() == 0 && (self.ended >= ENDED_MAX || now_ms.saturating_sub(self.used_ms) >= IDLE_MS)
    }

    /// When it is to be looked at.
    pub(super) fn next_deadline_ms(&self, patience_ms: u64) -> u64 {
        let due = |out: &Out<A>| match &out.question {
            Some(question) => Some(question.deadline_ms),
            None if out.replies_before == self.replies => Some(out.sent_ms + patience_ms),
            None => None,
        };
        let idle_ms = (self.waiting() == 0).then_some(self.used_ms + IDLE_MS);
        self.out.values().filter_map(due).chain(idle_ms).min().unwrap_or(u64::MAX)
    }

    /// Puts a question on the line, which [takes](Self::takes) one: what is to be written, length octets and all (RFC 7766 §8: at once).
    pub(super) fn send(&mut self, question: Question<A>, now_ms: u64, rng: &mut StdRng) -> Box<[u8]> {
        let mut id: u16 = rng.random();
        while self.out.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        let length = u16::try_from(question.packet.len()).unwrap_or(u16::MAX);
        let rest = question.packet.get(2..).unwrap_or_default();
        let frame = [&length.to_be_bytes(), &id.to_be_bytes(), rest].concat().into_boxed_slice();
        let (place, replies_before) = (self.sent, self.replies);
        self.out.insert(id, Out { question: Some(question), place, sent_ms: now_ms, replies_before });
        self.sent += 1;
        self.used_ms = now_ms;
        frame
    }

    /// A message came.
    pub(super) fn hear(&mut self, mut octets: Box<[u8]>, now_ms: u64) -> Heard<A> {
        let id = octets.first_chunk().filter(|_| octets.len() >= HEADER_OCTETS).map(|id| u16::from_be_bytes(*id));
        let Some(out) = id.and_then(|id| self.out.remove(&id)) else {
            self.strays += 1;
            return Heard::Stray(self.strays > STRAYS_MAX);
        };
        self.replies += 1;
        self.strays = 0;
        self.used_ms = now_ms;
        let Some(question) = out.question else {
            self.ended -= 1;
            return Heard::Late;
        };
        if let (Some(id), Some(own)) = (octets.first_chunk_mut::<2>(), question.packet.first_chunk()) {
            *id = *own;
        }
        Heard::Reply(question.asker, octets)
    }

    /// Ends the questions whose time is over.
    pub(super) fn expire(&mut self, now_ms: u64) {
        for out in self.out.values_mut() {
            if out.question.as_ref().is_some_and(|question| question.deadline_ms <= now_ms) {
                out.question = None;
                self.ended += 1;
            }
        }
    }

    /// The questions that wait on it, when it has ended; in the order they were sent.
    pub(super) fn into_questions(self) -> Vec<Question<A>> {
        let mut out: Vec<Out<A>> = self.out.into_values().collect();
        out.sort_by_key(|out| out.place);
        out.into_iter().filter_map(|out| out.question).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn question(asker: u16, deadline_ms: u64) -> Question<u16> {
        let packet = [&asker.to_be_bytes()[..], b"..........question"].concat().into_boxed_slice();
        Question { asker, packet, deadline_ms, lost_with: None }
    }

    /// A line with questions 0 to `count` out, and what was written for each.
    fn line(count: u16) -> (Line<u16>, Vec<Box<[u8]>>) {
        let (mut line, mut rng) = (Line::new(1, 0), StdRng::seed_from_u64(1));
        let frames = (0..count).map(|asker| line.send(question(asker, 2500), 0, &mut rng)).collect();
        (line, frames)
    }

    #[test]
    fn replies_are_matched_in_any_order_and_get_their_own_id_back() {
        let (mut line, frames) = line(100);
        assert!(!line.takes(0, 800), "full");
        for (asker, frame) in (0..100).zip(&frames).rev() {
            assert_eq!(usize::from(u16::from_be_bytes([frame[0], frame[1]])), frame.len() - 2);
            let Heard::Reply(whose, octets) = line.hear(frame[2..].into(), 5) else { panic!("a reply") };
            assert_eq!((whose, &*octets), (asker, &*question(asker, 0).packet));
            assert!(matches!(line.hear(frame[2..].into(), 5), Heard::Stray(false)), "once");
        }
        assert_eq!((line.waiting(), line.replies()), (0, 100));
        assert!(line.takes(0, 800));
    }

    #[test]
    fn too_many_strays_are_told() {
        let (mut line, frames) = line(2);
        for octets in [&b""[..], b"x", &frames[0][2..13], b"\0\0..........nobody asked"] {
            assert!(matches!(line.hear(octets.into(), 1), Heard::Stray(false)), "{octets:?}");
        }
        assert!(matches!(line.hear(frames[0][2..].into(), 1), Heard::Reply(0, _)), "a reply in between");
        for count in 1..=STRAYS_MAX + 1 {
            let Heard::Stray(too_many) = line.hear([].into(), 1) else { panic!("a stray") };
            assert_eq!(too_many, count > STRAYS_MAX);
        }
    }

    #[test]
    fn a_line_is_silent_when_nothing_came_since_a_question_that_ended() {
        let (mut line, frames) = line(2);
        assert!(line.takes(799, 800) && !line.takes(800, 800), "waited for in vain: others go elsewhere");
        line.expire(2499);
        assert!(!line.is_silent(2499, 800) && line.waiting() == 2);
        line.expire(2500);
        assert!(line.is_silent(2500, 800) && line.waiting() == 0 && !line.is_silent(2500, 3000));
        assert_eq!(line.next_deadline_ms(3000), 3000);
        assert!(matches!(line.hear(frames[0][2..].into(), 2600), Heard::Late));
        assert!(!line.is_silent(9000, 800) && line.takes(9000, 800), "it lives: that one question is slow");
        assert_eq!(line.next_deadline_ms(800), 2600 + IDLE_MS);
        assert!(!line.is_over(2600 + IDLE_MS - 1) && line.is_over(2600 + IDLE_MS));
    }

    #[test]
    fn a_line_with_too_many_lost_replies_is_over() {
        let (mut line, frames) = line(51);
        line.expire(2500);
        assert!(matches!(line.hear(frames[0][2..].into(), 2600), Heard::Late));
        assert!(!line.takes(2600, 9000) && line.is_over(2600));
        assert!(line.into_questions().is_empty());
    }
}
