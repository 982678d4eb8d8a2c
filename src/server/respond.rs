//! From a packet to its reply: the ladder. Octets and `now` in, octets or a decision out; no I/O, no clock of its own.
//!
//! ```text
//! 1 access, wire/   may this client ask, is it a query?             → dropped | REFUSED | NOTIMP | FORMERR | BADVERS
//! 2 zone/           is it a zone of the operator's, a special name? → answered with authority
//! 3 policy/         is the name sunk?                               → answered at once, never sent anywhere
//! 4 cache/          do we hold the answer?                          → answered, unless a target in it is sunk
//! 5 otherwise                                                       → forward
//! ```
//!
//! Every packet ends in exactly one [`metrics::Outcome`](Counted); what is forwarded is counted when it is settled. Sunk names
//! and answers of the worker's cache allocate nothing, but for what leads into a zone of the operator's ([`Chain`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::chain::{Chain, Written};
use super::sink::{Sinking, write_sunk};
use super::{Client, Rules};
use crate::cache::{Answer, Key, Local, Seed, Shared};
use crate::forward::Failure;
use crate::metrics::{AccountShard, Outcome as Counted, Shard, Transport};
use crate::name::NameRef;
use crate::policy::{Action, By, Decision, Judge, Record, Verdict};
use crate::wire::{CLASS_IN, Ede, Header, Query, Rcode, ReplyFlags, Writer, rtype};
use crate::zone::ZoneAnswer;

/// The TTL of the HINFO that answers ANY (RFC 8482 §4.2 leaves it open; an hour is usual).
const ANY_TTL_SECS: u32 = 3600;

/// What is to be done about a packet.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a packet, on the stack; a box would allocate")]
pub enum Outcome<'p> {
    /// Nothing.
    Silence,
    /// Send the first so many octets of the room.
    Reply(usize),
    /// Ask an upstream, and hand the answer to [`Responder::settle`] with the same packet.
    Forward(Miss<'p>),
}

impl From<Option<usize>> for Outcome<'_> {
    /// What was written, or nothing.
    fn from(reply: Option<usize>) -> Self {
        reply.map_or(Self::Silence, Self::Reply)
    }
}

/// A question that only an upstream can answer.
#[derive(Debug)]
pub struct Miss<'p> {
    /// What it is cached and coalesced under.
    pub key: Key,
    /// The number of the tenant who asks.
    pub tenant: u16,
    /// The question.
    pub query: Query<'p>,
}

/// Answers the packets of one worker or one stream, and counts them.
pub struct Responder {
    /// How its packets come.
    transport: Transport,
    /// Its counters.
    shard: Arc<Shard>,
    /// Answers of its own.
    local: Local,
    /// Everyone's answers.
    shared: Arc<Shared>,
    /// What cache keys are hashed with.
    seed: Seed,
    /// Whether the packet under way has had its outcome counted.
    counted: AtomicBool,
}

/// Why an upstream's answer is not given out.
enum Objection<'r> {
    /// It leads to what is sunk.
    Listed {
        /// By whose word.
        by: By,
        /// What to answer.
        action: Action,
        /// What [`Action::Data`] answers.
        records: &'r [Record],
    },
    /// It gives a name of the outside an address of the inside.
    Rebinding,
}

/// A reply under way: the query, its generation, its judge, the room, and when.
struct Turn<'t, 'p> {
    /// How the query came.
    transport: Transport,
    /// What is in force.
    rules: &'t Rules,
    /// What it is judged by, for the client who asked.
    judge: &'t Judge<'t>,
    /// What was asked.
    query: &'t Query<'p>,
    /// When, milliseconds.
    now_ms: u64,
    /// Where the reply goes.
    out: &'t mut [u8],
}

impl Turn<'_, '_> {
    /// The most octets the reply may have.
    fn limit(&self) -> usize {
        match self.transport {
            Transport::Udp => self.query.udp_octets().min(self.out.len()),
            Transport::Tcp => self.out.len(),
        }
    }
}

impl Responder {
    /// A responder for packets that come by `transport`.
    #[must_use]
    pub const fn new(transport: Transport, shard: Arc<Shard>, local: Local, shared: Arc<Shared>, seed: Seed) -> Self {
        Self { transport, shard, local, shared, seed, counted: AtomicBool::new(false) }
    }

    /// Runs what one packet needs. A panic costs that packet: it is caught, and counted as its outcome if it had none yet.
    pub fn guard<T>(&mut self, transport: Transport, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.counted.store(false, Ordering::Relaxed);
        // What it was doing is left as it was: the caches hold no reference that could dangle.
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if done.is_err() {
            self.shard.panics.bump();
            if !self.counted.load(Ordering::Relaxed) {
                self.count(transport, Counted::Panicked);
            }
        }
        done.ok()
    }

    /// The counters.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Climbs the ladder with `packet` of `client`.
    pub fn respond<'p>(
        &mut self,
        rules: &Rules,
        packet: &'p [u8],
        client: Client,
        now_ms: u64,
        out: &mut [u8],
    ) -> Outcome<'p> {
        // RFC 1035 §4.1.1: "QR … specifies whether this message is a query (0), or a response (1)". Answering a response makes a loop.
        let Some(header) = Header::read(packet).filter(|header| !header.is_response()) else {
            self.count(self.transport, Counted::Dropped);
            return Outcome::Silence;
        };
        let query = match self.gate(rules, header, packet, client, out) {
            Ok(query) => query,
            Err(reply) => return reply.into(),
        };
        let judge = &rules.judge(client, self.transport);
        let mut turn = Turn { transport: self.transport, rules, judge, query: &query, now_ms, out };
        if let Some(account) = self.account(judge) {
            account.queries.bump();
        }
        if let Some(reply) = self.answer_here(&mut turn) {
            return reply.into();
        }
        let decision = judge.query(&query.qname);
        self.count_observed(judge, decision.observed, 0);
        let allowed = match decision.verdict {
            Verdict::Sunk { by, action, records } => return self.sink(&mut turn, by, action, records).into(),
            Verdict::Allowed(by) => {
                self.count_decision(by, Action::Passthru);
                true
            }
            Verdict::Unlisted => false,
        };
        if !judge.is_ready() {
            return self.fail(&mut turn, Rcode::ServFail, Counted::NotReady, Ede::NOT_READY).into();
        }
        if let Some(reply) = self.answer_unasked(&mut turn) {
            return reply.into();
        }
        let key = Key::of(&query, judge.tenant.upstream_group(), &self.seed);
        if let Some(reply) = self.answer_cached(&mut turn, allowed, &key) {
            return reply.into();
        }
        Outcome::Forward(Miss { key, tenant: judge.tenant.number(), query })
    }

    /// Rung 1: whether this client may ask, and whether it is a query. `Err` holds the reply.
    fn gate<'p>(
        &self,
        rules: &Rules,
        header: Header,
        packet: &'p [u8],
        client: Client,
        out: &mut [u8],
    ) -> Result<Query<'p>, Option<usize>> {
        let query = Query::read(header, packet);
        let mut refuse = |outcome, rcode, ede| {
            self.count(self.transport, outcome);
            let reply = match &query {
                Ok(query) => write_error(out, query, rcode, ede),
                Err(_) => Writer::bare(out, header, rcode).finish(),
            };
            self.count_reply(rcode, reply)
        };
        // RFC 5358 §4: recursion is for one's own clients, known by their addresses; RFC 8914 §4.19.
        if !rules.access.allows(client.address()) {
            return Err(refuse(Counted::Refused, Rcode::Refused, Some(Ede::PROHIBITED)));
        }
        // RFC 8906 §3.1.4: an unknown or unimplemented opcode gets NOTIMP.
        if header.opcode() != 0 {
            return Err(refuse(Counted::Malformed, Rcode::NotImp, None));
        }
        let Ok(asked) = &query else {
            // RFC 1035 §4.1.1: "Format error - The name server was unable to interpret the query"; RFC 9619 for QDCOUNT ≠ 1.
            return Err(refuse(Counted::Malformed, Rcode::FormErr, None));
        };
        // RFC 6891 §6.1.3: "If a responder does not implement the VERSION level of the request, then it MUST respond with RCODE=BADVERS".
        if asked.edns.is_some_and(|edns| edns.version > 0) {
            return Err(refuse(Counted::Malformed, Rcode::BadVers, None));
        }
        // RFC 1035 §3.2.4; nothing but IN is served or forwarded, CHAOS's `version.bind` included.
        if asked.qclass != CLASS_IN {
            return Err(refuse(Counted::Refused, Rcode::Refused, Some(Ede::NOT_SUPPORTED)));
        }
        // RFC 5936 §2.2.1, RFC 1995 §4: transfers are refused; MAILA and MAILB are obsolete (RFC 1035 §3.2.3); OPT, TKEY and TSIG are
        // no types to ask for (RFC 6891 §6.1.1, RFC 2930 §4, RFC 8945 §4.2).
        match asked.qtype {
            rtype::AXFR | rtype::IXFR | rtype::MAILA | rtype::MAILB | rtype::OPT | rtype::TKEY | rtype::TSIG => {
                Err(refuse(Counted::Refused, Rcode::Refused, Some(Ede::NOT_SUPPORTED)))
            }
            _ => query.map_err(|_| None),
        }
    }

    /// Rung 2: an answer with authority, if the name is in a zone here.
    fn answer_here(&self, turn: &mut Turn<'_, '_>) -> Option<Option<usize>> {
        let zone = turn.rules.zones.covers(&turn.query.qname, turn.query.qtype)?;
        let limit = turn.limit();
        match turn.rules.zones.answer(zone, turn.query, turn.out, limit) {
            ZoneAnswer::Reply { length, rcode, truncated } => {
                self.count(turn.transport, Counted::Zone);
                self.count_truncated(truncated);
                Some(self.count_reply(rcode, Some(length)))
            }
            ZoneAnswer::Unready => {
                self.shard.zone_unready.bump();
                Some(self.fail(turn, Rcode::ServFail, Counted::Failed, Ede::OTHER))
            }
        }
    }

    /// Between policy and cache: what no upstream is asked for.
    fn answer_unasked(&self, turn: &mut Turn<'_, '_>) -> Option<Option<usize>> {
        // RFC 8482 §4.2: ANY may be answered with a synthesised HINFO.
        if turn.query.qtype == rtype::ANY {
            self.count(turn.transport, Counted::Zone);
            let mut writer = Writer::reply(turn.out, turn.query, Rcode::NoError, ReplyFlags::default());
            writer.hinfo_rfc8482(ANY_TTL_SECS);
            writer.opt(turn.query, Rcode::NoError, None);
            return Some(self.count_reply(Rcode::NoError, writer.finish()));
        }
        // RFC 1035 §4.1.1 leaves it to the server; answering from the cache would tell anyone what others asked (cache snooping).
        if !turn.query.header.recursion_desired() {
            return Some(self.fail(turn, Rcode::Refused, Counted::Refused, Ede::NOT_AUTHORITATIVE));
        }
        None
    }

    /// Rung 4: the worker's own answers, then everyone's.
    fn answer_cached(&mut self, turn: &mut Turn<'_, '_>, allowed: bool, key: &Key) -> Option<Option<usize>> {
        if let Some(answer) = self.local.get(key, turn.now_ms) {
            self.shard.cache_hits_local.bump();
            return Some(self.answer(turn, allowed, answer, Counted::Hit));
        }
        let Some(answer) = self.shared.get(key, turn.now_ms) else {
            self.shard.cache_misses.bump();
            return None;
        };
        self.shard.cache_hits_shared.bump();
        let reply = self.answer(turn, allowed, &answer, Counted::Hit);
        self.local.put(key, answer, turn.now_ms);
        Some(reply)
    }

    /// Writes an upstream's answer, unless it leads to what is sunk.
    fn answer(&self, turn: &mut Turn<'_, '_>, allowed: bool, answer: &Answer, outcome: Counted) -> Option<usize> {
        // A passthru on the name asked exempts the whole answer.
        let objection = if allowed { None } else { self.objection(turn, answer) };
        match objection {
            None => {}
            Some(Objection::Listed { by, action, records }) => return self.sink(turn, by, action, records),
            Some(Objection::Rebinding) => return self.refuse_rebinding(turn),
        }
        if answer.has_targets()
            && turn.rules.zones.operator_zones() > 0
            && let Some(chain) = Chain::of_answer(&turn.rules.zones, turn.query, answer, turn.now_ms)
        {
            return self.answer_chain(turn, allowed, &chain, outcome);
        }
        self.count(turn.transport, outcome);
        let limit = turn.limit();
        let written = answer.write(turn.query, turn.now_ms, turn.out, limit)?;
        self.count_truncated(written.truncated);
        self.count_reply(Rcode::from_code(answer.rcode()), Some(written.octets))
    }

    /// Writes what an upstream's answer and a zone of the operator's come to together.
    #[cold]
    fn answer_chain(&self, turn: &mut Turn<'_, '_>, allowed: bool, chain: &Chain, outcome: Counted) -> Option<usize> {
        // Whoever may lead into the zone may not thereby have a browser ask its hosts.
        if !allowed && turn.rules.rebinding.refuses(&turn.query.qname, chain.addresses().into_iter()) {
            return self.refuse_rebinding(turn);
        }
        self.count(turn.transport, outcome);
        let limit = turn.limit();
        let written = chain.write(turn.out.get_mut(..limit)?, turn.query, None);
        self.count_written(written)
    }

    /// Answers that the name has no such record, instead of an address of the inside.
    fn refuse_rebinding(&self, turn: &mut Turn<'_, '_>) -> Option<usize> {
        self.count(turn.transport, Counted::Sunk);
        self.shard.rebindings.bump();
        self.write_sunk(turn, By::Tenant, Action::Nodata, &[])
    }

    /// Why an answer is not given out: the first name it leads to that is sunk, or an address of the inside. One compare when this generation
    /// has looked before and found that no feed lists anything in it, and a look at the tenant's own names if it has any.
    fn objection<'t>(&self, turn: &Turn<'t, '_>, answer: &Answer) -> Option<Objection<'t>> {
        let (generation, judge) = (turn.rules.generation, turn.judge);
        if answer.is_cleared(generation) && !judge.minds(answer.targets().map(|target| target.name)) {
            return None;
        }
        let targets = || answer.targets().map(|target| (target.name, target.is_service));
        let Decision { verdict, observed, listed } = judge.answer(&turn.query.qname, targets, || answer.addresses());
        if observed != 0 {
            self.count_observed(judge, observed, judge.query(&turn.query.qname).observed);
        }
        match verdict {
            Verdict::Sunk { by, action, records } => return Some(Objection::Listed { by, action, records }),
            Verdict::Allowed(by) => {
                self.count_decision(by, Action::Passthru);
                return None;
            }
            Verdict::Unlisted => {}
        }
        if turn.rules.rebinding.refuses(&turn.query.qname, answer.addresses()) {
            return Some(Objection::Rebinding);
        }
        // Listed and yet not sunk: another client's query may fare otherwise, and who observes counts each.
        if !listed {
            answer.set_cleared(generation);
        }
        None
    }

    /// Answers as a feed, or the tenant, said.
    fn sink(&self, turn: &mut Turn<'_, '_>, by: By, action: Action, records: &[Record]) -> Option<usize> {
        self.count(turn.transport, Counted::Sunk);
        self.count_decision(by, action);
        if let Some(account) = self.account(turn.judge) {
            account.sunk.bump();
        }
        self.write_sunk(turn, by, action, records)
    }

    /// Writes the reply to a query for a sunk name, as long as the client takes it.
    fn write_sunk(&self, turn: &mut Turn<'_, '_>, by: By, action: Action, records: &[Record]) -> Option<usize> {
        let (limit, judge, zones) = (turn.limit(), turn.judge, &turn.rules.zones);
        let entry = &|name: &NameRef<'_>| judge.entry(by, name);
        let sinking = Sinking { sink: judge.sink(by), action, records, zones, entry };
        let written = write_sunk(turn.out.get_mut(..limit)?, turn.query, &sinking)?;
        self.count_written(written)
    }

    /// Writes the reply to a packet that was forwarded, now that it is settled; judged again, by today's rules. `None`: nothing to send.
    #[expect(
        clippy::too_many_arguments,
        reason = "how it came and of whom, by what it is judged, what came of it, when, where to"
    )]
    pub fn settle(
        &self,
        transport: Transport,
        client: Client,
        rules: &Rules,
        packet: &[u8],
        result: &Result<Arc<Answer>, Failure>,
        now_ms: u64,
        out: &mut [u8],
    ) -> Option<usize> {
        let query = Header::read(packet).and_then(|header| Query::read(header, packet).ok())?;
        let judge = &rules.judge(client, transport);
        let mut turn = Turn { transport, rules, judge, query: &query, now_ms, out };
        // A zone's since it was asked.
        if let Some(reply) = self.answer_here(&mut turn) {
            return reply;
        }
        // Listed while it was in flight: sunk. What it was before, and who observed it, was counted then.
        let allowed = match judge.query(&query.qname).verdict {
            Verdict::Sunk { by, action, records } => return self.sink(&mut turn, by, action, records),
            Verdict::Allowed(_) => true,
            Verdict::Unlisted => false,
        };
        match result {
            Ok(answer) => self.answer(&mut turn, allowed, answer, Counted::Forwarded),
            Err(failure) => self.fail(&mut turn, Rcode::ServFail, failed(*failure), failure.ede()),
        }
    }

    /// Writes the SERVFAIL for a packet that could not be forwarded: `outcome` says why.
    pub fn turn_away(
        &self,
        transport: Transport,
        query: &Query<'_>,
        outcome: Counted,
        ede: Ede,
        out: &mut [u8],
    ) -> Option<usize> {
        self.count(transport, outcome);
        let reply = write_error(out, query, Rcode::ServFail, Some(ede));
        self.count_reply(Rcode::ServFail, reply)
    }

    /// Remembers an answer that came for `key`.
    pub fn keep(&mut self, key: &Key, answer: &Arc<Answer>, now_ms: u64) {
        self.shared.put(key, Arc::clone(answer), now_ms);
        self.local.put(key, Arc::clone(answer), now_ms);
    }

    /// An error with an EDE.
    fn fail(
        &self,
        turn: &mut Turn<'_, '_>,
        rcode: Rcode,
        outcome: Counted,
        ede: impl Into<Option<Ede>>,
    ) -> Option<usize> {
        self.count(turn.transport, outcome);
        let reply = write_error(turn.out, turn.query, rcode, ede.into());
        self.count_reply(rcode, reply)
    }

    /// Counts what became of a packet.
    #[inline]
    pub fn count(&self, transport: Transport, outcome: Counted) {
        self.counted.store(true, Ordering::Relaxed);
        self.shard.queries(transport, outcome).bump();
    }

    /// Counts a reply that was written.
    #[inline]
    fn count_reply(&self, rcode: Rcode, reply: Option<usize>) -> Option<usize> {
        let place = Rcode::ALL.iter().position(|&known| known == rcode);
        if let (Some(place), Some(_)) = (place, reply) {
            self.shard.replies(place).bump();
        }
        reply
    }

    /// Counts a reply that was written, cut short or whole.
    fn count_written(&self, written: Written) -> Option<usize> {
        self.count_truncated(written.truncated);
        self.count_reply(written.rcode, written.octets)
    }

    /// Counts a reply that was cut short.
    fn count_truncated(&self, truncated: bool) {
        if truncated {
            self.shard.truncated.bump();
        }
    }

    /// Counts what was decided, by whoever decided it.
    #[inline]
    fn count_decision(&self, by: By, action: Action) {
        match by {
            By::Feed(feed) => self.shard.feed_hits(feed.index(), action as usize).bump(),
            By::Tenant if action == Action::Passthru => self.shard.tenant_allowed.bump(),
            By::Tenant => self.shard.tenant_denied.bump(),
        }
    }

    /// Counts feeds that only observe, a query once each: not those that did so `before`.
    #[inline]
    fn count_observed(&self, judge: &Judge<'_>, feeds: u128, before: u128) {
        if feeds != 0
            && before == 0
            && let Some(account) = self.account(judge)
        {
            account.observed.bump();
        }
        let mut feeds = feeds & !before;
        while feeds != 0 {
            self.shard.feed_hits(feeds.trailing_zeros() as usize, Action::Observe as usize).bump();
            feeds &= feeds - 1;
        }
    }

    /// Where the tenant who asks is counted, if it is.
    #[inline]
    fn account(&self, judge: &Judge<'_>) -> Option<&AccountShard> {
        self.shard.account(judge.tenant.account()?)
    }
}

/// How a query is counted that nobody could be asked for.
const fn failed(failure: Failure) -> Counted {
    match failure {
        Failure::GaveWay(_) => Counted::Overload,
        Failure::Timeout | Failure::Upstream(_) | Failure::Network => Counted::Failed,
    }
}

/// A reply with no records.
fn write_error(out: &mut [u8], query: &Query<'_>, rcode: Rcode, ede: Option<Ede>) -> Option<usize> {
    let mut writer = Writer::reply(out, query, rcode, ReplyFlags::default());
    writer.opt(query, rcode, ede.map(|ede| (ede, "")));
    writer.finish()
}
