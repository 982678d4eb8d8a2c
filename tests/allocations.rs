//! The two paths most queries take, a sunk name and an answer in the worker's own cache, allocate nothing. A program of its own, since its
//! allocator counts; by thread, so that the test runner's own allocations are not among them.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one counts and hands on to the system's")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cenote::cache::{Answer, Config as CacheConfig, Local, Seed, Shared};
use cenote::feed::{TextFormat, read_text};
use cenote::index::{Index, Kept, Part};
use cenote::metrics::{Shard, Transport};
use cenote::policy::{FeedConfig, Policy, SinkConfig};
use cenote::server::{Access, AccessConfig, Outcome, Responder, Rules};
use cenote::zone::{Config as ZonesConfig, Zones};

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
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A query for the A of `name`, given in wire form, with an OPT.
fn query(name: &[u8]) -> Vec<u8> {
    [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1], name, &[0, 1, 0, 1], b"\0\0\x29\x04\xd0\0\0\0\0\0\0"].concat()
}

/// A name sunk and everything else let through.
fn rules() -> Rules {
    let (sorted, _) = read_text(&b"bad.test\nworse.bad.test"[..], TextFormat::Plain, false).unwrap();
    let index = Index::build(&Part::in_order(&[("feed", 1, Kept::New(&sorted))]), &mut |_| ()).unwrap();
    let feeds = vec![FeedConfig { name: "feed".to_owned(), action: None, may_allow: false, sink: None }];
    Rules {
        generation: 1,
        access: Access::new(&AccessConfig::default()),
        zones: Arc::new(Zones::build(&ZonesConfig::default()).unwrap()),
        policy: Some(Arc::new(Policy::new([Arc::new(index)], feeds, SinkConfig::default()))),
    }
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
    let (rules, config) = (rules(), CacheConfig::default());
    let shared = Arc::new(Shared::new(&config));
    let shard = Arc::new(Shard::default());
    let mut responder = Responder::new(Transport::Udp, shard, Local::new(&config), shared, Seed::new([1, 2]));

    let sunk = query(b"\x01a\x03BAD\x04test\0");
    assert_eq!(allocations(&mut responder, &rules, &sunk), 0, "a sunk name");

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
