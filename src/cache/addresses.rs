//! The addresses an [`Answer`] gives: of its A and AAAA records, and the hints of its SVCB and HTTPS records (RFC 9460 §7.3) with the addresses
//! beside those.
//!
//! Read where they lie, when a policy asks; nothing is kept for it.

use std::net::IpAddr;

use super::Answer;
use crate::wire::{Section, rtype, u16_at};

/// SvcParamKey of `ipv4hint` (RFC 9460 §14.3.2).
const IPV4_HINT: u16 = 4;
/// SvcParamKey of `ipv6hint`.
const IPV6_HINT: u16 = 6;
/// A length octet from here on is a pointer's first (RFC 1035 §4.1.4).
const POINTER: u8 = 0xc0;

impl Answer {
    /// The addresses in the answer section, in its order, an IPv4-mapped one as IPv4; behind SVCB and HTTPS records also those in the additional
    /// section, which clients use as they use hints (RFC 9460 §4.2).
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        addresses_in(self.records(Section::Answer), self.records(Section::Additional))
    }
}

/// As [`Answer::addresses`], of any reply whose answer and additional section have these records, each a type and its RDATA.
pub fn addresses_in<'r>(
    answers: impl Iterator<Item = (u16, &'r [u8])> + Clone,
    additionals: impl Iterator<Item = (u16, &'r [u8])>,
) -> impl Iterator<Item = IpAddr> {
    let of_services = answers.clone().any(|(rtype, _)| matches!(rtype, rtype::SVCB | rtype::HTTPS));
    let beside = of_services.then_some(additionals).into_iter().flatten();
    answers.chain(beside).flat_map(|(rtype, rdata)| {
        let (four, sixteen) = match rtype {
            rtype::A => (rdata, &[][..]),
            rtype::AAAA => (&[][..], rdata),
            rtype::SVCB | rtype::HTTPS => (hint(rdata, IPV4_HINT), hint(rdata, IPV6_HINT)),
            _ => (&[][..], &[][..]),
        };
        let (four, sixteen) = (four.as_chunks::<4>().0.iter(), sixteen.as_chunks::<16>().0.iter());
        four.map(|&octets| IpAddr::from(octets)).chain(sixteen.map(|&octets| IpAddr::from(octets).to_canonical()))
    })
}

/// The value of an SVCB's parameter `wanted`; empty if it has none.
fn hint(rdata: &[u8], wanted: u16) -> &[u8] {
    let mut rest = parameters(rdata).unwrap_or_default();
    while let (Some(key), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let Some((value, tail)) = rest.get(4..).and_then(|rest| rest.split_at_checked(usize::from(length))) else {
            break;
        };
        if key == wanted {
            return value;
        }
        rest = tail;
    }
    &[]
}

/// What is behind SvcPriority and TargetName.
fn parameters(rdata: &[u8]) -> Option<&[u8]> {
    let mut rest = rdata.get(2..)?;
    loop {
        let (&length, tail) = rest.split_first()?;
        match length {
            0 => return Some(tail),
            POINTER.. => return tail.get(1..),
            _ => rest = tail.get(usize::from(length)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Config;
    use crate::cache::testing::{Scripted, opt, query_for, reply};

    #[test]
    fn addresses_and_hints_of_the_answer_section() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let four: Scripted<'_> = (rtype::A, 60, &[192, 0, 2, 1]);
        let mapped = [&[0; 10][..], &[0xff, 0xff, 10, 0, 0, 1]].concat();
        let six: Scripted<'_> = (rtype::AAAA, 60, &mapped);
        // alpn h2, two ipv4hints, one ipv6hint; the target compressed, which it must not be.
        let hints =
            b"\0\x01\0\x03\x02h2\0\x04\0\x08\x0a\0\0\x02\x0a\0\0\x03\0\x06\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
        for target in [&b"\0\x01\x03cdn\x03net\0"[..], b"\0\x01\0", b"\0\x01\x03cdn\xc0\x0c"] {
            let rdata = [target, hints].concat();
            let sections: [&[Scripted<'_>]; 3] = [&[four, (rtype::HTTPS, 60, &rdata), six], &[], &[four]];
            let octets = reply(&asked, 0, sections, &opt(0, None), 1);
            let answer = Answer::from_reply(&octets, 0, &Config::default()).unwrap();
            let got: Vec<String> = answer.addresses().map(|address| address.to_string()).collect();
            let want = ["192.0.2.1", "10.0.0.2", "10.0.0.3", "fd00::1", "10.0.0.1", "192.0.2.1"];
            assert_eq!(got, want, "the additional section's too, behind a service: {target:?}");
        }
        let octets = reply(&asked, 0, [&[four], &[], &[six]], &opt(0, None), 1);
        let answer = Answer::from_reply(&octets, 0, &Config::default()).unwrap();
        assert_eq!(answer.addresses().count(), 1, "no service: the answer section's alone");
        for odd in [&b"\0\x01\0\0\x04\0\x08\x0a\0\0\x02"[..], b"\0\x01\0\0\x04\0", b"\0\x01\0"] {
            let octets = reply(&asked, 0, [&[(rtype::HTTPS, 60, odd)], &[], &[]], &[], 0);
            assert_eq!(Answer::from_reply(&octets, 0, &Config::default()).unwrap().addresses().count(), 0, "{odd:?}");
        }
    }
}
