//! [`Record`]: local data, a record that an entry itself answers with, in place of its feed's sinkhole (draft-vixie-dnsop-dns-rpz §3.6).

/// A record to be answered; its class is IN, its owner whatever name is asked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    /// Its type (RFC 1035 §3.2.2).
    pub rtype: u16,
    /// Its TTL, seconds.
    pub ttl_secs: u32,
    /// Its RDATA on the wire, names in it absolute and not compressed. A CNAME to `*.name` leads to the name asked in front of `name`.
    pub rdata: Box<[u8]>,
}

impl std::fmt::Debug for Record {
    /// Type and length alone: the data is an indicator's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<a record of type {} and {} octets>", self.rtype, self.rdata.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_what_a_feed_holds() {
        let record = Record { rtype: 16, ttl_secs: 60, rdata: b"\x06canary"[..].into() };
        assert_eq!(format!("{record:?}"), "<a record of type 16 and 7 octets>");
    }
}
