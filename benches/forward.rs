//! One question through the forwarder: asked, sent, replied to, ended; no socket, no system call. Also a question that joins one in flight.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod names;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use cenote::cache::{Config as CacheConfig, Key, Seed};
use cenote::forward::{Config, Effect, Forward};
use cenote::wire::{Header, Query};
use criterion::{Criterion, criterion_group, criterion_main};

/// A forwarder of one upstream, and the keys it is asked for.
struct Scene {
    forward: Forward<()>,
    keys: Vec<Key>,
    effects: Vec<Effect<()>>,
    now_ms: u64,
    asked: usize,
}

impl Scene {
    fn new(in_flight: usize) -> Self {
        let seed = Seed::new([1, 2]);
        let key = |packet: Vec<u8>| Key::of(&Query::read(Header::read(&packet).unwrap(), &packet).unwrap(), 0, &seed);
        let servers = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))];
        let forward = Forward::new(
            Config { servers, waiting_per_client_max: usize::MAX, ..Config::default() },
            CacheConfig::default(),
            64,
            names::rng(4),
        );
        let keys = names::unlisted(in_flight + 1024).iter().map(|name| key(names::query(name))).collect();
        let mut scene = Self { forward, keys, effects: Vec::new(), now_ms: 1_000_000, asked: 0 };
        for number in 0..in_flight {
            scene.forward.on_query(scene.keys[number].clone(), (), 1_000_000, &mut scene.effects).unwrap();
        }
        scene.effects.clear();
        scene.keys.drain(..in_flight);
        scene
    }

    /// Asks the next question and replies to what is sent; how many waited.
    fn round(&mut self) -> usize {
        let key = self.keys[self.asked % self.keys.len()].clone();
        self.asked += 1;
        self.forward.on_query(key, (), self.now_ms, &mut self.effects).unwrap();
        let mut waited = 0;
        while let Some(effect) = self.effects.pop() {
            match effect {
                Effect::SendUdp { upstream, socket, packet } => {
                    let reply = names::reply(packet.as_bytes());
                    self.forward.on_udp_reply(upstream, socket, black_box(&reply), self.now_ms, &mut self.effects);
                }
                Effect::Done { waiters, .. } => {
                    waited += waiters.len();
                    self.forward.recycle(waiters);
                }
                _ => {}
            }
        }
        waited
    }
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    for in_flight in [0, 4000] {
        let mut scene = Scene::new(in_flight);
        assert_eq!(scene.round(), 1, "the reply is believed");
        group.bench_function(format!("round/{in_flight}-in-flight"), |bench| bench.iter(|| scene.round()));
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
