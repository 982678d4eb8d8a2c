//! [`Networks`]: the networks that feeds list, by side, and which of them an address is in.
//!
//! A side is a table sorted by length, longest first, then by address: a look-up is one binary search for each distinct length there is
//! (real lists have some ten), allocates nothing, and ends at once when the side is empty.

use std::net::IpAddr;

/// The most networks of one feed, and of one index: four times the bare addresses that 224 published lists hold together, duplicates
/// included (983,240).
pub const NETWORKS_MAX: usize = 1 << 22;
/// Bits in front of an IPv4 address in its IPv6 form, `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
const IPV4_FRONT_BITS: u8 = 96;
/// Those bits, as a number.
const IPV4_FRONT: u128 = 0xffff;
/// Octets of a network in the artifact: address, length, row.
const NETWORK_OCTETS: usize = 21;
/// Octets of [`Network::key`].
pub(super) const KEY_OCTETS: usize = 18;

/// Whose addresses a network is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The client's (RPZ `rpz-client-ip`).
    Client = 0,
    /// Those in an answer (RPZ `rpz-ip`).
    Answer = 1,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Client, Self::Answer];
}

/// A network: an address whose host bits are zero, and a prefix length. IPv4 is `::ffff:a.b.c.d`, 96 bits longer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Its first address; bits behind `prefix_len` are zero.
    first: u128,
    /// At most 128.
    prefix_len: u8,
}

impl Network {
    /// The network of `prefix_len` bits that begins at `first`; `None` for over 128 bits, or when host bits are set.
    #[must_use]
    pub const fn new(first: u128, prefix_len: u8) -> Option<Self> {
        if prefix_len <= 128 && first & !mask(prefix_len) == 0 { Some(Self { first, prefix_len }) } else { None }
    }

    /// The network of `prefix_len` bits, counted as its family counts, that begins at `first`. An IPv4-mapped address is IPv4, and its
    /// length counts from the whole.
    #[must_use]
    pub fn of(first: IpAddr, prefix_len: u8) -> Option<Self> {
        let front = if first.is_ipv4() { IPV4_FRONT_BITS } else { 0 };
        Self::new(number(first), prefix_len.checked_add(front)?)
    }

    /// Its first address.
    #[must_use]
    pub const fn first(self) -> u128 {
        self.first
    }

    /// Its length in bits, of 128.
    #[must_use]
    pub const fn prefix_len(self) -> u8 {
        self.prefix_len
    }

    /// Where it stands in a table: the longest first.
    pub(super) const fn order(self) -> (u8, u128) {
        (128 - self.prefix_len, self.first)
    }

    /// It as octets that sort as tables do.
    pub(super) fn key(self, side: Side) -> [u8; KEY_OCTETS] {
        let mut key = [0; KEY_OCTETS];
        let octets = [side as u8, 128 - self.prefix_len].into_iter().chain(self.first.to_be_bytes());
        key.iter_mut().zip(octets).for_each(|(slot, octet)| *slot = octet);
        key
    }

    /// The reverse of [`key`](Self::key).
    pub(super) fn from_key(key: &[u8]) -> Option<(Side, Self)> {
        let [side, short_of, first @ ..] = key else { return None };
        let side = Side::ALL.into_iter().find(|one| *one as u8 == *side)?;
        let first = u128::from_be_bytes(first.try_into().ok()?);
        Some((side, Self::new(first, 128_u8.checked_sub(*short_of)?)?))
    }
}

impl std::fmt::Debug for Network {
    /// Its length alone: the address is an indicator.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<a network of {} bits>", self.prefix_len)
    }
}

/// The first `prefix_len` bits.
const fn mask(prefix_len: u8) -> u128 {
    match 128_u8.checked_sub(prefix_len) {
        None | Some(0) => u128::MAX,
        Some(128) => 0,
        Some(host_bits) => u128::MAX << host_bits,
    }
}

/// An address as a number; IPv4 is `::ffff:a.b.c.d`.
const fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ipv4) => ipv4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ipv6) => ipv6.to_bits(),
    }
}

/// Networks of one length in a table.
struct Run {
    /// Their length.
    prefix_len: u8,
    /// Where they begin.
    from: usize,
    /// One behind the last; `from < to`.
    to: usize,
}

/// One side's networks.
#[derive(Default)]
struct Table {
    /// Longest first; each length once.
    runs: Vec<Run>,
    /// First addresses; ascending within a run, each once.
    firsts: Vec<u128>,
    /// As many: the row of each.
    rows: Vec<u32>,
}

/// All networks of an index and their rows' numbers.
#[derive(Default)]
pub(super) struct Networks {
    /// By side.
    tables: [Table; 2],
}

impl Table {
    /// Takes the next network; `None`, and nothing is taken, unless it comes behind those taken before.
    fn push(&mut self, network: Network, row: u32) -> Option<()> {
        if self.iter().next_back().is_some_and(|(last, _)| last.order() >= network.order()) {
            return None;
        }
        self.firsts.push(network.first);
        self.rows.push(row);
        let to = self.firsts.len();
        match self.runs.last_mut() {
            Some(run) if run.prefix_len == network.prefix_len => run.to = to,
            _ => self.runs.push(Run { prefix_len: network.prefix_len, from: to - 1, to }),
        }
        Some(())
    }

    /// The row of the network of `run` that begins at `first`.
    #[inline]
    fn row_in(&self, run: &Run, first: u128) -> Option<u32> {
        let place = self.firsts.get(run.from..run.to)?.binary_search(&first).ok()?;
        self.rows.get(run.from + place).copied()
    }

    /// Networks and rows, in order.
    fn iter(&self) -> impl DoubleEndedIterator<Item = (Network, u32)> + '_ {
        self.runs.iter().flat_map(|run| {
            let firsts = self.firsts.get(run.from..run.to).unwrap_or_default();
            let rows = self.rows.get(run.from..run.to).unwrap_or_default();
            firsts.iter().zip(rows).map(|(&first, &row)| (Network { first, prefix_len: run.prefix_len }, row))
        })
    }
}

impl Networks {
    /// Takes the next network of a side; `None` unless it comes behind those taken before.
    pub(super) fn push(&mut self, side: Side, network: Network, row: u32) -> Option<()> {
        let [client, answer] = &mut self.tables;
        match side {
            Side::Client => client.push(network, row),
            Side::Answer => answer.push(network, row),
        }
    }

    /// One side's.
    const fn table(&self, side: Side) -> &Table {
        let [client, answer] = &self.tables;
        match side {
            Side::Client => client,
            Side::Answer => answer,
        }
    }

    /// Whether a side has any.
    #[inline]
    pub(super) const fn has(&self, side: Side) -> bool {
        !self.table(side).runs.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(|table| table.firsts.len()).sum()
    }

    /// Octets they take.
    pub(super) fn bytes(&self) -> usize {
        self.len() * (size_of::<u128>() + size_of::<u32>())
    }

    /// Every network with its side and its row, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Side, Network, u32)> + '_ {
        let sides = Side::ALL.into_iter();
        sides.flat_map(|side| self.table(side).iter().map(move |(network, row)| (side, network, row)))
    }

    /// Length and row of each network of `side` that `address` is in, longest first.
    #[inline]
    pub(super) fn holding(&self, side: Side, address: IpAddr) -> impl Iterator<Item = (u8, u32)> + '_ {
        let table = self.table(side);
        let address = number(address);
        // An IPv6 network that happens to hold ::ffff:0:0/96 was not meant for IPv4.
        let shortest = if address >> 32 == IPV4_FRONT { IPV4_FRONT_BITS } else { 0 };
        let runs = table.runs.iter().take_while(move |run| run.prefix_len >= shortest);
        runs.filter_map(move |run| Some((run.prefix_len, table.row_in(run, address & mask(run.prefix_len))?)))
    }

    /// The row of this very network.
    pub(super) fn find(&self, side: Side, network: Network) -> Option<u32> {
        let table = self.table(side);
        let run = table.runs.iter().find(|run| run.prefix_len == network.prefix_len)?;
        table.row_in(run, network.first)
    }

    /// The NETWORKS section: for each side a count, then for each network its first address, its length (u8) and its row (u32).
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(8 + self.len() * NETWORK_OCTETS);
        for side in Side::ALL {
            let table = self.table(side);
            octets.extend_from_slice(&u32::try_from(table.firsts.len()).unwrap_or(u32::MAX).to_be_bytes());
            for (network, row) in table.iter() {
                octets.extend_from_slice(&network.first.to_be_bytes());
                octets.push(network.prefix_len);
                octets.extend_from_slice(&row.to_be_bytes());
            }
        }
        octets
    }

    /// The reverse of [`encode`](Self::encode); `None` if the octets are not networks in order, each with one of `rows` rows.
    pub(super) fn decode(octets: &[u8], rows: usize) -> Option<Self> {
        let mut networks = Self::default();
        let mut rest = octets;
        for side in Side::ALL {
            let (count, tail) = rest.split_first_chunk::<4>()?;
            let count = usize::try_from(u32::from_be_bytes(*count)).ok().filter(|&count| count <= NETWORKS_MAX)?;
            let (own, tail) = tail.split_at_checked(count * NETWORK_OCTETS)?;
            rest = tail;
            for one in own.chunks_exact(NETWORK_OCTETS) {
                let (first, one) = one.split_first_chunk::<16>()?;
                let (&prefix_len, row) = one.split_first()?;
                let row = u32::from_be_bytes(row.try_into().ok()?);
                usize::try_from(row).ok().filter(|&row| row < rows)?;
                networks.push(side, Network::new(u128::from_be_bytes(*first), prefix_len)?, row)?;
            }
        }
        (rest.is_empty() && networks.len() <= NETWORKS_MAX).then_some(networks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network as text: `192.0.2.0/24`.
    fn network(text: &str) -> Network {
        let (first, length) = text.split_once('/').unwrap();
        Network::of(first.parse().unwrap(), length.parse().unwrap()).unwrap()
    }

    /// These networks on the answer side, each with its place as its row.
    fn table(texts: &[&str]) -> Networks {
        let mut sorted: Vec<_> = texts.iter().map(|text| network(text)).zip(0..).collect();
        sorted.sort_by_key(|(network, _)| network.order());
        let mut networks = Networks::default();
        for (network, row) in sorted {
            networks.push(Side::Answer, network, row).unwrap();
        }
        networks
    }

    #[test]
    fn the_networks_an_address_is_in_longest_first() {
        let networks = table(&[
            "192.0.2.0/24",
            "192.0.2.7/32",
            "192.0.0.0/8",
            "0.0.0.0/0",
            "2001:db8::/32",
            "2001:db8::7/128",
            "::/0",
            "::/80",
        ]);
        for (address, want) in [
            ("192.0.2.7", &[1, 0, 2, 3][..]),
            ("192.0.2.8", &[0, 2, 3]),
            ("::ffff:192.0.2.8", &[0, 2, 3]),
            ("198.51.100.1", &[3]),
            ("2001:db8::7", &[5, 4, 6]),
            ("2001:db9::7", &[6]),
            ("::fffe:0:1", &[7, 6]),
        ] {
            let address = address.parse().unwrap();
            let got: Vec<u32> = networks.holding(Side::Answer, address).map(|(_, row)| row).collect();
            assert_eq!(got, want, "{address}");
            assert_eq!(networks.holding(Side::Client, address).count(), 0, "{address}: the other side");
        }
        assert!(networks.has(Side::Answer) && !networks.has(Side::Client));
        for (text, row) in [("192.0.2.0/24", Some(0)), ("::/80", Some(7)), ("192.0.3.0/24", None), ("::/81", None)] {
            assert_eq!(networks.find(Side::Answer, network(text)), row, "{text}");
            assert_eq!(networks.find(Side::Client, network(text)), None, "{text}: the other side");
        }
    }

    #[test]
    fn a_network_has_no_host_bits_and_at_most_128() {
        for (first, prefix_len, good) in [
            ("192.0.2.0", 24, true),
            ("192.0.2.1", 24, false),
            ("192.0.2.0", 33, false),
            ("192.0.2.0", 255, false),
            ("2001:db8::", 128, true),
            ("2001:db8::", 129, false),
            ("2001:db8::1", 127, false),
            ("::", 0, true),
        ] {
            let network = Network::of(first.parse().unwrap(), prefix_len);
            assert_eq!(network.is_some(), good, "{first}/{prefix_len}");
            let Some(network) = network else { continue };
            for side in Side::ALL {
                assert_eq!(Network::from_key(&network.key(side)), Some((side, network)));
            }
            assert!(!format!("{network:?}").contains("192"));
        }
    }

    #[test]
    fn networks_survive_the_artifact_and_nothing_else_does() {
        let networks = table(&["192.0.2.0/24", "192.0.3.0/24", "2001:db8::/32"]);
        let octets = networks.encode();
        let decoded = Networks::decode(&octets, 3).unwrap();
        assert!(decoded.iter().eq(networks.iter()));
        assert!(Networks::decode(&octets, 2).is_none(), "a row that is not there");
        for cut in 0..octets.len() {
            assert!(Networks::decode(&octets[..cut], 3).is_none(), "cut at {cut}");
        }
        let two = 8 + NETWORK_OCTETS;
        let (front, back) = octets[8..].split_at(NETWORK_OCTETS);
        for (what, bad) in [
            ("unsorted", [&octets[..8], &back[..NETWORK_OCTETS], front, &octets[two + NETWORK_OCTETS..]].concat()),
            ("twice", [&octets[..two], front, &octets[two + NETWORK_OCTETS..]].concat()),
            ("trailing octets", [&octets[..], &[0]].concat()),
            ("host bits", [&octets[..23], &[1], &octets[24..]].concat()),
            ("129 bits", [&octets[..24], &[129], &octets[25..]].concat()),
            ("a count too large", [&[0xff; 4], &octets[4..]].concat()),
        ] {
            assert!(Networks::decode(&bad, 3).is_none(), "{what}");
        }
    }
}
