//! An upstream of many moods and those who ask it over [`Lines`], all from one seed, in virtual time: each question gets its own reply, once, or none,
//! and nothing grows past its bounds.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::line::{PIPELINE_MAX, Question};
use super::lines::{Effect, End, LINES_PER_UPSTREAM_MAX, Lines};

/// How many worlds.
const SEEDS: u64 = 400;
/// How late a tick may come, milliseconds.
const LAG_MAX_MS: u64 = 7;

/// What the upstream does: chances in 100.
struct Nature {
    /// Does not take a connection, at once or in time.
    refuses: u32,
    /// Takes a connection and says nothing on it.
    mute: u32,
    /// Never replies to this question.
    drops: u32,
    /// Replies late.
    slow: u32,
    /// Says something nobody asked.
    strays: u32,
    /// Ends a connection after so many replies, or falls silent on it.
    replies_max: u64,
    falls_silent: bool,
    /// Closes a connection that is idle for so long, milliseconds.
    idle_ms: u64,
}

/// What will happen.
enum Coming {
    Ask(usize),
    Message(u64, Box<[u8]>),
    End(u64, End),
    /// The upstream looks whether a connection was idle since.
    Idle(u64, u64),
}

/// A question, and what came of it.
#[derive(Default)]
struct Asked {
    deadline_ms: u64,
    sent_on: Vec<u64>,
    answered: bool,
    failed: bool,
}

/// A connection at the upstream's end.
#[derive(Default)]
struct Connection {
    mute: bool,
    connected: bool,
    over: bool,
    /// Ids asked and not replied to.
    ids: HashSet<[u8; 2]>,
    replies: u64,
    used_ms: u64,
}

struct World {
    rng: StdRng,
    lines: Lines<usize>,
    nature: Nature,
    asked: Vec<Asked>,
    connections: HashMap<u64, Connection>,
    /// Connections that are not over.
    open: usize,
    /// Questions that wait in the queue.
    queue: VecDeque<usize>,
    coming: BTreeMap<(u64, u64), Coming>,
    sequence: u64,
    now_ms: u64,
}

/// The query of a question, with its asker's id: equal ids are common.
fn packet(number: usize) -> Box<[u8]> {
    format!("{:02}..........question {number}", number % 7).into_bytes().into_boxed_slice()
}

impl World {
    /// Some worlds are calm: nothing goes wrong there.
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let calm = seed.is_multiple_of(4);
        let mut chance = |max: u32| if calm || rng.random() { 0 } else { rng.random_range(0..max) };
        let (refuses, mute, drops, slow, strays) = (chance(60), chance(40), chance(60), chance(60), chance(30));
        let replies_max = if chance(2) == 1 { rng.random_range(1..5) } else { u64::MAX };
        let (falls_silent, idle_ms) = (rng.random(), rng.random_range(if calm { 20_000 } else { 10 }..30_000));
        let nature = Nature { refuses, mute, drops, slow, strays, replies_max, falls_silent, idle_ms };
        let lines = Lines::new(rng.random_range(100..900), StdRng::from_rng(&mut rng));
        let (asked, connections, coming) = (Vec::new(), HashMap::new(), BTreeMap::new());
        let mut world = Self {
            rng,
            lines,
            nature,
            asked,
            connections,
            open: 0,
            queue: VecDeque::new(),
            coming,
            sequence: 0,
            now_ms: 0,
        };
        let mut at_ms = 0;
        for number in 0..world.rng.random_range(20..1500) {
            at_ms += match world.rng.random_range(0..400) {
                0 => world.rng.random_range(0..20_000),
                1..20 => world.rng.random_range(0..100),
                _ => 0,
            };
            let deadline_ms = at_ms + world.rng.random_range(if calm { 2000 } else { 1 }..3000);
            world.asked.push(Asked { deadline_ms, ..Asked::default() });
            world.schedule(at_ms, Coming::Ask(number));
        }
        world
    }

    fn happens(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn schedule(&mut self, at_ms: u64, what: Coming) {
        self.sequence += 1;
        self.coming.insert((at_ms, self.sequence), what);
    }

    /// Runs until nothing is left to happen: how many were answered, failed, and dropped.
    fn run(mut self, seed: u64) -> [usize; 3] {
        loop {
            let event_ms = self.coming.first_key_value().map(|((at_ms, _), _)| *at_ms);
            let due_ms = self.lines.next_deadline_ms();
            let mut effects = Vec::new();
            match (event_ms, due_ms) {
                (None, None) => break,
                (Some(event_ms), due_ms) if due_ms.is_none_or(|due_ms| event_ms <= due_ms) => {
                    self.now_ms = self.now_ms.max(event_ms);
                    let (_, what) = self.coming.pop_first().unwrap();
                    self.happen(what, &mut effects);
                }
                (_, due_ms) => {
                    self.now_ms = self.now_ms.max(due_ms.unwrap()) + self.rng.random_range(0..LAG_MAX_MS);
                    self.lines.on_tick(self.now_ms, &mut effects);
                    let next_ms = self.lines.next_deadline_ms();
                    assert!(next_ms.is_none_or(|next_ms| next_ms > self.now_ms), "a tick does all");
                }
            }
            effects.into_iter().for_each(|effect| self.take(effect));
            assert!(self.open <= LINES_PER_UPSTREAM_MAX, "{} connections", self.open);
            self.ask_queued();
        }
        assert_eq!((self.open, self.queue.len()), (0, 0), "all is closed in the end");
        let of = |which: fn(&&Asked) -> bool| self.asked.iter().filter(which).count();
        let sums = [of(|asked| asked.answered), of(|asked| asked.failed), of(|asked| !asked.answered && !asked.failed)];
        assert!(!seed.is_multiple_of(4) || sums[0] == self.asked.len(), "nothing went wrong, and yet: {sums:?}");
        sums
    }

    fn happen(&mut self, what: Coming, effects: &mut Vec<Effect<usize>>) {
        let now_ms = self.now_ms;
        match what {
            Coming::Ask(number) => self.queue.push_back(number),
            Coming::Message(line, octets) => self.lines.on_message(line, octets, now_ms, effects),
            Coming::End(line, end) => {
                let over = std::mem::replace(&mut self.connections.get_mut(&line).unwrap().over, true);
                self.open -= usize::from(!over);
                self.lines.on_end(line, end, now_ms, effects);
            }
            Coming::Idle(line, since_ms) => {
                if self.connections.get(&line).is_some_and(|one| !one.over && one.used_ms == since_ms) {
                    self.happen(Coming::End(line, End::Closed), effects);
                }
            }
        }
    }

    /// Has what waits in the queue asked, as long as there is room.
    fn ask_queued(&mut self) {
        while self.lines.has_room(self.now_ms)
            && let Some(number) = self.queue.pop_front()
        {
            let deadline_ms = self.asked[number].deadline_ms;
            let question = Question { asker: number, packet: packet(number), deadline_ms, lost_with: None };
            let mut effects = Vec::new();
            self.lines.ask(question, self.now_ms, &mut effects);
            let sent = effects.iter().any(|effect| matches!(effect, Effect::Send { .. }));
            assert!(sent || deadline_ms <= self.now_ms, "there was room");
            effects.into_iter().for_each(|effect| self.take(effect));
        }
    }

    fn take(&mut self, effect: Effect<usize>) {
        match effect {
            Effect::Open { line } => {
                self.open += 1;
                let refused = self.happens(self.nature.refuses);
                let mute = self.happens(self.nature.mute);
                self.connections.insert(line, Connection { mute, connected: !refused, ..Connection::default() });
                if refused {
                    let at_ms = self.now_ms + self.rng.random_range(0..100);
                    let end = if self.rng.random() { End::Refused } else { End::Late };
                    self.schedule(at_ms, Coming::End(line, end));
                }
                self.touch(line);
            }
            Effect::Send { line, frame } => self.receive(line, &frame),
            Effect::Close { line } => {
                let connection = self.connections.get_mut(&line).unwrap();
                assert!(!connection.over, "closed once");
                connection.over = true;
                self.open -= 1;
            }
            Effect::Done { asker, result } => {
                let asked = &mut self.asked[asker];
                assert!(!asked.answered && !asked.failed, "question {asker} has one outcome");
                (asked.answered, asked.failed) = (result.is_ok(), result.is_err());
                assert!(result.is_err() || result.unwrap() == packet(asker), "question {asker} gets another's reply");
            }
        }
    }

    /// A connection is used: it is not idle for a while.
    fn touch(&mut self, line: u64) {
        let (now_ms, idle_ms) = (self.now_ms, self.nature.idle_ms);
        if let Some(connection) = self.connections.get_mut(&line).filter(|one| one.connected) {
            connection.used_ms = now_ms;
            self.schedule(now_ms + idle_ms, Coming::Idle(line, now_ms));
        }
    }

    /// The upstream gets what was written.
    fn receive(&mut self, line: u64, frame: &[u8]) {
        assert_eq!(usize::from(u16::from_be_bytes([frame[0], frame[1]])), frame.len() - 2);
        let octets = &frame[2..];
        let text = std::str::from_utf8(&octets[12..]).unwrap();
        let number: usize = text.strip_prefix("question ").unwrap().parse().unwrap();
        let asked = &mut self.asked[number];
        assert!(self.now_ms < asked.deadline_ms, "question {number} is sent though nobody waits for it");
        assert!(!asked.answered && !asked.failed, "question {number} is sent though it has its outcome");
        let first = asked.sent_on.first().copied();
        asked.sent_on.push(line);
        assert!(asked.sent_on.len() <= 2, "question {number} is sent again and again");
        let first_failed = first.is_some_and(|first| !self.connections[&first].connected);
        assert!(first.is_none_or(|first| line > first || first_failed), "question {number} is sent on an old line");
        let connection = self.connections.get_mut(&line).unwrap();
        assert!(!connection.over, "nothing is sent on what is over");
        assert!(connection.ids.insert([octets[0], octets[1]]), "ids on a line are distinct");
        assert!(connection.ids.len() <= PIPELINE_MAX, "in flight on a line");
        self.touch(line);
        self.answer(line, octets.into());
    }

    /// What it does with a question.
    fn answer(&mut self, line: u64, octets: Box<[u8]>) {
        let late_ms = if self.happens(self.nature.slow) { 4000 } else { 60 };
        let at_ms = self.now_ms + self.rng.random_range(1..late_ms);
        let dropped = self.happens(self.nature.drops);
        if self.happens(self.nature.strays) {
            self.schedule(at_ms, Coming::Message(line, [0; 11].into()));
        }
        let (replies_max, falls_silent) = (self.nature.replies_max, self.nature.falls_silent);
        let connection = self.connections.get_mut(&line).unwrap();
        if connection.mute || !connection.connected || dropped || connection.replies >= replies_max {
            return;
        }
        connection.replies += 1;
        let ends = connection.replies == replies_max && !falls_silent;
        connection.ids.remove(&[octets[0], octets[1]]);
        self.schedule(at_ms, Coming::Message(line, octets));
        if ends {
            self.schedule(at_ms, Coming::End(line, End::Closed));
        }
    }
}

#[test]
fn whatever_an_upstream_does_each_question_gets_its_reply_once_or_none() {
    let mut sums = [0; 3];
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| World::new(seed).run(seed));
        let Ok(more) = run else { panic!("seed {seed}: see the assertion above") };
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    assert!(sums.iter().all(|sum| *sum > 5000), "too little happened to prove anything: {sums:?}");
    assert!(sums[0] > sums[1] + sums[2], "most are answered: {sums:?}");
}
