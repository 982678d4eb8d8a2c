//! The two paths most queries take, a sunk name and an answer in the worker's own cache, allocate nothing. A program of its own, since its
//! allocator counts; by thread, so that the test runner's own allocations are not among them.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one counts and hands on to the system's")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cenote::cache::{Answer, Config as CacheConfig, Local, Seed, Shared};
use cenote::feed::{Terms, TextFormat, read_text};
use cenote::index::{FeedId, Index, Kept, Part, Sorted};
use cenote::metrics::{Shard, Transport};
use cenote::name::Name;
use cenote::policy::{FeedConfig, Garden, Policy, SinkConfig, SoaOwner, Standing, TenantConfig, Tenants};
use cenote::server::{Access, AccessConfig, Client, Outcome, Proxies, ProxyConfig, Responder, Rules};
use cenote::zone::{Config as ZonesConfig, ZoneConfig, Zones};

/// The system's allocator, counted.
struct Counting;

thread_local! {
    /// This thread's allocations so far.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts one.
fn count() {
    // A thread that is ending has no counter any more, and runs no test.
    ALLOCATIONS.try_with(|count| count.set(count.get() + 1)).ok();
}

// SAFETY: every call is handed on to the system's allocator as it came; the counter is a plain cell without a destructor and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is `System`'s own condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, octets: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(octets, layout) }
    }

    unsafe fn realloc(&self, octets: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(octets, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The client.
const CLIENT: Client = Client::proxied(IpAddr::V4(Ipv4Addr::LOCALHOST));

/// A query for the A of `name`, given in wire form, with an OPT.
fn query(name: &[u8]) -> Vec<u8> {
    query_of(name, 1)
}

/// A query for a type of `name`, as [`query`] has it.
fn query_of(name: &[u8], qtype: u8) -> Vec<u8> {
    let head = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    [&head[..], name, &[0, qtype, 0, 1], b"\0\0\x29\x04\xd0\0\0\0\0\0\0"].concat()
}

/// An entry with records, one on the client's address that may not let it through, two on addresses in answers.
const RPZ: &[u8] = b"data.test A 192.0.2.9\n32.1.0.0.127.rpz-client-ip CNAME rpz-passthru.\n\
    24.0.113.0.203.rpz-ip CNAME .\n32.1.2.0.192.rpz-ip CNAME rpz-passthru.\n";

/// A zone of the operator's, which nothing here leads into.
fn zones() -> Zones {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corp.zone");
    std::fs::write(&file, "@ 300 SOA ns h 1 2 3 4 5\nwww 300 A 192.0.2.7\n").unwrap();
    let apex = Name::from_text(b"corp.example").unwrap();
    Zones::build(&ZonesConfig { zones: vec![ZoneConfig { apex, file }], ..ZonesConfig::default() }).unwrap()
}

/// Of a tenant: names sunk, its own too, one in a walled garden, one with records, and everything else let through. `amended`: all of it is in
/// an overlay over other entries.
fn rules(amended: bool) -> Rules {
    let read = |text: &'static [u8]| read_text(text, TextFormat::Plain, &Terms::default()).unwrap().0;
    let (sorted, walled) = (read(b"bad.test\nworse.bad.test"), read(b"walled.test"));
    let (rpz, _) = read_text(RPZ, TextFormat::Rpz, &Terms::default()).unwrap();
    let parts = [("feed", 2, Kept::New(&sorted)), ("walled", 1, Kept::New(&walled)), ("rpz", 4, Kept::New(&rpz))];
    let (other, nothing) = (read(b"bad.test\nother.test"), Sorted::default());
    let before = [("feed", 2, Kept::New(&other)), ("walled", 0, Kept::New(&nothing)), ("rpz", 0, Kept::New(&nothing))];
    let build = |parts: &[_]| Index::build(&Part::in_order(parts)).unwrap();
    let index =
        if amended { build(&before).amended(&Part::in_order(&parts), 100).unwrap().unwrap() } else { build(&parts) };
    assert_eq!(index.is_amended(), amended);
    let sink = SinkConfig { cname: Garden::from_text("*.garden.example"), ..SinkConfig::default() };
    let walled = FeedConfig { sink: Some(sink), ..FeedConfig::plain("walled".to_owned()) };
    let [feed, rpz] = ["feed", "rpz"].map(|name| FeedConfig::plain(name.to_owned()));
    let policy = Policy::new([Arc::new(index)], vec![feed, walled, rpz]);
    let zones = Arc::new(zones());
    let tenant = TenantConfig {
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        feeds: Some([2, 1, 0].map(|place| FeedId::new(place).unwrap()).to_vec()),
        deny: vec![Name::from_text(b"own.test").unwrap()],
        ..TenantConfig::plain("tenant".to_owned())
    };
    let tenants = Tenants::new(&[tenant], |_| Standing::default());
    let names: &[u8] = b"\x02ns\x04test\0\x01h\x02ns\x04test\0";
    let sink = SinkConfig { soa_owner: SoaOwner::Zone, soa_names: names.into(), ..SinkConfig::default() };
    Rules { tenants, sink, ..Rules::new(1, Access::new(&AccessConfig::default()), zones, Some(Arc::new(policy))) }
}

/// Allocations while `packet` is answered a hundred times, from the first time on.
fn allocations(responder: &mut Responder, rules: &Rules, packet: &[u8]) -> u64 {
    let mut out = [0; 1232];
    let before = ALLOCATIONS.get();
    for now_ms in 0..100 {
        assert!(matches!(responder.respond(rules, packet, CLIENT, now_ms, &mut out), Outcome::Reply(_)));
    }
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    std::hint::black_box(vec![1_u8; 100]);
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn a_sunk_name_and_a_cached_answer_allocate_nothing() {
    let config = CacheConfig::default();
    for rules in [false, true].map(rules) {
        let shared = Arc::new(Shared::new(&config));
        let shard = Arc::new(Shard::default());
        let mut responder = Responder::new(Transport::Udp, shard, Local::new(&config), shared, Seed::new([1, 2]));

        let sunk = query(b"\x01a\x03BAD\x04test\0");
        assert_eq!(allocations(&mut responder, &rules, &sunk), 0, "a sunk name");
        let no_mail = query_of(b"\x01a\x03BAD\x04test\0", 15);
        assert_eq!(
            allocations(&mut responder, &rules, &no_mail),
            0,
            "what a sunk name has not, of a zone that is told by the entry"
        );
        let walled = query(b"\x01a\x06walled\x04test\0");
        assert_eq!(allocations(&mut responder, &rules, &walled), 0, "a name in a walled garden");
        let alias = query_of(b"\x01a\x06walled\x04test\0", 16);
        assert_eq!(allocations(&mut responder, &rules, &alias), 0, "its alias alone, which leads to no own zone");

        for (name, what) in
            [(&b"\x04data\x04test\0"[..], "local data"), (b"\x01a\x03own\x04test\0", "a tenant's own name")]
        {
            assert_eq!(allocations(&mut responder, &rules, &query(name)), 0, "{what}");
        }

        let balancers = Proxies::new(&ProxyConfig { from: vec!["192.0.2.1/32".parse().unwrap()] });
        let peer = Client::direct("192.0.2.1".parse().unwrap(), 0);
        let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x7f\0\0\x01\xc0\0\x02\x35\xd4\x31\0\x35";
        let proxied = [&header[..], &sunk].concat();
        let before = ALLOCATIONS.get();
        for now_ms in 0..100 {
            let (client, packet) = balancers.identify(peer, &proxied).unwrap();
            let outcome = responder.respond(&rules, packet, client, now_ms, &mut [0; 1232]);
            assert!(matches!(outcome, Outcome::Reply(_)));
            assert!(balancers.identify(peer, &sunk).is_err(), "without its header");
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "a sunk name, through a load balancer");

        let asked = query(b"\x03www\x07example\0");
        // An alias and its address, so that the chain is judged too.
        let records = b"\xc0\x0c\0\x05\0\x01\0\0\x01\x2c\0\x06\x03cdn\xc0\x10\x03cdn\xc0\x10\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x01";
        let mut reply = asked[..asked.len() - 11].to_vec();
        (reply[2], reply[3], reply[7], reply[11]) = (0x81, 0x80, 2, 0);
        reply.extend_from_slice(records);
        let answer = Arc::new(Answer::from_reply(&reply, 0, &config).unwrap());
        match responder.respond(&rules, &asked, CLIENT, 0, &mut [0; 1232]) {
            Outcome::Forward(miss) => responder.keep(&miss.key, &answer, 0),
            other => panic!("expected a miss, got {other:?}"),
        }
        assert_eq!(allocations(&mut responder, &rules, &asked), 0, "an answer in the worker's cache");
        assert_eq!(responder.shard().cache_hits_local.read(), 100, "it was the worker's own cache");

        let malformed = &sunk[..sunk.len() - 1];
        assert_eq!(allocations(&mut responder, &rules, malformed), 0, "a malformed packet");
    }
}
