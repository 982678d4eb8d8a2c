//! What local data of a response policy zone are: records of these types, and CNAMEs that lead somewhere. Costs a look at a table.

use super::Reason;
use crate::name::Name;
use crate::wire::DataType;

/// The type that `kind` stands for; `None` if it is none that local data are made of (draft-vixie-dnsop-dns-rpz §3.6).
pub(super) fn data_type(kind: &[u8]) -> Option<DataType> {
    // RFC 6895 §3.1: 0 is reserved, 128 to 255 and OPT are no data. NS, CNAME, SOA and DNAME are read elsewhere or not at all, and what signs
    // a zone signs nothing that is answered in its stead.
    let is_none = |rtype| matches!(rtype, 0 | 2 | 5 | 6 | 39 | 41 | 43 | 46..=48 | 50 | 51 | 59 | 60 | 63 | 128..=255);
    DataType::read(kind).filter(|kind| !is_none(kind.number()))
}

/// The octets of a CNAME's target; the root, which would be an action, is not one.
///
/// # Errors
/// [`Reason::Rdata`].
pub(super) fn target_rdata(absolute: &[u8]) -> Result<Box<[u8]>, Reason> {
    if absolute.is_empty() || absolute.contains(&b'\\') {
        return Err(Reason::Rdata);
    }
    Name::from_text(absolute).map(|name| name.wire().into()).map_err(|_| Reason::Rdata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_data() {
        for (kind, want) in [
            ("txt", Some(16)),
            ("TYPE16", Some(16)),
            ("type99", Some(99)),
            ("TYPE65535", Some(65_535)),
            ("TYPE65536", None),
            ("TYPE0", None),
            ("TYPE5", None),
            ("TYPE41", None),
            ("TYPE255", None),
            ("NS", None),
            ("DS", None),
            ("TYPE", None),
            ("TYPE-1", None),
            ("TYPE+1", None),
            ("NOTATYPE", None),
        ] {
            assert_eq!(data_type(kind.as_bytes()).map(DataType::number), want, "{kind}");
        }
    }

    #[test]
    fn targets() {
        for (text, want) in [
            ("garden.example", Some(&b"\x06garden\x07example\0"[..])),
            ("*.garden.example", Some(b"\x01*\x06garden\x07example\0")),
            ("", None),
            ("a..b", None),
            ("a\\.b", None),
            ("a b", None),
        ] {
            assert_eq!(target_rdata(text.as_bytes()).ok().as_deref(), want, "{text}");
        }
    }
}
