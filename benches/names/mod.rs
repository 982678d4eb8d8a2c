//! Names made up for the benches, with the shape of those that real feeds list and real clients ask for: two to five labels, half of them under
//! a few suffixes, labels of four to sixteen letters. The same ones in every run.

#![allow(dead_code, unreachable_pub, reason = "each bench includes this file and uses what it needs")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use cenote::cache::{Answer, Config as CacheConfig};
use cenote::index::{Entries, Index, Kept, Part, Sorted, Verb, Verbs};
use cenote::name::Name;
use cenote::policy::{FeedConfig, Policy, Standing, TenantConfig, Tenants};
use cenote::server::{Access, AccessConfig, Rules};
use cenote::wire::rtype;
use cenote::zone::{Config as ZonesConfig, ZoneConfig, Zones};
use ipnet::IpNet;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Suffixes, the usual ones more than once.
const SUFFIXES: [&str; 12] =
    ["com", "com", "com", "com", "net", "org", "ru", "co.uk", "com.br", "xyz", "shop", "pages.example"];
/// Labels in front of a domain.
const PREFIXES: [&str; 6] = ["www", "mail", "cdn", "login", "a1", "static-assets"];

/// Random numbers, the same in every run.
pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// A label of small letters, digits now and then.
fn label(rng: &mut StdRng) -> String {
    let length = rng.random_range(4..17);
    let letter = |rng: &mut StdRng| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[rng.random_range(0..36)]);
    (0..length).map(|_| letter(rng)).collect()
}

/// A domain right under a suffix.
pub fn domain(rng: &mut StdRng) -> String {
    format!("{}.{}", label(rng), SUFFIXES[rng.random_range(0..SUFFIXES.len())])
}

/// What a feed lists: half domains, half hosts of domains.
pub fn listed(count: usize) -> Vec<String> {
    let mut rng = rng(1);
    let mut names: Vec<String> = Vec::with_capacity(count);
    while names.len() < count {
        let domain = domain(&mut rng);
        if rng.random_bool(0.5) {
            names.push(domain);
        } else {
            names.push(format!("{}.{domain}", PREFIXES[rng.random_range(0..PREFIXES.len())]));
        }
    }
    names
}

/// What clients ask for that nothing lists: hosts of domains with a hyphen, which no listed domain has.
pub fn unlisted(count: usize) -> Vec<Name> {
    let mut rng = rng(2);
    (0..count)
        .map(|_| name(&format!("{}.not-{}", PREFIXES[rng.random_range(0..PREFIXES.len())], domain(&mut rng))))
        .collect()
}

/// Names below some of `listed`, by so many labels.
pub fn below(listed: &[String], labels: usize, count: usize) -> Vec<Name> {
    let mut rng = rng(3);
    let mut pick = || {
        let front: String =
            (0..labels).map(|_| format!("{}.", PREFIXES[rng.random_range(0..PREFIXES.len())])).collect();
        name(&format!("{front}{}", listed[rng.random_range(0..listed.len())]))
    };
    (0..count).map(|_| pick()).collect()
}

/// `text` as a name.
pub fn name(text: &str) -> Name {
    Name::from_text(text.as_bytes()).unwrap()
}

/// These names as a feed's entries.
pub fn sorted(names: &[String]) -> Sorted {
    let mut entries = Entries::default();
    for text in names {
        entries.push(name(text).key().unwrap().as_bytes(), Verbs::subtree(Verb::Listed), false).unwrap();
    }
    entries.finish().0
}

/// An index of one feed.
pub fn index(names: &[String]) -> Index {
    let sorted = sorted(names);
    Index::build(&Part::in_order(&[("feed", sorted.len() as u64, Kept::New(&sorted))])).unwrap()
}

/// One feed of these names.
pub fn policy(listed: &[String]) -> Policy {
    Policy::new([Arc::new(index(listed))], vec![FeedConfig::plain("feed".to_owned())])
}

/// The rules with these names, the special names, and one zone of the operator's.
pub fn rules(listed: &[String]) -> Rules {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corp.zone");
    std::fs::write(&file, "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n").unwrap();
    let zone = ZoneConfig { apex: name("corp.example"), file };
    let zones = Arc::new(Zones::build(&ZonesConfig { zones: vec![zone], ..ZonesConfig::default() }).unwrap());
    Rules::new(1, Access::new(&AccessConfig::default()), zones, Some(Arc::new(policy(listed))))
}

/// So many tenants with so many networks each, one of them the network of `client`, and none with names of its own.
pub fn tenants((count, networks): (usize, usize), client: IpAddr) -> Tenants {
    let mut rng = rng(4);
    let mut network = || {
        let (address, lengths) = if rng.random_bool(0.7) {
            (IpAddr::from(Ipv4Addr::from(rng.random_range(0x0b00_0000..0x7f00_0000_u32))), 16..=32)
        } else {
            (IpAddr::from(Ipv6Addr::from(0x2a << 120 | rng.random::<u128>() >> 8)), 32..=64)
        };
        IpNet::new(address, rng.random_range(lengths)).unwrap().trunc()
    };
    let mut configs: Vec<TenantConfig> = (0..count)
        .map(|place| TenantConfig {
            networks: (0..networks).map(|_| network()).collect(),
            ..TenantConfig::plain(format!("t{place}"))
        })
        .collect();
    configs[count / 2].networks[0] = client.into();
    Tenants::new(&configs, |_| Standing::default())
}

/// A query for the A of `name`, RD set, with an OPT.
pub fn query(name: &Name) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name.wire());
    packet.extend_from_slice(&rtype::A.to_be_bytes());
    packet.extend_from_slice(&[0, 1, 0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    packet
}

/// An upstream's reply to `query`: one address for five minutes, and no OPT.
pub fn reply(query: &[u8]) -> Vec<u8> {
    let end = query.len() - if query[11] == 1 { 11 } else { 0 };
    let mut reply = query[..end].to_vec();
    (reply[2], reply[3], reply[7], reply[11]) = (0x81, 0x80, 1, 0);
    reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1]);
    reply
}

/// The answer in [`reply`] to `query`, come at 0.
pub fn answer(query: &[u8]) -> Arc<Answer> {
    Arc::new(Answer::from_reply(&reply(query), 0, &CacheConfig::default()).unwrap())
}
