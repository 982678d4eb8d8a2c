//! [`Lines`]: the connections to one upstream, and which question goes over which (RFC 7766 §6.2.1: few, kept, pipelined, replies in any order).
//!
//! Time and messages go in, [`Effect`]s come out; no socket, no clock, no randomness of its own.
//!
//! * A question goes over the line with the fewest, unless each has 100 or is waited for in vain; then over a new one, of which there are four
//!   at most; then it waits.
//! * A line that ends takes nothing along: its questions are asked once more on a newer line. A third time none is, and one whose time is over
//!   is dropped. Who refuses a connection is not tried again by itself.
//! * A line on which a question's time ended, and nothing came since it was asked, is closed.
//! * A server that twice ended a line, or fell silent on it, after a single reply gets a line for each question for an hour.

use std::collections::VecDeque;

use rand::rngs::StdRng;

use super::line::{Heard, Line, PIPELINE_MAX, Question};
use crate::forward::TcpFailed;

/// The most connections to one upstream (RFC 7766 §6.2.2 asks for few). A guess: 400 questions out are a thousand and more a second at any round
/// trip on one continent.
pub const LINES_PER_UPSTREAM_MAX: usize = 4;
/// The most questions that wait to be asked again, or for the line they need: all that lines can have lost at once.
const WAITING_MAX: usize = LINES_PER_UPSTREAM_MAX * PIPELINE_MAX;
/// Lines that ended after their first reply, with questions out, before a server gets a line for each question: once may be a restart.
const SINGLES_SEEN: u8 = 2;
/// For how long, milliseconds. A guess: long against the few questions it costs to find out again.
const SINGLES_MS: u64 = 3_600_000;

/// How a line ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Connected, then closed or reset at the other end.
    Closed,
    /// Not connected: there is no route, or nobody listens.
    Refused,
    /// Not connected in time: the packet that asks for it is lost, as others, or nobody is there.
    Late,
}

/// What is to be done, in the order given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect<A> {
    /// Connect; frames for it may follow before it is connected.
    Open {
        /// What to call it.
        line: u64,
    },
    /// Write this.
    Send {
        /// On which line.
        line: u64,
        /// With its length octets.
        frame: Box<[u8]>,
    },
    /// Close it at once; what comes of it is not waited for.
    Close {
        /// Which.
        line: u64,
    },
    /// A question has its outcome.
    Done {
        /// Whose.
        asker: A,
        /// The reply, with the id that was asked with.
        result: Result<Box<[u8]>, TcpFailed>,
    },
}

/// The connections to one upstream.
#[derive(Debug)]
pub(super) struct Lines<A> {
    /// How long a try waits, milliseconds: a line that is waited for in vain for so long gets no further question.
    patience_ms: u64,
    /// At most [`LINES_PER_UPSTREAM_MAX`], the newest last.
    lines: Vec<Line<A>>,
    /// The number of the newest line.
    newest: u64,
    /// Questions without a line, at most [`WAITING_MAX`].
    waiting: VecDeque<Question<A>>,
    /// Lines in a row that ended after their first reply, with questions out.
    singles: u8,
    /// Until when each question gets a line of its own.
    singles_until_ms: u64,
    /// Ids.
    rng: StdRng,
}

impl<A> Lines<A> {
    /// None yet; `patience_ms` is how long one try waits.
    pub(super) const fn new(patience_ms: u64, rng: StdRng) -> Self {
        Self {
            patience_ms,
            lines: Vec::new(),
            newest: 0,
            waiting: VecDeque::new(),
            singles: 0,
            singles_until_ms: 0,
            rng,
        }
    }

    /// Whether a question that is asked now is sent now.
    pub(super) fn has_room(&self, now_ms: u64) -> bool {
        self.waiting.len() < WAITING_MAX
            && (self.lines.len() < LINES_PER_UPSTREAM_MAX
                || self.lines.iter().any(|line| line.waiting() == 0 || self.is_usable(line, now_ms)))
    }

    /// Asks a question: over a line, or when there is one.
    pub(super) fn ask(&mut self, question: Question<A>, now_ms: u64, effects: &mut Vec<Effect<A>>) {
        self.put_off(question, effects);
        self.send_waiting(now_ms, effects);
    }

    /// A message came on a line.
    pub(super) fn on_message(&mut self, line: u64, octets: Box<[u8]>, now_ms: u64, effects: &mut Vec<Effect<A>>) {
        let Some(place) = self.place(line) else { return };
        let Some(found) = self.lines.get_mut(place) else { return };
        let too_many = match found.hear(octets, now_ms) {
            Heard::Reply(asker, octets) => {
                effects.push(Effect::Done { asker, result: Ok(octets) });
                false
            }
            Heard::Late => false,
            Heard::Stray(too_many) => too_many,
        };
        let (replies, waiting) = (found.replies(), found.waiting());
        if replies > 1 {
            self.singles = 0;
        }
        if too_many || self.gives_singles(now_ms) && replies > 0 && waiting == 0 {
            self.close(place, now_ms, effects);
        }
        self.send_waiting(now_ms, effects);
    }

    /// A line has ended by itself.
    pub(super) fn on_end(&mut self, line: u64, end: End, now_ms: u64, effects: &mut Vec<Effect<A>>) {
        let Some(place) = self.place(line) else { return };
        let gone = self.lines.remove(place);
        if end != End::Refused {
            self.lose(gone, now_ms, effects);
        } else if self.lines.iter().any(|line| line.replies() > 0) {
            // It takes no more connections, but the ones it has work: any of them will do.
            self.ask_again(gone.into_questions(), 0, now_ms, effects);
        } else {
            fail(gone.into_questions(), effects);
        }
        self.send_waiting(now_ms, effects);
    }

    /// Time has passed.
    pub(super) fn on_tick(&mut self, now_ms: u64, effects: &mut Vec<Effect<A>>) {
        self.lines.iter_mut().for_each(|line| line.expire(now_ms));
        let patience_ms = self.patience_ms;
        let is_done = |line: &Line<A>| line.is_silent(now_ms, patience_ms) || line.is_over(now_ms);
        while let Some(place) = self.lines.iter().position(is_done) {
            self.close(place, now_ms, effects);
        }
        self.send_waiting(now_ms, effects);
    }

    /// When [`Self::on_tick`] is due.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        let lines = self.lines.iter().map(|line| line.next_deadline_ms(self.patience_ms));
        lines.chain(self.waiting.iter().map(|question| question.deadline_ms)).min()
    }

    /// Forgets all lines and what is out on them; their numbers are not given again.
    pub(super) fn forget(&mut self) {
        self.lines.clear();
        self.waiting.clear();
    }

    /// Where a line stands.
    fn place(&self, line: u64) -> Option<usize> {
        self.lines.iter().position(|one| one.number() == line)
    }

    /// Whether each question gets a line of its own.
    const fn gives_singles(&self, now_ms: u64) -> bool {
        now_ms < self.singles_until_ms
    }

    /// Whether a line takes another question.
    fn is_usable(&self, line: &Line<A>, now_ms: u64) -> bool {
        let is_single = self.gives_singles(now_ms) && (line.waiting() > 0 || line.replies() > 0);
        !is_single && line.takes(now_ms, self.patience_ms)
    }

    /// Sends what waits and can be sent; drops what nobody waits for.
    fn send_waiting(&mut self, now_ms: u64, effects: &mut Vec<Effect<A>>) {
        for _ in 0..self.waiting.len() {
            let Some(question) = self.waiting.pop_front() else { return };
            if question.deadline_ms <= now_ms {
                continue;
            }
            let place = self.line_for(&question, now_ms, effects);
            match place.and_then(|place| self.lines.get_mut(place)) {
                Some(line) => {
                    let frame = line.send(question, now_ms, &mut self.rng);
                    effects.push(Effect::Send { line: line.number(), frame });
                }
                None => self.waiting.push_back(question),
            }
        }
    }

    /// The place of the line that a question goes over, which is opened if need be.
    fn line_for(&mut self, question: &Question<A>, now_ms: u64, effects: &mut Vec<Effect<A>>) -> Option<usize> {
        let fits = |line: &Line<A>| {
            question.lost_with.is_none_or(|lost_with| line.number() > lost_with) && self.is_usable(line, now_ms)
        };
        let usable = self.lines.iter().enumerate().filter(|(_, line)| fits(line));
        if let Some((place, _)) = usable.min_by_key(|(_, line)| line.waiting()) {
            return Some(place);
        }
        if self.lines.len() >= LINES_PER_UPSTREAM_MAX {
            // One that nothing waits on makes room.
            let place = self.lines.iter().position(|line| line.waiting() == 0)?;
            self.close(place, now_ms, effects);
        }
        self.newest += 1;
        self.lines.push(Line::new(self.newest, now_ms));
        effects.push(Effect::Open { line: self.newest });
        Some(self.lines.len() - 1)
    }

    /// Closes a line.
    fn close(&mut self, place: usize, now_ms: u64, effects: &mut Vec<Effect<A>>) {
        let gone = self.lines.remove(place);
        effects.push(Effect::Close { line: gone.number() });
        self.lose(gone, now_ms, effects);
    }

    /// Has the questions of a line that has ended asked again.
    fn lose(&mut self, gone: Line<A>, now_ms: u64, effects: &mut Vec<Effect<A>>) {
        if gone.replies() == 1 && (gone.waiting() > 0 || gone.is_silent(now_ms, self.patience_ms)) {
            self.singles += 1;
            if self.singles >= SINGLES_SEEN {
                (self.singles, self.singles_until_ms) = (0, now_ms + SINGLES_MS);
            }
        }
        let line = gone.number();
        self.ask_again(gone.into_questions(), line, now_ms, effects);
    }

    /// Has the questions of a line that has ended asked again on one newer than `line`, but for those that were asked twice already.
    fn ask_again(&mut self, questions: Vec<Question<A>>, line: u64, now_ms: u64, effects: &mut Vec<Effect<A>>) {
        let live = questions.into_iter().filter(|question| question.deadline_ms > now_ms);
        let (twice, once): (Vec<_>, Vec<_>) = live.partition(|question| question.lost_with.is_some());
        fail(twice, effects);
        for question in once {
            self.put_off(Question { lost_with: Some(line), ..question }, effects);
        }
    }

    /// Lets a question wait, if there is room.
    fn put_off(&mut self, question: Question<A>, effects: &mut Vec<Effect<A>>) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(question);
        } else {
            effects.push(Effect::Done { asker: question.asker, result: Err(TcpFailed::Uncounted) });
        }
    }
}

/// Ends the questions of one line without a reply: one failure, however many there are.
fn fail<A>(questions: Vec<Question<A>>, effects: &mut Vec<Effect<A>>) {
    let failures = std::iter::once(TcpFailed::NoReply).chain(std::iter::repeat(TcpFailed::Uncounted));
    let done = |(question, failed): (Question<A>, _)| Effect::Done { asker: question.asker, result: Err(failed) };
    effects.extend(questions.into_iter().zip(failures).map(done));
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// How long a try waits here.
    const PATIENCE_MS: u64 = 800;

    /// Lines, their time, and what is out by asker.
    struct Rig {
        lines: Lines<u16>,
        now_ms: u64,
    }

    /// What one event led to.
    struct Told(Vec<Effect<u16>>);

    impl Told {
        fn opened(&self) -> Vec<u64> {
            self.0
                .iter()
                .filter_map(|effect| if let Effect::Open { line } = effect { Some(*line) } else { None })
                .collect()
        }

        fn closed(&self) -> Vec<u64> {
            self.0
                .iter()
                .filter_map(|effect| if let Effect::Close { line } = effect { Some(*line) } else { None })
                .collect()
        }

        /// Line and message of each frame.
        fn sent(&self) -> Vec<(u64, Box<[u8]>)> {
            let sent = |effect: &Effect<u16>| match effect {
                Effect::Send { line, frame } => Some((*line, frame[2..].into())),
                _ => None,
            };
            self.0.iter().filter_map(sent).collect()
        }

        /// Who got a reply, and who none.
        fn done(&self) -> Vec<(u16, bool)> {
            let done = |effect: &Effect<u16>| match effect {
                Effect::Done { asker, result } => Some((*asker, result.is_ok())),
                _ => None,
            };
            self.0.iter().filter_map(done).collect()
        }
    }

    impl Rig {
        fn new() -> Self {
            Self { lines: Lines::new(PATIENCE_MS, StdRng::seed_from_u64(1)), now_ms: 1_000_000 }
        }

        fn told(&mut self, happens: impl FnOnce(&mut Lines<u16>, u64, &mut Vec<Effect<u16>>)) -> Told {
            let mut effects = Vec::new();
            happens(&mut self.lines, self.now_ms, &mut effects);
            assert!(self.lines.lines.len() <= LINES_PER_UPSTREAM_MAX);
            Told(effects)
        }

        fn ask(&mut self, asker: u16) -> Told {
            let packet = [&asker.to_be_bytes()[..], b"..........question"].concat().into_boxed_slice();
            let question = Question { asker, packet, deadline_ms: self.now_ms + 2500, lost_with: None };
            self.told(|lines, now_ms, effects| lines.ask(question, now_ms, effects))
        }

        /// Asks, and gives line and message, which is the only one.
        fn sent(&mut self, asker: u16) -> (u64, Box<[u8]>) {
            let told = self.ask(asker);
            let [sent] = &told.sent()[..] else { panic!("{:?}", told.0) };
            sent.clone()
        }

        fn reply(&mut self, (line, octets): &(u64, Box<[u8]>)) -> Told {
            self.told(|lines, now_ms, effects| lines.on_message(*line, octets.clone(), now_ms, effects))
        }

        fn end(&mut self, line: u64, end: End) -> Told {
            self.told(|lines, now_ms, effects| lines.on_end(line, end, now_ms, effects))
        }

        /// Goes to the next deadline; how long that was.
        fn wait(&mut self) -> (u64, Told) {
            let then_ms = self.lines.next_deadline_ms().unwrap();
            let waited_ms = then_ms - std::mem::replace(&mut self.now_ms, then_ms);
            (waited_ms, self.told(Lines::on_tick))
        }
    }

    #[test]
    fn one_after_another_they_use_one_line_which_is_closed_when_idle() {
        let mut rig = Rig::new();
        for asker in 0..200 {
            rig.now_ms += 9999;
            let sent = rig.sent(asker);
            assert_eq!((sent.0, rig.reply(&sent).done()), (1, vec![(asker, true)]));
        }
        let (waited_ms, told) = rig.wait();
        assert_eq!((waited_ms, told.closed(), rig.lines.next_deadline_ms()), (10_000, vec![1], None));
        assert_eq!(rig.sent(200).0, 2);
    }

    #[test]
    fn a_burst_takes_four_lines_and_waits_for_the_first_reply() {
        let mut rig = Rig::new();
        let sent: Vec<_> = (0..400).map(|asker| rig.sent(asker)).collect();
        let of = |line| sent.iter().filter(|sent| sent.0 == line).count();
        assert_eq!([1, 2, 3, 4].map(of), [100; 4]);
        assert!(!rig.lines.has_room(rig.now_ms));
        assert!(rig.ask(400).0.is_empty());
        let told = rig.reply(&sent[250]);
        assert_eq!((told.done(), told.sent()[0].0), (vec![(250, true)], 3), "the one that waits takes its place");
    }

    #[test]
    fn a_line_that_ends_while_idle_costs_nothing() {
        let mut rig = Rig::new();
        let sent = rig.sent(1);
        rig.reply(&sent);
        assert!(rig.end(1, End::Closed).0.is_empty());
        assert!(rig.end(1, End::Closed).0.is_empty() && rig.reply(&sent).0.is_empty(), "nobody knows that line");
        assert_eq!(rig.sent(2).0, 2);
    }

    #[test]
    fn what_was_out_on_a_line_that_ends_is_asked_once_more() {
        let mut rig = Rig::new();
        let first = rig.sent(1);
        rig.sent(2);
        rig.reply(&first);
        let told = rig.end(1, End::Closed);
        assert_eq!((told.opened(), told.sent().len(), told.done()), (vec![2], 1, vec![]));
        rig.sent(3);
        let told = rig.end(2, End::Closed);
        assert_eq!((told.done(), told.sent().len(), told.opened()), (vec![(2, false)], 1, vec![3]), "no third time");
        assert_eq!(rig.end(3, End::Closed).done(), [(3, false)]);
    }

    #[test]
    fn a_refused_line_fails_its_questions_which_is_one_failure() {
        let mut rig = Rig::new();
        (0..3).for_each(|asker| drop(rig.sent(asker)));
        let told = rig.end(1, End::Refused);
        let failed = |asker, failed| Effect::Done { asker, result: Err(failed) };
        let (first, next) = (TcpFailed::NoReply, TcpFailed::Uncounted);
        assert_eq!(
            told.0,
            [(0, first), (1, next), (2, next)].map(|(asker, how)| failed(asker, how)),
            "and no new line"
        );
    }

    #[test]
    fn a_line_refused_beside_one_that_works_leaves_its_questions_to_that() {
        let mut rig = Rig::new();
        let sent: Vec<_> = (0..101).map(|asker| rig.sent(asker)).collect();
        rig.reply(&sent[0]);
        assert_eq!((sent[100].0, rig.end(2, End::Refused).sent()[0].0), (2, 1));
    }

    #[test]
    fn a_line_that_is_not_connected_in_time_is_tried_once_more() {
        let mut rig = Rig::new();
        rig.sent(1);
        assert_eq!(rig.end(1, End::Late).sent()[0].0, 2);
        assert_eq!(rig.end(2, End::Late).done(), [(1, false)]);
    }

    #[test]
    fn a_silent_line_is_left_then_closed() {
        let mut rig = Rig::new();
        rig.sent(1);
        rig.now_ms += 700;
        assert_eq!(rig.sent(2).0, 1);
        rig.now_ms += 100;
        let third = rig.sent(3);
        assert_eq!(third.0, 2, "waited for in vain: others go elsewhere");
        rig.reply(&third);
        let (waited_ms, told) = rig.wait();
        assert_eq!((waited_ms, told.closed(), told.done()), (1700, vec![1], vec![]), "the first's time is over");
        assert_eq!(told.sent()[0].0, 2, "the second is asked again");
    }

    #[test]
    fn what_has_ended_is_not_sent() {
        let mut rig = Rig::new();
        for asker in 0..400 {
            rig.sent(asker);
        }
        rig.ask(400);
        let (waited_ms, told) = rig.wait();
        assert_eq!((waited_ms, told.0.len(), told.closed()), (2500, 4, vec![1, 2, 3, 4]), "{:?}", told.0);
        assert_eq!((rig.lines.next_deadline_ms(), rig.sent(500).0), (None, 5));
    }

    /// Two lines, each of which is closed, or silent, after its first reply.
    fn answers_once_a_line(silent: bool) -> Rig {
        let mut rig = Rig::new();
        if silent {
            for _ in 0..2 {
                let sent = rig.sent(1);
                rig.reply(&sent);
                rig.sent(2);
                assert_eq!(rig.wait().1.closed(), [sent.0]);
            }
            return rig;
        }
        let first = rig.sent(1);
        rig.sent(2);
        rig.reply(&first);
        let second = rig.end(1, End::Closed).sent().remove(0);
        rig.sent(3);
        rig.reply(&second);
        let third = rig.end(2, End::Closed).sent().remove(0);
        assert_eq!(rig.reply(&third).closed(), [3], "what was lost is asked on a line of its own already");
        rig
    }

    #[test]
    fn who_answers_one_question_a_line_gets_a_line_for_each() {
        for silent in [false, true] {
            let mut rig = answers_once_a_line(silent);
            let next = rig.lines.newest + 1;
            let sent: Vec<_> = (0..4).map(|asker| rig.sent(asker)).collect();
            let lines: Vec<u64> = sent.iter().map(|sent| sent.0).collect();
            assert_eq!(lines, [next, next + 1, next + 2, next + 3], "silent: {silent}");
            assert!(!rig.lines.has_room(rig.now_ms) && rig.ask(4).0.is_empty());
            let told = rig.reply(&sent[0]);
            assert_eq!((told.closed(), told.opened()), (vec![next], vec![next + 4]));
            rig.now_ms += SINGLES_MS;
            rig.told(Lines::on_tick);
            assert_eq!([rig.sent(5).0, rig.sent(6).0], [next + 5; 2], "after a while it is tried again");
        }
    }

    #[test]
    fn a_line_that_says_what_nobody_asked_is_closed() {
        let mut rig = Rig::new();
        rig.sent(1);
        let told = (0..17).map(|_| rig.reply(&(1, [0; 12].into()))).last().unwrap();
        assert_eq!((told.closed(), told.sent()[0].0), (vec![1], 2));
    }
}
