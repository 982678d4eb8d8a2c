//! [`Packet`]: our own query to an upstream; nothing in it is the client's but name, type, DO and CD.

use rand::Rng;
use rand::rngs::StdRng;

use crate::cache::Key;
use crate::name::NAME_OCTETS_MAX;
use crate::wire::{CLASS_IN, HEADER_OCTETS, UDP_OCTETS_MAX, rtype};

/// Octets of our OPT, which has no options (RFC 6891 §6.1.2).
const OPT_OCTETS: usize = 11;
/// Octets of the longest query: header, name, type and class, OPT.
const PACKET_OCTETS_MAX: usize = HEADER_OCTETS + NAME_OCTETS_MAX + 4 + OPT_OCTETS;
/// The flags of a query: RD, and AD, which asks to be told of validation (RFC 6840 §5.7).
const FLAGS: u16 = 0x0120;
/// CD.
const CHECKING_DISABLED: u16 = 0x0010;

/// Which letters of a name are sent as capitals (draft-vixie-dnsext-dns0x20): a bit an octet of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Letters([u64; 4]);

impl Letters {
    /// All small.
    pub(super) const SMALL: Self = Self([0; 4]);

    /// Random ones for a name of `octets`.
    pub(super) fn random(rng: &mut StdRng, octets: usize) -> Self {
        let mut letters = Self::SMALL;
        for bits in letters.0.iter_mut().take(octets.div_ceil(64)) {
            *bits = rng.next_u64();
        }
        letters
    }

    /// A folded name's octets as they are sent.
    #[inline]
    pub(super) fn applied(self, name: &[u8]) -> impl Iterator<Item = u8> {
        let bits = self.0.into_iter().flat_map(|bits| (0..64).map(move |bit| bits >> bit & 1 == 1));
        name.iter().zip(bits).map(|(octet, capital)| if capital { octet.to_ascii_uppercase() } else { *octet })
    }
}

/// What of a query differs from try to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    /// The id.
    pub(super) id: u16,
    /// Letter case.
    pub(super) letters: Letters,
    /// Whether it has an OPT.
    pub(super) edns: bool,
}

/// A query in wire form, on the stack.
#[derive(Clone)]
pub struct Packet {
    /// The query is the first `length` octets.
    octets: [u8; PACKET_OCTETS_MAX],
    /// Octets in use.
    length: u16,
}

impl Packet {
    /// The query for what `key` is of.
    pub(super) fn new(key: &Key, manner: Manner) -> Self {
        let mut packet = Self { octets: [0; PACKET_OCTETS_MAX], length: 0 };
        let flags = if key.checking_disabled() { FLAGS | CHECKING_DISABLED } else { FLAGS };
        for field in [manner.id, flags, 1, 0, 0, u16::from(manner.edns)] {
            packet.put(field.to_be_bytes());
        }
        packet.put(manner.letters.applied(key.name()));
        packet.put(key.qtype().to_be_bytes());
        packet.put(CLASS_IN.to_be_bytes());
        if manner.edns {
            packet.put([0]);
            packet.put(rtype::OPT.to_be_bytes());
            #[expect(clippy::cast_possible_truncation, reason = "1232")]
            packet.put((UDP_OCTETS_MAX as u16).to_be_bytes());
            packet.put([0, 0, u8::from(key.dnssec_ok()) << 7, 0, 0, 0]);
        }
        packet
    }

    /// Appends octets; there is room for the longest query.
    fn put(&mut self, octets: impl IntoIterator<Item = u8>) {
        let room = self.octets.iter_mut().skip(usize::from(self.length));
        for (slot, octet) in room.zip(octets) {
            *slot = octet;
            self.length += 1;
        }
    }

    /// The query's octets.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<packet>")
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use rand::SeedableRng;

    use super::*;
    use crate::cache::testing::{key_of, query_for};
    use crate::cache::{Key, Seed};
    use crate::wire::{Header, Query};

    #[test]
    fn hickory_reads_what_we_ask() {
        for (dnssec_ok, cd, edns) in
            [(false, false, true), (true, false, true), (false, true, true), (true, true, false)]
        {
            let mut client = query_for(b"host-1", rtype::AAAA, true, dnssec_ok, false);
            client[3] |= u8::from(cd) << 4;
            let letters = Letters::random(&mut StdRng::seed_from_u64(1), 16);
            let packet = Packet::new(&key_of(&client), Manner { id: 0x1234, letters, edns });
            let message = Message::from_vec(packet.as_bytes()).unwrap();
            assert_eq!(message.metadata.id, 0x1234);
            assert!(message.metadata.recursion_desired && message.metadata.authentic_data);
            assert_eq!(message.metadata.checking_disabled, cd);
            let name = message.queries[0].name().to_string();
            assert_eq!(name.to_ascii_lowercase(), "host-1.example.");
            assert_ne!(name, "host-1.example.");
            assert_eq!(message.edns.as_ref().map(|edns| edns.flags().dnssec_ok), edns.then_some(dnssec_ok));
            assert_eq!(message.edns.map(|edns| edns.max_payload()), edns.then_some(1232));
        }
    }

    #[test]
    fn the_longest_query_fits() {
        let mut client = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        client.extend([1, b'a'].repeat(127));
        client.extend([0, 0, 1, 0, 1]);
        let query = Query::read(Header::read(&client).unwrap(), &client).unwrap();
        let key = Key::of(&query, 0, &Seed::new([1, 2]));
        let packet = Packet::new(&key, Manner { id: 1, letters: Letters([u64::MAX; 4]), edns: true });
        assert_eq!(packet.as_bytes().len(), PACKET_OCTETS_MAX);
        assert_eq!(format!("{packet:?}"), "<packet>", "nothing printed shows a name");
        assert!(packet.as_bytes().ends_with(&[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(packet.as_bytes().iter().filter(|octet| **octet == b'A').count(), 127);
    }
}
