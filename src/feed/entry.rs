//! What a single name, or network, must pass to become an entry: from a feed's text to a key, or the [`Reason`] why not.
//!
//! Never guesses: what is not plainly a name is refused. Costs one pass over the text and a walk of the public suffix list, without an
//! allocation; only a Unicode name allocates, and only a refused one is looked at twice.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use psl::{Psl as _, Type};

use super::Reason;
use super::refang::refang;
use crate::index::Network;
use crate::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX, fold};

/// Octets of the longest key: a name on the wire without its root label.
const KEY_OCTETS_MAX: usize = NAME_OCTETS_MAX - 1;
/// The longest Unicode name that is looked at: the longest name's characters at four octets each. What UTS 46 makes of a longer one is
/// hardly ever shorter, and costs the square of its length.
const UNICODE_OCTETS_MAX: usize = 4 * 253;
/// The shortest IPv4 network of a feed that is not trusted for more: the largest blocks that one holder ever had.
const IPV4_LENGTH_MIN: u8 = 8;
/// The same of IPv6: a provider has a /32 and the largest hold a /19 (RFC 7020 registries), so this is never one holder's.
const IPV6_LENGTH_MIN: u8 = 16;
/// A label that stands in no rule of the public suffix list: what it says of this label below a name, it says of nearly any.
const ANY_LABEL: &[u8] = b"_";
/// A label that is not a name's in any feed, but stands in hosts files (`/etc/hosts` of Linux, macOS and the BSDs).
const BOILERPLATE: [&[u8]; 12] = [
    b"local",
    b"broadcasthost",
    b"localhost4",
    b"localhost6",
    b"ip6-localhost",
    b"ip6-loopback",
    b"ip6-localnet",
    b"ip6-mcastprefix",
    b"ip6-allnodes",
    b"ip6-allrouters",
    b"ip6-allhosts",
    b"loopback",
];
/// Top labels below which nothing is ever sunk (RFC 6761 §6.3, and what distributions call their own host).
const LOCAL_TOPS: [&[u8]; 4] = [b"localhost", b"localdomain", b"localdomain4", b"localdomain6"];

/// What an octet of a name folds to; 0 for one that no listed name holds. Letters, digits, hyphen and underscore, wherever they stand:
/// the DNS itself has no rule against the hyphens and underscores that real names have (RFC 2181 §11).
const FOLDED: [u8; 256] = {
    let mut table = [0; 256];
    let mut octet = 0_u8;
    loop {
        if octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_' {
            #[expect(clippy::indexing_slicing, reason = "an octet is always under 256, and this runs at compile time")]
            {
                table[octet as usize] = fold(octet);
            }
        }
        if octet == 255 {
            break table;
        }
        octet += 1;
    }
};

/// An accepted name's lookup form, as [`NameKey`](crate::name::NameKey) defines it.
pub(super) struct EntryKey {
    /// The key is the first `length` octets.
    octets: [u8; KEY_OCTETS_MAX],
    /// Octets in use.
    length: usize,
}

/// What an accepted name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A name like any other.
    Ordinary,
    /// A public suffix of the list's private section, or what all labels below are such of.
    PrivateSuffix,
}

impl EntryKey {
    /// No name yet.
    pub(super) const fn new() -> Self {
        Self { octets: [0; KEY_OCTETS_MAX], length: 0 }
    }

    /// The key's octets.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// Reads `text`, a name without a final dot, into this key.
    ///
    /// # Errors
    /// Why it is refused. `trust_suffixes` lets a TLD, known or not, and an ICANN public suffix pass.
    pub(super) fn accept(&mut self, text: &[u8], trust_suffixes: bool) -> Result<Standing, Reason> {
        if !text.is_ascii() {
            let ascii = to_a_labels(text)?;
            return self.accept_ascii(ascii.strip_suffix('.').unwrap_or(&ascii).as_bytes(), trust_suffixes);
        }
        self.accept_ascii(text, trust_suffixes)
    }

    /// [`accept`](Self::accept) for ASCII: A-labels are taken as they are, since punycode that IDNA refuses is a legal name all the same.
    fn accept_ascii(&mut self, text: &[u8], trust_suffixes: bool) -> Result<Standing, Reason> {
        self.read(text).map_err(|reason| diagnose(text).unwrap_or(reason))?;
        judge(self.as_bytes(), trust_suffixes)
    }

    /// Fills the key from `text`, from the last label to the first.
    fn read(&mut self, text: &[u8]) -> Result<(), Reason> {
        self.length = 0;
        if text.is_empty() {
            return Err(Reason::Root);
        }
        for label in text.rsplit(|&octet| octet == b'.') {
            let length = u8::try_from(label.len()).ok().filter(|&length| usize::from(length) <= LABEL_OCTETS_MAX);
            let length = length.ok_or(Reason::LabelTooLong)?;
            let end = self.length + 1 + label.len();
            let Some([count, room @ ..]) = self.octets.get_mut(self.length..end) else {
                return Err(Reason::NameTooLong);
            };
            if length == 0 {
                return Err(Reason::EmptyLabel);
            }
            *count = length;
            let mut known = true;
            for (slot, &octet) in room.iter_mut().zip(label) {
                let folded = FOLDED.get(usize::from(octet)).copied().unwrap_or_default();
                known &= folded != 0;
                *slot = folded;
            }
            if !known {
                return Err(Reason::Character);
            }
            self.length = end;
        }
        Ok(())
    }
}

/// A key's labels from the top down, without their lengths.
fn labels(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = key;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first()?;
        let (label, after) = tail.split_at_checked(usize::from(*length))?;
        rest = after;
        Some(label)
    })
}

/// Whether the name of `key` may be an entry, going by what it is rather than how it is written.
///
/// # Errors
/// Why not; see [`EntryKey::accept`].
pub(super) fn judge(key: &[u8], trust_suffixes: bool) -> Result<Standing, Reason> {
    let Some(top) = labels(key).next() else { return Err(Reason::Root) };
    let single = key.len() == top.len() + 1;
    if LOCAL_TOPS.contains(&top) || (single && BOILERPLATE.contains(&top)) {
        return Err(Reason::Boilerplate);
    }
    // No TLD is a number, so a name of nothing but numbers is an address, or what is left of one.
    if top.last().is_some_and(u8::is_ascii_digit) && labels(key).flatten().all(u8::is_ascii_digit) {
        return Err(Reason::Address);
    }
    match suffix_of(key) {
        Some(Type::Icann) if trust_suffixes => Ok(Standing::Ordinary),
        Some(Type::Icann) if single => Err(Reason::Tld),
        Some(Type::Icann) => Err(Reason::PublicSuffix),
        // The list at hand may be older than the domain, or the network have it for itself.
        _ if single && trust_suffixes => Ok(Standing::Ordinary),
        _ if single => Err(Reason::SingleLabel),
        Some(Type::Private) => Ok(Standing::PrivateSuffix),
        None => Ok(Standing::Ordinary),
    }
}

/// Of which section of the list the name of `key` is a whole suffix. The parent of a `*.` rule counts as one: no rule names it, but each label
/// below it is another holder's. What is a suffix by such a rule alone is then one holder's, and none, unless the parent is a TLD: there it
/// is `com.np` and its like.
fn suffix_of(key: &[u8]) -> Option<Type> {
    let typ = suffix_by_rule(key)?;
    let count = labels(key).count();
    let by_wildcard = typ == Type::Icann && count > 2 && {
        let parent = || labels(key).take(count - 1).chain([ANY_LABEL]);
        psl::List.find(parent()).len == parent().map(|label| label.len() + 1).sum::<usize>() - 1
    };
    (!by_wildcard).then_some(typ)
}

/// The same by the list's rules, and for the parents of `*.` rules.
fn suffix_by_rule(key: &[u8]) -> Option<Type> {
    let below = psl::List.find(labels(key).chain([ANY_LABEL]));
    // The list counts the characters of the suffix; the key has one octet more, a length for each label and a dot for all but one.
    if below.len + 1 == key.len() {
        return below.typ;
    }
    if below.len + 1 != key.len() + 1 + ANY_LABEL.len() {
        return None;
    }
    // A name with a rule of its own is what that says, whatever is below. Of a single label without one the list says nothing.
    let own = psl::List.find(labels(key));
    if own.len + 1 == key.len() { own.typ.or(below.typ) } else { below.typ }
}

/// A name that may be led by `.` or `*.` (in one-name-a-line formats both mean the name and below) and end in a dot, without either.
pub(super) fn bare_name(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"*.").or_else(|| text.strip_prefix(b".")).unwrap_or(text);
    text.strip_suffix(b".").unwrap_or(text)
}

/// The network of `prefix_len` bits that begins at `address`; IPv6 that is IPv4-mapped is none. `trust_wide`: it may be however large.
///
/// # Errors
/// [`Reason::Network`], [`Reason::WideNetwork`].
pub(super) fn network(address: IpAddr, prefix_len: u8, trust_wide: bool) -> Result<Network, Reason> {
    let network =
        Network::of(address, prefix_len).filter(|_| address == address.to_canonical()).ok_or(Reason::Network)?;
    if is_wide(network) && !trust_wide { Err(Reason::WideNetwork) } else { Ok(network) }
}

/// Whether a network is more than any one holder's.
pub(super) fn is_wide(network: Network) -> bool {
    match Ipv6Addr::from_bits(network.first()).to_ipv4_mapped() {
        // As IPv4-mapped it is 96 bits longer; one that is shorter holds all of IPv4.
        Some(_) => network.prefix_len() < 96 + IPV4_LENGTH_MIN,
        None => network.prefix_len() < IPV6_LENGTH_MIN,
    }
}

/// A Unicode name's A-labels (UTS 46, non-transitional; hyphens and underscores may stand anywhere).
fn to_a_labels(text: &[u8]) -> Result<Cow<'_, str>, Reason> {
    if std::str::from_utf8(text).is_err() {
        return Err(Reason::NotUtf8);
    }
    if text.len() > UNICODE_OCTETS_MAX {
        return Err(Reason::NameTooLong);
    }
    let idna = Uts46::new().to_ascii(text, AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore);
    idna.map_err(|_| Reason::Idna)
}

/// What ASCII text that is no name is instead, if it can be told.
#[cold]
fn diagnose(text: &[u8]) -> Option<Reason> {
    let text = std::str::from_utf8(text).ok()?;
    if refang(text).is_some() {
        return Some(Reason::Defanged);
    }
    if text.contains("://") {
        return Some(Reason::Url);
    }
    if is_address(text) {
        return Some(Reason::Address);
    }
    if text.contains('*') {
        return Some(Reason::Wildcard);
    }
    if let Some((host, tail)) = text.split_once('/') {
        let bits = !tail.is_empty() && tail.bytes().all(|octet| octet.is_ascii_digit());
        let cidr = bits && is_address(host);
        return name_like(host).then_some(if cidr { Reason::Cidr } else { Reason::Path });
    }
    if let Some((host, port)) = text.split_once(':') {
        return (name_like(host) && port.bytes().all(|octet| octet.is_ascii_digit())).then_some(Reason::Port);
    }
    (!text.is_empty() && !name_like(text)).then_some(Reason::Character)
}

/// Whether it has only octets that a name, or an address, may hold.
fn name_like(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|octet| {
            matches!(octet, b'.' | b':') || octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
        })
}

/// Whether it is an address: bare, in brackets, or with a port.
fn is_address(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(host, _)| host);
    bare.parse::<IpAddr>().is_ok()
        || bare.parse::<std::net::SocketAddr>().is_ok()
        || bare.split_once('%').is_some_and(|(host, _)| host.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn judge(text: &[u8], trust: bool) -> Result<(String, Standing), Reason> {
        let mut key = EntryKey::new();
        let standing = key.accept(text, trust)?;
        let mut labels: Vec<_> =
            labels(key.as_bytes()).map(|label| String::from_utf8(label.to_vec()).unwrap()).collect();
        labels.reverse();
        let name = labels.join(".");
        assert_eq!(key.as_bytes(), Name::from_text(name.as_bytes()).unwrap().key().unwrap().as_bytes(), "{name}");
        Ok((name, standing))
    }

    #[test]
    fn names_that_are_kept_and_what_they_become() {
        for (text, want) in [
            ("Example.COM", "example.com"),
            ("sO.2mdn.net", "so.2mdn.net"),
            ("119_51377620.ampnetwork.net", "119_51377620.ampnetwork.net"),
            ("r1---sn-i3b7kn7s.googlevideo.com", "r1---sn-i3b7kn7s.googlevideo.com"),
            ("aftr-88-152-.tumblr.com", "aftr-88-152-.tumblr.com"),
            ("-a.example.com", "-a.example.com"),
            ("xn--4x6-jgq.adj.st", "xn--4x6-jgq.adj.st"),
            ("xn--a.example.com", "xn--a.example.com"),
            ("disçordapp.com", "xn--disordapp-s3a.com"),
            ("город-сад.agency", "xn----8sbhec0dapm.agency"),
            ("BÜCHER.example.com", "xn--bcher-kva.example.com"),
            ("a。b.example.com", "a.b.example.com"),
            ("x.bazar", "x.bazar"),
            ("1.2.3.4.example.com", "1.2.3.4.example.com"),
            ("4.example.123", "4.example.123"),
        ] {
            assert_eq!(judge(text.as_bytes(), false), Ok((want.to_owned(), Standing::Ordinary)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_its_reason() {
        let label64 = format!("{}.example.com", "a".repeat(64));
        let label300 = format!("{}.example.com", "a".repeat(300));
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
        let unicode = "ö".repeat(500_000);
        let escape = r"194.58.122.146\032stratum.aikapool.com";
        for (text, want) in [
            (&b""[..], Reason::Root),
            (b"109.201.135.46", Reason::Address),
            (b"1.2.3.400", Reason::Address),
            (b"192.168", Reason::Address),
            (b"2001:148f:fffe::1", Reason::Address),
            (b"fe80::1%lo0", Reason::Address),
            (b"[::1]:80", Reason::Address),
            (b"47.106.91.17:9999", Reason::Address),
            (b"103.114.104.194/31", Reason::Cidr),
            (b"2001:db8::/32", Reason::Cidr),
            (b"http://example.com/", Reason::Url),
            (b"javmovie.com/", Reason::Path),
            (b"rentry.co/x.html", Reason::Path),
            (b"1.2.3.4/x.html", Reason::Path),
            (b"example.com:8080", Reason::Port),
            (b"array*-prod.do.dsp.mp.microsoft.com", Reason::Wildcard),
            (b"*", Reason::Wildcard),
            (b"url s.ixiaa.com", Reason::Character),
            (b"a\0b.example.com", Reason::Character),
            (b"a\rb.example.com", Reason::Character),
            (b"a,b.example.com", Reason::Character),
            (b"address=/x.com", Reason::Character),
            (escape.as_bytes(), Reason::Character),
            (b"example.com\xca", Reason::NotUtf8),
            ("\u{202e}example.com".as_bytes(), Reason::Idna),
            ("a\u{a0}b.example.com".as_bytes(), Reason::Character),
            (unicode.as_bytes(), Reason::NameTooLong),
            (b"zec-asia1..nanopool.org", Reason::EmptyLabel),
            (b".example.com", Reason::EmptyLabel),
            (b"example.com.", Reason::EmptyLabel),
            (label64.as_bytes(), Reason::LabelTooLong),
            (label300.as_bytes(), Reason::LabelTooLong),
            (long.as_bytes(), Reason::NameTooLong),
            (b"inf", Reason::SingleLabel),
            (b"country", Reason::Tld),
            (b"CN", Reason::Tld),
            ("рф".as_bytes(), Reason::Tld),
            (b"xn--p1ai", Reason::Tld),
            (b"co.uk", Reason::PublicSuffix),
            (b"ce.gov.br", Reason::PublicSuffix),
            (b"net.bw", Reason::PublicSuffix),
            (b"localhost", Reason::Boilerplate),
            (b"localhost.localdomain", Reason::Boilerplate),
            (b"a.localhost", Reason::Boilerplate),
            (b"local", Reason::Boilerplate),
            (b"broadcasthost", Reason::Boilerplate),
            (b"IP6-allnodes", Reason::Boilerplate),
        ] {
            assert_eq!(judge(text, false), Err(want), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn suffixes_by_section_and_by_trust() {
        use Standing::{Ordinary, PrivateSuffix};
        for (text, untrusted, trusted) in [
            ("cn", Err(Reason::Tld), Ok(Ordinary)),
            ("gob.mx", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("foo.ck", Err(Reason::PublicSuffix), Ok(Ordinary)), // `*.ck`
            ("www.ck", Ok(Ordinary), Ok(Ordinary)),              // `!www.ck`
            ("cloudfront.net", Ok(PrivateSuffix), Ok(PrivateSuffix)),
            ("csb.app", Ok(PrivateSuffix), Ok(PrivateSuffix)),
            ("x.cloudfront.net", Ok(Ordinary), Ok(Ordinary)),
            // No rule of the list is `kobe.jp`; each label below it is a suffix by `*.kobe.jp`.
            ("kobe.jp", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("kawasaki.jp", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("kitakyushu.jp", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("nagoya.jp", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("sapporo.jp", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("sendai.jp", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("yokohama.jp", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("nom.br", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("sch.uk", Err(Reason::PublicSuffix), Ok(Ordinary)),
            ("x.kobe.jp", Ok(Ordinary), Ok(Ordinary)), // by `*.kobe.jp` alone
            ("x.sch.uk", Ok(Ordinary), Ok(Ordinary)),
            ("y.x.kobe.jp", Ok(Ordinary), Ok(Ordinary)),
            ("city.kobe.jp", Ok(Ordinary), Ok(Ordinary)), // `!city.kobe.jp`
            ("y.city.kobe.jp", Ok(Ordinary), Ok(Ordinary)),
            ("ck", Err(Reason::Tld), Ok(Ordinary)),
            ("y.www.ck", Ok(Ordinary), Ok(Ordinary)),
            // `*.compute.amazonaws.com` stands in the private section: one holder's domain, whole.
            ("compute.amazonaws.com", Ok(PrivateSuffix), Ok(PrivateSuffix)),
            ("x.compute.amazonaws.com", Ok(PrivateSuffix), Ok(PrivateSuffix)),
            ("y.x.compute.amazonaws.com", Ok(Ordinary), Ok(Ordinary)),
            ("amazonaws.com", Ok(Ordinary), Ok(Ordinary)),
            ("inf", Err(Reason::SingleLabel), Ok(Ordinary)),
            ("corp", Err(Reason::SingleLabel), Ok(Ordinary)),
            ("localhost", Err(Reason::Boilerplate), Err(Reason::Boilerplate)),
        ] {
            for (trust, want) in [(false, untrusted), (true, trusted)] {
                assert_eq!(judge(text.as_bytes(), trust).map(|(_, standing)| standing), want, "{text} {trust}");
            }
        }
    }

    #[test]
    fn the_longest_name_fits() {
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert!(judge(longest.as_bytes(), false).is_ok());
        assert!(judge(vec!["a"; 127].join(".").as_bytes(), false).is_ok());
    }
}
