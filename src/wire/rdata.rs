//! RDATA in presentation form (RFC 1035 §5.1, RFC 3597 §5) to octets on the wire: names in it absolute, nothing compressed.
//!
//! A table says what each type's RDATA is made of; its text is read part by part, and octets are held against it, however they came. Base64
//! and service parameters go through hickory-proto's parser, one record at a time, and what it makes of them is emitted, read back and
//! compared. Nothing with a backslash goes there, which it reads as no RFC has it (`\DDD`), and no parameter with an empty value, which it
//! takes. Nothing here says what was in a text that cannot be read.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::HTTPS;
use hickory_proto::rr::rdata::svcb::SvcParamValue;
use hickory_proto::rr::{Name as HickoryName, RData, RecordType};
use hickory_proto::serialize::binary::{
    BinDecodable as _, BinDecoder, BinEncodable as _, BinEncoder, NameEncoding, Restrict,
};

use super::shape::{Part, is_made_of};
use super::zone_file::ttl_secs;
use crate::name::Name;

/// How the RDATA of a type is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Part by part.
    Parts,
    /// As hickory-proto reads it: so many tokens, if that is fixed.
    Tokens(Option<usize>),
    /// A priority, a name and parameters (RFC 9460 §2.1).
    Service,
    /// Only as RFC 3597 writes unknown types.
    Generic,
}

/// A record type, as a zone file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataType {
    /// Its number.
    rtype: u16,
    /// How its RDATA is written.
    form: Form,
    /// What it is made of.
    parts: &'static [Part],
}

/// What is told apart: mnemonic, number, form, parts. Any other type may be written as `TYPE` and its number.
const TYPES: [(&str, u16, Form, &[Part]); 28] = {
    use Form::{Generic, Parts, Service, Tokens};
    use Part::{Hex, Ipv4, Ipv6, Name, Octets, Params, Rest, Secs, String, Strings, Tag, Text, U8, U16, U32};
    [
        ("A", 1, Parts, &[Ipv4]),
        ("NS", 2, Parts, &[Name]),
        ("CNAME", 5, Parts, &[Name]),
        ("SOA", 6, Parts, &[Name, Name, U32, Secs, Secs, Secs, Secs]),
        ("PTR", 12, Parts, &[Name]),
        ("HINFO", 13, Parts, &[String, String]),
        ("MX", 15, Parts, &[U16, Name]),
        ("TXT", 16, Parts, &[Strings]),
        ("RP", 17, Parts, &[Name, Name]),
        ("AFSDB", 18, Parts, &[U16, Name]),
        ("RT", 21, Parts, &[U16, Name]),
        ("AAAA", 28, Parts, &[Ipv6]),
        ("LOC", 29, Generic, &[Octets(16)]),
        ("SRV", 33, Parts, &[U16, U16, U16, Name]),
        ("NAPTR", 35, Parts, &[U16, U16, String, String, String, Name]),
        ("KX", 36, Parts, &[U16, Name]),
        ("CERT", 37, Tokens(Some(4)), &[U16, U16, U8, Rest(1)]),
        ("DS", 43, Parts, &[U16, U8, U8, Hex]),
        ("SSHFP", 44, Parts, &[U8, U8, Hex]),
        ("TLSA", 52, Parts, &[U8, U8, U8, Hex]),
        ("SMIMEA", 53, Parts, &[U8, U8, U8, Hex]),
        ("OPENPGPKEY", 61, Tokens(Some(1)), &[Rest(1)]),
        ("CSYNC", 62, Tokens(None), &[U32, U16, Rest(0)]),
        ("SVCB", 64, Service, &[U16, Name, Params]),
        ("HTTPS", 65, Service, &[U16, Name, Params]),
        ("SPF", 99, Parts, &[Strings]),
        ("URI", 256, Parts, &[U16, U16, Text(1)]),
        ("CAA", 257, Parts, &[U8, Tag, Text(0)]),
    ]
};

impl DataType {
    /// The type that `kind` stands for: a mnemonic, or `TYPE` and a number.
    #[must_use]
    pub fn read(kind: &[u8]) -> Option<Self> {
        let of = |(_, rtype, form, parts): (_, u16, Form, &'static [Part])| Self { rtype, form, parts };
        if let Some(known) = TYPES.into_iter().find(|(name, ..)| name.as_bytes().eq_ignore_ascii_case(kind)) {
            return Some(of(known));
        }
        // RFC 3597 §5: "the word TYPE immediately followed by the decimal RR type number".
        let (word, number) = kind.split_at_checked(4)?;
        let rtype = Some(number).filter(|_| word.eq_ignore_ascii_case(b"TYPE")).and_then(digits)?;
        let known = TYPES.into_iter().find(|(_, number, ..)| *number == rtype);
        Some(known.map_or(Self { rtype, form: Form::Generic, parts: &[Part::Rest(0)] }, of))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.rtype
    }

    /// The RDATA that `tokens` stand for, escapes as they stand; `None` if it cannot be read, or would be what its type cannot have.
    /// `absolute` reads a name and completes it with the origin, if that is known.
    pub fn rdata(self, tokens: &[&[u8]], absolute: &dyn Fn(&[u8]) -> Option<Name>) -> Option<Vec<u8>> {
        let rdata = match (tokens, self.form) {
            ([b"\\#", length, words @ ..], _) => generic(length, words)?,
            (_, Form::Parts) => written(self.parts, tokens, absolute)?,
            (_, Form::Tokens(count)) if count.is_none_or(|count| count == tokens.len()) => {
                self.library(tokens, None)?
            }
            ([priority, target, params @ ..], Form::Service) if params.iter().all(|param| is_plain_param(param)) => {
                // Where the target is to stand, the root stands: names are read here.
                let tokens: Vec<&[u8]> = [priority, &b"."[..]].into_iter().chain(params.iter().copied()).collect();
                self.library(&tokens, Some(absolute(target)?))?
            }
            _ => return None,
        };
        // RFC 1035 §3.2.1: RDLENGTH is of 16 bits.
        (u16::try_from(rdata.len()).is_ok() && is_made_of(&rdata, self.parts)).then_some(rdata)
    }

    /// hickory-proto's reading of tokens, with `target` for the name in them.
    fn library(self, tokens: &[&[u8]], target: Option<Name>) -> Option<Vec<u8>> {
        let mut text = String::new();
        for token in tokens {
            if !token.iter().all(|octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'\\' | b'"')) {
                return None;
            }
            text.push_str(" \"");
            text.push_str(std::str::from_utf8(token).ok()?);
            text.push('"');
        }
        let mut rdata = RData::try_from_str(RecordType::from(self.rtype), &text).ok()?;
        if let (RData::SVCB(service) | RData::HTTPS(HTTPS(service)), Some(target)) = (&mut rdata, target) {
            service.target_name = HickoryName::from_bytes(target.wire()).ok()?;
            // RFC 9460 §2.1: "SvcParams in presentation format MAY appear in any order", and so may the keys of `mandatory` (§8).
            service.svc_params.sort_by_key(|(key, _)| u16::from(*key));
            for (_, value) in &mut service.svc_params {
                if let SvcParamValue::Mandatory(keys) = value {
                    keys.0.sort_by_key(|key| u16::from(*key));
                }
            }
        }
        let octets = emit(&rdata)?;
        (emit(&self.decode(&octets)?)? == octets).then_some(octets)
    }

    /// The octets as hickory-proto reads them.
    fn decode(self, octets: &[u8]) -> Option<RData> {
        let length = u16::try_from(octets.len()).ok()?;
        RData::read(&mut BinDecoder::new(octets), RecordType::from(self.rtype), Restrict::new(length)).ok()
    }
}

/// RFC 3597 §5: `\#`, the length, hexadecimal digits.
fn generic(length: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    hex(words).filter(|octets| digits(length) == Some(octets.len()))
}

/// Octets written as hexadecimal digits, in one word or more.
fn hex(words: &[&[u8]]) -> Option<Vec<u8>> {
    let written = words.concat();
    let (pairs, odd) = written.as_chunks::<2>();
    let nibble = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let octets = pairs.iter().map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?));
    octets.collect::<Option<Vec<u8>>>().filter(|_| odd.is_empty())
}

/// What `tokens` come to, part by part.
fn written(parts: &[Part], tokens: &[&[u8]], absolute: &dyn Fn(&[u8]) -> Option<Name>) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut tokens = tokens;
    for part in parts {
        let (&token, rest) = tokens.split_first()?;
        tokens = rest;
        match part {
            Part::U8 => octets.push(digits(token)?),
            Part::U16 => octets.extend_from_slice(&digits::<u16>(token)?.to_be_bytes()),
            Part::U32 => octets.extend_from_slice(&digits::<u32>(token)?.to_be_bytes()),
            Part::Secs => octets.extend_from_slice(&ttl_secs(token)?.to_be_bytes()),
            Part::Ipv4 => octets.extend_from_slice(&parse::<Ipv4Addr>(token)?.octets()),
            Part::Ipv6 => octets.extend_from_slice(&parse::<Ipv6Addr>(token)?.octets()),
            Part::Name => octets.extend_from_slice(absolute(token)?.wire()),
            Part::String | Part::Tag => string(token, &mut octets)?,
            Part::Strings => {
                string(token, &mut octets)?;
                for token in std::mem::take(&mut tokens) {
                    string(token, &mut octets)?;
                }
            }
            Part::Text(_) => unescaped(token, &mut octets)?,
            Part::Hex => {
                let words: Vec<&[u8]> =
                    std::iter::once(token).chain(std::mem::take(&mut tokens).iter().copied()).collect();
                octets.extend(hex(&words)?);
            }
            Part::Octets(_) | Part::Rest(_) | Part::Params => return None,
        }
    }
    tokens.is_empty().then_some(octets)
}

/// On the wire, names not compressed.
fn emit(rdata: &RData) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    rdata.emit(&mut encoder).ok()?;
    Some(octets)
}

/// Text as a number: digits alone.
fn digits<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    parse(text).filter(|_| text.iter().all(u8::is_ascii_digit))
}

/// Text as a number or an address.
fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Appends a character-string (RFC 1035 §3.3), its length in front.
fn string(token: &[u8], octets: &mut Vec<u8>) -> Option<()> {
    let start = octets.len();
    octets.push(0);
    unescaped(token, octets)?;
    let length = u8::try_from(octets.len() - start - 1).ok()?;
    *octets.get_mut(start)? = length;
    Some(())
}

/// Appends a token's octets.
fn unescaped(token: &[u8], octets: &mut Vec<u8>) -> Option<()> {
    let mut rest = token;
    while let [octet, tail @ ..] = rest {
        let (octet, tail) = if *octet == b'\\' { unescape(tail)? } else { (*octet, tail) };
        octets.push(octet);
        rest = tail;
    }
    Some(())
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

/// Whether a service parameter is of a key and of values in which hickory-proto finds what it expects: none is empty, or has a quote.
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
    fn rdata(text: &str) -> Option<Vec<u8>> {
        let mut file = ZoneFile::default();
        file.line(text.as_bytes())?;
        let tokens: Vec<&[u8]> = file.tokens().collect();
        let absolute = |token: &[u8]| match token {
            [.., b'.'] => Name::from_text(token).ok(),
            b"@" => Name::from_text(b"z.example").ok(),
            relative => Name::from_text(&[relative, b".z.example"].concat()).ok(),
        };
        DataType::read(tokens[0])?.rdata(&tokens[1..], &absolute)
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
            (r"MX 10 a\.b", b"\0\x0a\x03a.b\x01z\x07example\0"),
            ("NS ns", b"\x02ns\x01z\x07example\0"),
            ("RP a. .", b"\x01a\0\0"),
            ("AFSDB 1 a.", b"\0\x01\x01a\0"),
            ("URI 1 2 \"sip:a\"", b"\0\x01\0\x02sip:a"),
            ("DS 1 8 2 aabb", b"\0\x01\x08\x02\xaa\xbb"),
            ("CERT 1 2 3 qrs=", b"\0\x01\0\x02\x03\xaa\xbb"),
            ("CSYNC 1 3 A NS", b"\0\0\0\x01\0\x03\0\x01\x60"),
            ("HTTPS 1 . alpn=h2 no-default-alpn", b"\0\x01\0\0\x01\0\x03\x02h2\0\x02\0\0"),
            ("SVCB 1 . key667=x", b"\0\x01\0\x02\x9b\0\x01x"),
            (
                "HTTPS 1 . port=53 alpn=h2 mandatory=port,alpn",
                b"\0\x01\0\0\0\0\x04\0\x01\0\x03\0\x01\0\x03\x02h2\0\x03\0\x02\0\x35",
            ),
            ("TYPE300 \\# 0", b""),
        ] {
            assert_eq!(rdata(text).as_deref(), Some(want), "{text}");
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
            "MX \\# 6 000a 01 61 01 62",
            "MX +1 a",
            "NS",
            "SOA a. b. 1 2 3 4",
            "SOA a. b. 1 2 3 4 5 6",
            "HINFO a",
            "HINFO a b c",
            "RP a.",
            "URI 1 2 \"\"",
            "CAA 0 \"\" x",
            "CAA 0 is-sue x",
            "CAA 256 issue x",
            "CAA 0 issue",
            "NAPTR 1 2 U x y",
            "DS 1 8 2",
            "OPENPGPKEY \"\"",
            "HTTPS 1 . mandatory=",
            "HTTPS 1 . mandatory=port",
            "HTTPS 1 . mandatory=port,port port=1",
            "HTTPS 1 . mandatory=mandatory",
            "HTTPS 1 . port",
            "HTTPS 1 . port=",
            "HTTPS 1 . ipv4hint=",
            "HTTPS 1 . ipv6hint=",
            "HTTPS 1 . ipv4hint",
            "HTTPS 1 . no-default-alpn",
            "HTTPS 1 . ech=",
            "HTTPS 1 . key65535=x",
            "HTTPS \\# 7 0001 00 0001 0000",
            "TXT \\# 0",
            "TXT \\# 2 0561",
            "CAA \\# 2 0000",
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
            assert_eq!(rdata(text), None, "{text}");
        }
        let (fits, long) = ("x".repeat(255), "x".repeat(256));
        for (before, behind) in [
            ("TXT ", ""),
            ("TXT a ", ""),
            ("HINFO a ", ""),
            ("NAPTR 1 2 U ", " a ."),
            ("NAPTR 1 2 U a ", " ."),
            ("CAA 0 ", " a"),
            ("HTTPS 1 . alpn=", ""),
        ] {
            assert!(rdata(&format!("{before}{fits}{behind}")).is_some(), "{before} with 255 octets");
            assert_eq!(rdata(&format!("{before}{long}{behind}")), None, "{before} with 256 octets");
        }
    }

    #[test]
    fn a_type_by_its_name_or_its_number() {
        for (kind, want) in [
            ("txt", Some(16)),
            ("TYPE16", Some(16)),
            ("type99", Some(99)),
            ("Soa", Some(6)),
            ("TYPE0", Some(0)),
            ("TYPE65535", Some(65_535)),
            ("TYPE65536", None),
            ("TYPE", None),
            ("TYPE-1", None),
            ("TYPE+1", None),
            ("NOTATYPE", None),
            ("", None),
        ] {
            assert_eq!(DataType::read(kind.as_bytes()).map(DataType::number), want, "{kind}");
        }
    }
}
