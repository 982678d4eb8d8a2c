//! RDATA in presentation form (RFC 1035 §5.1, RFC 3597 §5) to octets on the wire: names in it absolute, nothing compressed.
//!
//! Addresses, targets and character-strings, which nearly all local data are, are read here, without an error that holds their text. The
//! other types go through hickory-proto's parser, one record at a time, and what it makes of them is emitted, read back and compared.
//! Nothing with a backslash goes there: it reads `\DDD` as no RFC has it.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable as _, BinEncoder, NameEncoding, Restrict};

use super::Reason;
use crate::index::RECORD_SET_OCTETS_MAX;
use crate::name::Name;

/// How the RDATA of a type is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// One character-string or more.
    Strings,
    /// As hickory-proto reads it: how many tokens there are, if that is fixed, and which of them is a name.
    Fields(Option<usize>, Option<usize>),
    /// Parameters of a service (RFC 9460 §2.1), behind a priority and a name.
    Service,
    /// Only as RFC 3597 writes unknown types.
    Unknown,
}

/// A type that local data may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataType {
    /// Its number.
    pub(super) rtype: u16,
    /// How its RDATA is written.
    form: Form,
}

/// What local data are made of (draft-vixie-dnsop-dns-rpz §3.6): mnemonic, number, form. Any other type may be written as `TYPE` and its
/// number.
const DATA_TYPES: [(&str, u16, Form); 20] = [
    ("A", 1, Form::Ipv4),
    ("AAAA", 28, Form::Ipv6),
    ("TXT", 16, Form::Strings),
    ("MX", 15, Form::Fields(Some(2), Some(1))),
    ("SRV", 33, Form::Fields(Some(4), Some(3))),
    ("PTR", 12, Form::Fields(Some(1), Some(0))),
    ("CAA", 257, Form::Fields(Some(3), None)),
    ("HINFO", 13, Form::Fields(Some(2), None)),
    ("NAPTR", 35, Form::Fields(Some(6), Some(5))),
    ("SVCB", 64, Form::Service),
    ("HTTPS", 65, Form::Service),
    ("SSHFP", 44, Form::Fields(Some(3), None)),
    ("TLSA", 52, Form::Fields(None, None)),
    ("SMIMEA", 53, Form::Fields(None, None)),
    ("OPENPGPKEY", 61, Form::Fields(Some(1), None)),
    ("CERT", 37, Form::Fields(Some(4), None)),
    ("SPF", 99, Form::Strings),
    ("LOC", 29, Form::Unknown),
    ("RP", 17, Form::Unknown),
    ("URI", 256, Form::Unknown),
];

impl DataType {
    /// The type that `kind` stands for; `None` if it is none that local data are made of.
    pub(super) fn read(kind: &[u8]) -> Option<Self> {
        let by_name = |(name, ..): &&(&str, u16, Form)| name.as_bytes().eq_ignore_ascii_case(kind);
        if let Some(&(_, rtype, form)) = DATA_TYPES.iter().find(by_name) {
            return Some(Self { rtype, form });
        }
        // RFC 3597 §5: "the word TYPE immediately followed by the decimal RR type number".
        let (word, number) = kind.split_at_checked(4)?;
        let digits = word.eq_ignore_ascii_case(b"TYPE") && number.iter().all(u8::is_ascii_digit);
        let rtype = std::str::from_utf8(number).ok().filter(|_| digits)?.parse().ok()?;
        let form = DATA_TYPES.iter().find(|(_, number, _)| *number == rtype).map_or(Form::Unknown, |&(.., form)| form);
        // RFC 6895 §3.1: 0 is reserved, 128 to 255 and OPT are no data. NS, CNAME, SOA and DNAME are read elsewhere or not at all, and
        // what signs a zone signs nothing that is answered in its stead.
        let data = !matches!(rtype, 0 | 2 | 5 | 6 | 39 | 41 | 43 | 46..=48 | 50 | 51 | 59 | 60 | 63 | 128..=255);
        (data || rtype == 99).then_some(Self { rtype, form })
    }

    /// The RDATA that `tokens` stand for. `absolute` completes a name with the origin, without a final dot, if that is known.
    ///
    /// # Errors
    /// [`Reason::Rdata`], [`Reason::DataTooLarge`].
    pub(super) fn rdata(
        self,
        tokens: &[&[u8]],
        absolute: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Box<[u8]>, Reason> {
        let rdata = match (tokens, self.form) {
            ([b"\\#", length, words @ ..], _) => self.generic(length, words),
            (&[address], Form::Ipv4) => parse::<Ipv4Addr>(address).map(|ipv4| ipv4.octets().to_vec()),
            (&[address], Form::Ipv6) => parse::<Ipv6Addr>(address).map(|ipv6| ipv6.octets().to_vec()),
            ([_, ..], Form::Strings) => strings(tokens),
            (_, Form::Fields(count, name)) if count.is_none_or(|count| count == tokens.len()) => {
                self.fields(tokens, name, absolute)
            }
            ([_, _, params @ ..], Form::Service) if params.iter().all(|param| is_plain_param(param)) => {
                self.fields(tokens, Some(1), absolute)
            }
            _ => None,
        };
        let rdata = rdata.ok_or(Reason::Rdata)?;
        if rdata.len() > RECORD_SET_OCTETS_MAX { Err(Reason::DataTooLarge) } else { Ok(rdata.into()) }
    }

    /// RFC 3597 §5: `\#`, the length, hexadecimal digits.
    fn generic(self, length: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
        let digits = words.concat();
        let (pairs, odd) = digits.as_chunks::<2>();
        let nibble = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let octets: Option<Vec<u8>> =
            pairs.iter().map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?)).collect();
        let octets = octets.filter(|octets| odd.is_empty() && parse(length) == Some(octets.len()))?;
        // What does not come out as it went in has names that are compressed, which are no names where there is no message.
        let sound = self.form == Form::Unknown || emit(&self.decode(&octets)?)? == octets;
        sound.then_some(octets)
    }

    /// hickory-proto's reading of tokens, of which one is a name.
    fn fields(
        self,
        tokens: &[&[u8]],
        name: Option<usize>,
        absolute: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let mut text = String::new();
        for (place, token) in tokens.iter().enumerate() {
            if !token.iter().all(|octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'\\' | b'"')) {
                return None;
            }
            text.push_str(" \"");
            if name == Some(place) {
                text.push_str(std::str::from_utf8(&absolute(token)?).ok()?);
                text.push('.');
            } else {
                text.push_str(std::str::from_utf8(token).ok()?);
            }
            text.push('"');
        }
        let mut rdata = RData::try_from_str(RecordType::from(self.rtype), &text).ok()?;
        if let RData::SVCB(service) | RData::HTTPS(hickory_proto::rr::rdata::HTTPS(service)) = &mut rdata {
            // RFC 9460 §2.2: on the wire "in strictly increasing numeric order".
            service.svc_params.sort_by_key(|(key, _)| u16::from(*key));
        }
        let octets = emit(&rdata)?;
        (self.decode(&octets)? == rdata).then_some(octets)
    }

    /// The octets as hickory-proto reads them.
    fn decode(self, octets: &[u8]) -> Option<RData> {
        let length = u16::try_from(octets.len()).ok()?;
        let mut decoder = BinDecoder::new(octets);
        RData::read(&mut decoder, RecordType::from(self.rtype), Restrict::new(length)).ok()
    }
}

/// The octets of a CNAME's target; the root, which would be an action, is not one.
///
/// # Errors
/// [`Reason::Rdata`].
pub(super) fn target(absolute: &[u8]) -> Result<Box<[u8]>, Reason> {
    if absolute.is_empty() || absolute.contains(&b'\\') {
        return Err(Reason::Rdata);
    }
    Name::from_text(absolute).map(|name| name.wire().into()).map_err(|_| Reason::Rdata)
}

/// On the wire, names not compressed.
fn emit(rdata: &RData) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    rdata.emit(&mut encoder).ok()?;
    Some(octets)
}

/// Text as a number or an address.
fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Character-strings (RFC 1035 §3.3), each with its length in front.
fn strings(tokens: &[&[u8]]) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    for token in tokens {
        let start = octets.len();
        octets.push(0);
        let mut rest = *token;
        while let [octet, tail @ ..] = rest {
            let (octet, tail) = if *octet == b'\\' { unescape(tail)? } else { (*octet, tail) };
            octets.push(octet);
            rest = tail;
        }
        let length = u8::try_from(octets.len() - start - 1).ok()?;
        *octets.get_mut(start)? = length;
    }
    Some(octets)
}

/// What stands behind a backslash (RFC 1035 §5.1): three decimal digits, or the character itself.
fn unescape(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'0'..=b'9', ..] => {
            let (digits, tail) = text.split_first_chunk::<3>()?;
            digits.iter().all(u8::is_ascii_digit).then_some(())?;
            Some((parse(digits)?, tail))
        }
        [octet, tail @ ..] => Some((*octet, tail)),
        [] => None,
    }
}

/// Whether a service parameter is of a key and of values in which hickory-proto finds what it expects: it panics on an empty one in a list
/// and on a lone quote.
fn is_plain_param(param: &[u8]) -> bool {
    let plain =
        |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b':' | b'-' | b'_' | b'/' | b'+' | b'=');
    let mut halves = param.splitn(2, |&octet| octet == b'=');
    let key = halves.next().is_some_and(|key| key.iter().all(plain));
    let mut values = halves.next().into_iter().flat_map(|values| values.split(|&octet| octet == b','));
    key && values.all(|value| !value.is_empty() && value.iter().all(plain))
}

#[cfg(test)]
mod tests {
    use super::super::zone_file::ZoneFile;
    use super::*;

    /// What a type and its RDATA come to, names below `z.example`.
    fn rdata(text: &str) -> Result<Vec<u8>, Reason> {
        let mut file = ZoneFile::default();
        file.line(text.as_bytes())?;
        let tokens: Vec<&[u8]> = file.tokens().collect();
        let absolute = |token: &[u8]| match token {
            [absolute @ .., b'.'] => Some(absolute.to_vec()),
            b"@" => Some(b"z.example".to_vec()),
            relative => Some([relative, b".z.example"].concat()),
        };
        let kind = DataType::read(tokens[0]).ok_or(Reason::Syntax)?;
        kind.rdata(&tokens[1..], &absolute).map(Vec::from)
    }

    #[test]
    fn presentation_to_wire() {
        for (text, want) in [
            ("A 192.0.2.1", &[192, 0, 2, 1][..]),
            ("aaaa 2001:db8::1", b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"),
            (r#"TXT "a ; b" c"#, b"\x05a ; b\x01c"),
            (r#"TXT "" "\065\"\\\200""#, b"\0\x04A\"\\\xc8"),
            ("SPF v=spf1", b"\x06v=spf1"),
            ("MX 10 mail.example.net.", b"\0\x0a\x04mail\x07example\x03net\0"),
            ("MX 10 mail", b"\0\x0a\x04mail\x01z\x07example\0"),
            ("MX 10 @", b"\0\x0a\x01z\x07example\0"),
            ("MX 0 .", b"\0\0\0"),
            ("PTR host", b"\x04host\x01z\x07example\0"),
            ("SRV 1 2 53 ns.example.", b"\0\x01\0\x02\0\x35\x02ns\x07example\0"),
            (r#"CAA 0 issue "ca.example; a=b""#, b"\0\x05issueca.example; a=b"),
            ("HINFO RFC8482 \"\"", b"\x07RFC8482\0"),
            (r#"NAPTR 1 2 "U" "E2U+sip" "!x!" ."#, b"\0\x01\0\x02\x01U\x07E2U+sip\x03!x!\0"),
            ("SVCB 0 svc.example.", b"\0\0\x03svc\x07example\0"),
            (
                r#"HTTPS 1 . port=53 alpn="h2,h3" ipv4hint=192.0.2.1"#,
                b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\0\x35\0\x04\0\x04\xc0\0\x02\x01",
            ),
            ("HTTPS 1 svc alpn=h2", b"\0\x01\x03svc\x01z\x07example\0\0\x01\0\x03\x02h2"),
            ("SSHFP 1 1 aabb", b"\x01\x01\xaa\xbb"),
            ("TLSA 3 1 1 aa bb", b"\x03\x01\x01\xaa\xbb"),
            ("TYPE65280 \\# 3 aa bbCC", b"\xaa\xbb\xcc"),
            ("TYPE65280 \\# 0", b""),
            ("A \\# 4 c0000201", &[192, 0, 2, 1]),
            ("TYPE1 192.0.2.1", &[192, 0, 2, 1]),
            ("URI \\# 5 000100026b", b"\0\x01\0\x02k"),
            ("MX \\# 6 000a 01 61 01 62", &[]),
        ] {
            let want = if want.is_empty() && !text.contains("\\# 0") { Err(Reason::Rdata) } else { Ok(want.to_vec()) };
            assert_eq!(rdata(text), want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "A 192.0.2",
            "A 192.0.2.1 x",
            "A ::1",
            "AAAA 192.0.2.1",
            "TXT",
            "TXT \\25",
            "TXT \\256",
            "TXT \\",
            "MX 10",
            "MX 10 a b",
            "MX x a",
            "MX 10 a\\.b",
            "MX 10 a..b",
            "MX 65536 a",
            "PTR \u{e9}.example.",
            "SSHFP 1 1 xx",
            "TLSA 3 1 1",
            "CERT 1 2 3 aa bb",
            "HTTPS",
            "HTTPS 1",
            "HTTPS 1 . alpn",
            "HTTPS 1 . alpn=",
            "HTTPS 1 . alpn=,",
            "HTTPS 1 . alpn=h2,,h3",
            "HTTPS 1 . alpn=@",
            "HTTPS 1 . port=53 port=54",
            "HTTPS 1 . alpn=\"\"",
            "SVCB 1 . ipv4hint=x",
            "LOC 51 0 0 N 0 0 0 E 0m",
            "TYPE65280 x",
            "TYPE65280 \\#",
            "TYPE65280 \\# 2 aa",
            "TYPE65280 \\# 1 aaa",
            "TYPE65280 \\# 1 gg",
            "TYPE65280 \\# -1 aa",
            "A \\# 3 c00002",
            "AAAA \\# 4 c0000201",
            "MX \\# 4 000ac000",
            "PTR \\# 2 c000",
        ] {
            assert_eq!(rdata(text), Err(Reason::Rdata), "{text}");
        }
        assert_eq!(rdata(&format!("TXT {}", "x".repeat(256))), Err(Reason::Rdata), "a string of 256 octets");
        assert_eq!(rdata(&format!("TYPE9 \\# 4097 {}", "0".repeat(2 * 4097))), Err(Reason::DataTooLarge));
    }

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
            ("TYPE", None),
            ("TYPE-1", None),
            ("TYPE+1", None),
            ("NOTATYPE", None),
        ] {
            assert_eq!(DataType::read(kind.as_bytes()).map(|kind| kind.rtype), want, "{kind}");
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
            assert_eq!(target(text.as_bytes()).ok().as_deref(), want, "{text}");
        }
    }
}
