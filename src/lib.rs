//! Cenote, a DNS sinkhole: it takes every query, lets the names that vetted feeds list sink, and passes the rest through clear.
//!
//! This page is the map of the house.
//!
//! # Four flows, and nothing else
//!
//! ```text
//!  settings ─► config ─► every room's own plain Config
//!
//!  feed     ─► feed (read, gate) ─► index (sort, FST, verify) ─► policy (feeds + tenants + actions) ═► one pointer swap
//!                                                                                                  └► feed::Store, for the next start
//!
//!  query    ─► server (udp workers; tcp)
//!               └► server::Responder   octets and `now` in, octets or a decision out; no I/O, no clock, no allocation
//!                    1 access, wire   may this client ask, is it a query?  → dropped | REFUSED | NOTIMP | FORMERR | BADVERS
//!                    2 zone           is it a zone of the operator's, or a special name?  → answered with authority
//!                    3 policy         is the name sunk, for this tenant?   → answered at once, never sent anywhere
//!                    4 cache          do we hold the answer?               → answered, unless it leads to what is sunk; an alias into
//!                                                                              a zone of the operator's by that zone
//!                    5 otherwise                                           → forward
//!               └► forward  sans-I/O state machine: coalesce, pick an upstream, retry, fail over, check the reply
//!
//!  counts   ─► metrics (per-worker counters, summed when scraped) ─► admin (/metrics, /healthz, /readyz; explain, reload,
//!                                                                                        refresh, rollback)
//! ```
//!
//! # Rooms, and whom each may name
//!
//! `tests/suite/rooms.rs` reads every `use` and enforces this.
//!
//! | room | what lives there | may name |
//! |---|---|---|
//! | [`sys`] | the only room with `unsafe`: recvmmsg, sendmmsg, socket options, limits | – |
//! | [`name`] | a domain name, and `NameKey`, its lookup form | – |
//! | [`net`] | what an address is: what a client is counted by | – |
//! | [`metrics`] | every metric's name, help and labels | – |
//! | [`wire`] | messages: read a query, walk a reply, write an answer, EDNS and EDE; zone files and RDATA as text | name |
//! | [`index`] | the FST of indicators: build, verify, look up, the artifact | name, sys |
//! | [`policy`] | feeds, tenants, actions → a decision; the one swap | name, index |
//! | [`zone`] | the operator's zones and the special names | name, wire |
//! | [`cache`] | replies kept as wire octets, bounded in octets | name, wire |
//! | [`forward`] | the forwarding state machine; time, randomness and octets in, actions out | name, wire, policy, cache |
//! | [`feed`] | sources, formats, gate, schedule, watch, the generations on disk | name, wire, index, policy, metrics |
//! | [`server`] | sockets, workers, limits; the ladder | name, net, wire, policy, zone, cache, forward, metrics, sys |
//! | [`admin`] | two doors: HTTP, read-only aggregates; a Unix socket | metrics, policy, feed |
//! | [`config`] | the only door for TOML | every room's `Config` |
//! | [`app`] | assembly: start order, reload, drain | all but cli |
//! | [`cli`] | commands and everything printed | all |
//!
//! What is *not* there says as much: `server` never names `feed`, `index` or `config`; `feed` never names `server`; `name`, `wire`, `index`,
//! `policy`, `cache`, `forward` and `server::Responder` have no `async`, no socket, no clock, no source of randomness and no logging; only
//! `cli` prints.
//!
//! # Threads
//!
//! Workers are plain threads, one a core, each with its own listeners, upstream sockets, forwarding state, cache and counters. One tokio
//! runtime carries what may wait: TCP, TCP upstreams (each with a queue and at most four connections of its own), the two doors. One
//! publisher thread reads feeds, builds, publishes, keeps what is enforced on disk, and frees what was retired, never on a worker.
//!
//! # Where this differs from the plan, and why
//!
//! * An indicator's verb (`index::Verb`) is stored as a pair, for the name itself and for what is below it: an RPZ owner and its `*.` twin
//!   fold into one key.
//! * Networks of RPZ (`index::Network`) stand beside the map in tables sorted by length, not in a trie: a look-up is a binary search for each
//!   length that occurs, and most indexes have none at all. Local data are distinct sets that many entries share; a verb has a set's number.
//! * Zone files and RDATA as text are read by `wire`, for `zone` and for RPZ's local data alike. hickory-proto 0.26.3 has no quotes within
//!   parentheses, reads `\DDD` as octal or worse, completes no target of SVCB, and takes what it cannot write. It is asked for base64 and
//!   service parameters alone, and what comes of any text is held against its type.
//! * The artifact carries a CRC-32 of the whole file beside the FST's own checksum; opening verifies both.
//! * Not one map but two: the feeds of over 65,536 entries share one, the small ones another, so that a name added to a small feed beside ten
//!   million others costs a build of kilobytes. A query looks at both filters; with small feeds alone, or none, there is one.
//! * A big feed that changes by at most 65,536 entries gets an overlay: a map of the changes alone, compared with the base key by key. Ten million
//!   names and one more are enforced in 6.9 s, of which reading the file is 2.8, and not in 13.5; meanwhile both generations take 113 MB and not
//!   222, and 260 octets go to disk and not 114 MB. With it a listed name's walk among a million costs 7 % more, with 60,000 changes 40 %; a name
//!   that is not listed 25 to 45 ns. Of over 16,384 changes it is merged: the index is built whole on a thread of its own and takes the old one's
//!   place, in memory and on disk, unless an update changed that one meanwhile.
//! * In front of each map stands a filter over its keys (`index::filter`): deciding on a name that is not listed, which is nearly every query,
//!   costs half of what a SipHash probe a label costs (`benches/lookup.rs`: 0.49 at a million names, 0.47 at ten; 0.73 and 0.35 on another
//!   machine).
//! * A feed that has not changed is read back out of the index in force when another one of its map is rebuilt: neither its file nor a second
//!   copy in memory is needed.
//! * What is kept on disk is a generation, not a file a feed: the indexes in force as they are, and a manifest of how each feed stands. A start
//!   reads them back and enforces, without sorting or building; indexes that did not change are not written again.
//! * Protected names are asked at each entry as it is read: the entry is refused, by its line, and the rest of the update is taken. What
//!   entries cannot be refused for, the client and where an answer leads, is judged again, without what sinks, when it would sink a protected
//!   name: a query that nothing objects to pays nothing. A canary refuses the update whole.
//! * An artifact's nodes are swept once when it is opened (`index::sound`): a checksum tells damage, not intent, and the fst crate panics on
//!   nodes that lead out of the map. It is most of the 0.3 to 0.7 s in which ten million names start.
//! * `tcp-only` over TCP is no match of its feed, not a passthru: letting through ends policy, which is a power a feed must be given.
//! * Client and name triggers of all feeds are decided before any trigger that needs an answer: strict order of zones would forward a sunk
//!   name.
//! * A tenant's own names are a small sorted map each (`name::SuffixMap`), not one map keyed tenant then name; tenants' networks are cut into
//!   ranges that do not overlap, so that finding whose a query is costs one binary search: 1,000 tenants with 10,000 networks and 20 feeds
//!   over a million names cost a sunk query 1.7 % more instructions than one tenant, a cached one 5.6 %, and 2.2 MB; with ten names of its
//!   own each 2.5 %, 10.5 % and 4.6 MB (callgrind on the server; `benches/instructions.rs` holds the first two under 10 %).
//! * A walled garden's addresses are given beside its name, or come with it from a zone of the operator's; nothing is asked of an upstream for a
//!   sunk name's alias, which BIND does.
//! * An alias that leads into a zone of the operator's is answered from there on by the zone, a sunk name's or an upstream's
//!   (`server::chain`): at every reply anew, for what is cached is the upstream's word alone, and zones change at a reload.
//! * Where BIND decides otherwise under the same policy zones is written down query by query, with reasons, in `tests/precedence/table.txt`;
//!   `.ci/run` asks a real named. (Letting a name through exempts its whole answer in both.)
//! * The operator's zones are served by a hickory-server `RequestHandler` of our own. Its `Catalog` cannot say NXDOMAIN, or add the SOA, behind
//!   a CNAME, nor follow one into another zone; its in-memory zone scans all of it for each negative answer (770 µs at 10,000 names).
//! * A query's client (`server::Client`) is the one a listed load balancer names in a PROXY header, else the listener it came to and its
//!   source address; it travels with a forwarded query, which is judged again when its answer comes.
//! * Measured and not kept: looking at a socket again before sleeping (one to four times) makes two workers as cheap as one only by making one
//!   dearer, 8.5 to 12.5 µs a query at 20,000 a second; a kernel time slice of 0.1 ms for workers (`sched_setattr`) changed no percentile
//!   beyond the noise while ten million names were swapped every two seconds. Huge pages could not be judged: `MADV_HUGEPAGE` was granted none
//!   on the machine at hand. Walking several names in turn with prefetch was not tried: at ten million names a listed one's walk is 374 ns of
//!   5.7 µs a query (`benches/lookup.rs`).
//! * Two listeners at 20,000 queries a second wake for one query each where one wakes for several. Under `dnsperf -c 16` a UDP echo with two
//!   threads costs 1.5 of what one costs; two workers cost 1.1 of what one costs (three runs of five rounds; 1.54 on another machine).
//! * A worker has at most 64 sockets to an upstream, not its whole share of 8,192: what a forger must hit is the one port a query left from,
//!   and fewer sockets are drained in fewer system calls.

pub mod admin;
pub mod app;
pub mod cache;
pub mod cli;
pub mod config;
pub mod feed;
pub mod forward;
pub mod index;
pub mod metrics;
pub mod name;
pub mod net;
pub mod policy;
pub mod server;
pub mod sys;
pub mod wire;
pub mod zone;
