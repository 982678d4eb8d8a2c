//! What a sunk name is answered with: neutral, the same for every name, whatever the type asked.
//!
//! | asked | `sinkhole` | `nxdomain` | `nodata` | `refused` | `drop` | `tcp-only` (over UDP) |
//! |---|---|---|---|---|---|---|
//! | A | the IPv4 address, or NODATA | NXDOMAIN | NODATA | REFUSED | – | TC |
//! | AAAA | the IPv6 address, or NODATA | NXDOMAIN | NODATA | REFUSED | – | TC |
//! | any other, HTTPS, SVCB and ANY too | NODATA | NXDOMAIN | NODATA | REFUSED | – | TC |

use crate::policy::{Action, SinkConfig};
use crate::wire::{Ede, Query, Rcode, ReplyFlags, Soa, Writer, rtype};

/// Writes the reply to a query for a sunk name; `None` if it gets none. AA and AD stay off, DO changes nothing.
pub(super) fn write_sunk(
    out: &mut [u8],
    query: &Query<'_>,
    sink: &SinkConfig,
    action: Action,
) -> Option<(Rcode, Option<usize>)> {
    let rcode = match action {
        Action::Sinkhole | Action::Nodata | Action::TcpOnly => Rcode::NoError,
        Action::Nxdomain => Rcode::NxDomain,
        Action::Refused => Rcode::Refused,
        Action::Drop | Action::Passthru | Action::Observe => return None,
    };
    let truncated = action == Action::TcpOnly;
    let mut writer = Writer::reply(out, query, rcode, ReplyFlags { truncated, ..ReplyFlags::default() });
    if truncated {
        // Nothing is blocked yet, so no extended error says so.
        writer.opt(query, rcode, None);
        return Some((rcode, writer.finish()));
    }
    match (action, query.qtype, sink.ipv4, sink.ipv6) {
        (Action::Refused, ..) => {}
        (Action::Sinkhole, rtype::A, Some(address), _) => writer.a(address, sink.ttl_secs),
        (Action::Sinkhole, rtype::AAAA, _, Some(address)) => writer.aaaa(address, sink.ttl_secs),
        // RFC 2308 §2.2.1: a negative answer without a SOA is not cached, and the client would ask again and again.
        _ => writer.soa(Soa { ttl_secs: sink.ttl_secs }),
    }
    writer.opt(query, rcode, Some((Ede(sink.ede_code), &sink.ede_text)));
    Some((rcode, writer.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Header;

    /// Rcode, answers, authorities.
    fn counts(action: Action, qtype: u16, sink: &SinkConfig) -> Option<(u8, u8, u8)> {
        let mut packet = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0".to_vec();
        packet.extend_from_slice(&qtype.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        let query = Query::read(Header::read(&packet).unwrap(), &packet).unwrap();
        let mut out = [0; 512];
        let (_, length) = write_sunk(&mut out, &query, sink, action)?;
        length.unwrap();
        assert_eq!(out[2] & 0x04, 0, "never authoritative");
        assert_eq!(out[3] & 0x20, 0, "never authentic");
        Some((out[3] & 15, out[7], out[9]))
    }

    #[test]
    fn every_action_for_every_type() {
        let both = SinkConfig::default();
        let neither = SinkConfig { ipv4: None, ipv6: None, ..SinkConfig::default() };
        for qtype in
            [rtype::A, rtype::AAAA, rtype::TXT, rtype::HTTPS, rtype::SVCB, rtype::NS, rtype::ANY, 15, 257, 65_280]
        {
            let address = matches!(qtype, rtype::A | rtype::AAAA);
            for (action, sink, want) in [
                (Action::Sinkhole, &both, Some(if address { (0, 1, 0) } else { (0, 0, 1) })),
                (Action::Sinkhole, &neither, Some((0, 0, 1))),
                (Action::Nodata, &both, Some((0, 0, 1))),
                (Action::Nxdomain, &both, Some((3, 0, 1))),
                (Action::Refused, &both, Some((5, 0, 0))),
                (Action::TcpOnly, &both, Some((0, 0, 0))),
                (Action::Drop, &both, None),
            ] {
                assert_eq!(counts(action, qtype, sink), want, "{action:?} for type {qtype}");
            }
        }
    }
}
