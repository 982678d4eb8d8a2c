//! [`Unpack`]: a feed's octets as they are, or out of gzip (RFC 1952) or zstd (RFC 8878), told by how the file begins.
//!
//! A stream: what is at hand is a block and the decoder's window. Several members or frames, one after another, are one text. What is cut
//! short or damaged is an error, never a shorter text; so is more than [`FILE_OCTETS_MAX`] octets of text, or a text that is more than
//! [`RATIO_MAX`] times as long as what it was packed into.
//!
//! Both decoders are Rust: flate2 on miniz_oxide, which has no unsafe code, and ruzstd; nothing in C is built.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::load::FILE_OCTETS_MAX;

/// How many octets of text one packed octet may come to. Of eleven published lists the most regular, BIND's zones, comes to ten; gzip
/// itself cannot do more than 1,032, zstd can.
pub const RATIO_MAX: u64 = 1000;
/// So much text may come of however little: a short file of one repeated line is nobody's attack.
const RATIO_FREE_OCTETS: u64 = 1 << 20;
/// The largest window of a zstd frame, octets: it is memory. As much as `zstd -d` takes unless told otherwise.
pub const ZSTD_WINDOW_OCTETS_MAX: u64 = 128 << 20;
/// How much is read at once.
const BLOCK_OCTETS: usize = 64 * 1024;
/// How many octets tell what a file is packed in.
pub(super) const MAGIC_OCTETS: usize = 4;

/// What a file is packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    /// What a file that begins so is packed in, if it is.
    pub(super) const fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or one to be skipped, as parallel compressors put in front (RFC 8878 §3.1.1 and §3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its name.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Why a file was not unpacked to its end; it travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    /// Cut short, or not what it says it is.
    #[error("damaged")]
    Damaged(Damage),
    /// Over [`RATIO_MAX`].
    #[error("over {RATIO_MAX} octets of text for each packed one")]
    Ratio,
    /// Over [`FILE_OCTETS_MAX`].
    #[error("over {FILE_OCTETS_MAX} octets of text")]
    TooLarge,
}

/// What is wrong with what was packed. Never what the decoder said, which may quote the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It ends too early, or too little follows it to be another part of it.
    #[error("it ends before its end, or something else follows it")]
    CutShort,
    /// A sum in it does not fit its text.
    #[error("its checksum is another")]
    Checksum,
    /// A zstd frame that needs more memory than is given.
    #[error("it needs a window of over {ZSTD_WINDOW_OCTETS_MAX} octets")]
    Window,
    /// A zstd frame that was made with a dictionary, which no feed comes with.
    #[error("it needs a dictionary")]
    Dictionary,
    /// Anything else.
    #[error("it does not decode")]
    Malformed,
}

impl Damage {
    /// What a decoder's error comes to.
    fn of(error: &io::Error) -> Self {
        let frame = error.get_ref().and_then(|error| error.downcast_ref::<FrameDecoderError>());
        match (error.kind(), frame) {
            (_, Some(FrameDecoderError::WindowSizeTooBig { .. })) => Self::Window,
            (_, Some(FrameDecoderError::DictNotProvided { .. })) => Self::Dictionary,
            (_, None) if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>) => {
                Self::Checksum
            }
            (io::ErrorKind::UnexpectedEof, _) => Self::CutShort,
            _ => Self::Malformed,
        }
    }
}

impl From<UnpackError> for io::Error {
    fn from(error: UnpackError) -> Self {
        Self::other(error)
    }
}

/// A source that knows how much was read from it.
pub(super) trait Metered: Read {
    /// Octets read so far.
    fn octets_read(&self) -> u64;
}

/// A feed's text, unpacked if it was packed.
pub(super) enum Unpack<R> {
    /// As it is; the source itself has a limit.
    Plain(R),
    /// Out of gzip.
    Gzip(Box<Limited<Members<R>>>),
    /// Out of zstd.
    Zstd(Box<Limited<Frames<R>>>),
}

impl<R: Metered> Unpack<R> {
    /// Unpacks `source`.
    pub(super) fn new(packing: Option<Packing>, source: R) -> Self {
        let buffered = |source| BufReader::with_capacity(BLOCK_OCTETS, source);
        match packing {
            None => Self::Plain(source),
            Some(Packing::Gzip) => Self::Gzip(Box::new(Limited::new(Members::new(buffered(source))))),
            Some(Packing::Zstd) => Self::Zstd(Box::new(Limited::new(Frames::new(buffered(source))))),
        }
    }
}

impl<R: Metered> Read for Unpack<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Gzip(text) => {
                text.read(buffer, |members| members.source().map_or(0, |source| source.get_ref().octets_read()))
            }
            Self::Zstd(text) => text.read(buffer, |frames| frames.source.get_ref().octets_read()),
        }
    }
}

/// A decoder whose text has a limit.
pub(super) struct Limited<D> {
    /// The decoder.
    decoder: D,
    /// Octets of text so far.
    done: u64,
}

impl<D: Read> Limited<D> {
    /// Nothing read yet.
    const fn new(decoder: D) -> Self {
        Self { decoder, done: 0 }
    }

    /// Reads on; `packed` says how much the decoder has read.
    fn read(&mut self, buffer: &mut [u8], packed: impl Fn(&D) -> u64) -> io::Result<usize> {
        let count = self.decoder.read(buffer).map_err(|error| match error.raw_os_error() {
            // The disk's fault, not the file's.
            Some(_) => error,
            None => UnpackError::Damaged(Damage::of(&error)).into(),
        })?;
        self.done += count as u64;
        if self.done > FILE_OCTETS_MAX {
            return Err(UnpackError::TooLarge.into());
        }
        if self.done > RATIO_FREE_OCTETS.max(packed(&self.decoder).saturating_mul(RATIO_MAX)) {
            return Err(UnpackError::Ratio.into());
        }
        Ok(count)
    }
}

/// The text of gzip members, one after another. Zeroes behind the last one are padding, as of a tape's blocks, and pass as they do with gzip(1);
/// anything else there does not.
pub(super) struct Members<R> {
    /// What is read at hand; `None` while it changes.
    at: Option<Place<R>>,
}

/// Where in a file of gzip members.
enum Place<R> {
    /// Between members.
    Between(BufReader<R>),
    /// In one.
    Within(Box<GzDecoder<BufReader<R>>>),
}

impl<R: Read> Members<R> {
    /// Before the first member.
    const fn new(source: BufReader<R>) -> Self {
        Self { at: Some(Place::Between(source)) }
    }

    /// What the members are read from.
    fn source(&self) -> Option<&BufReader<R>> {
        self.at.as_ref().map(|at| match at {
            Place::Between(source) => source,
            Place::Within(decoder) => decoder.get_ref(),
        })
    }

    /// Whether another member follows; padding is passed over.
    fn follows(source: &mut BufReader<R>) -> io::Result<bool> {
        let mut padded = false;
        loop {
            let octets = source.fill_buf()?;
            if octets.is_empty() {
                return Ok(false);
            }
            let zeroes = octets.iter().take_while(|&&octet| octet == 0).count();
            if zeroes == 0 {
                return if padded { Err(io::ErrorKind::InvalidData.into()) } else { Ok(true) };
            }
            padded = true;
            source.consume(zeroes);
        }
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.at.as_mut() {
                Some(Place::Within(decoder)) => match decoder.read(buffer)? {
                    0 => {}
                    count => return Ok(count),
                },
                Some(Place::Between(source)) => {
                    if !Self::follows(source)? {
                        return Ok(0);
                    }
                }
                None => return Ok(0),
            }
            self.at = self.at.take().map(|at| match at {
                Place::Within(decoder) => Place::Between(decoder.into_inner()),
                Place::Between(source) => Place::Within(Box::new(GzDecoder::new(source))),
            });
        }
    }
}

/// The text of zstd frames, one after another; ruzstd itself reads one.
pub(super) struct Frames<R> {
    /// The frames.
    source: BufReader<R>,
    /// Decodes the one at hand.
    decoder: FrameDecoder,
    /// Whether there is one at hand.
    within: bool,
}

impl<R: Read> Frames<R> {
    /// Before the first frame.
    fn new(source: BufReader<R>) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_OCTETS_MAX);
        Self { source, decoder, within: false }
    }

    /// Goes to the next frame with text; `false`: there is none.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let skipped = io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    /// Ends the frame at hand.
    fn end(&mut self) -> io::Result<()> {
        self.within = false;
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(stated), Some(found)) if stated != found => Err(io::Error::other(Damage::Checksum)),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within {
                self.within = self.begin()?;
                if !self.within {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(io::Error::other)?;
            }
            match self.decoder.read(buffer)? {
                0 => self.end()?,
                count => return Ok(count),
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    impl Metered for io::Cursor<Vec<u8>> {
        fn octets_read(&self) -> u64 {
            self.position()
        }
    }

    /// One gzip member.
    pub(in crate::feed) fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// One zstd frame.
    pub(in crate::feed) fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    /// What `zstd --check` made of three lines: a frame with a checksum.
    const CHECKED: [u8; 37] =
        *b"\x28\xb5\x2f\xfd\x24\x2a\xc5\x00\x00\x80\x61\x2e\x65\x78\x61\x6d\x70\x6c\x65\x2e\x63\x6f\x6d\x0a\
        \x62\x63\x02\x00\xe0\x10\xe2\x98\x75\x81\x77\x22\xe2";
    /// Those lines.
    const LINES: &[u8] = b"a.example.com\nb.example.com\nc.example.com\n";

    /// The whole text, or what ended it.
    fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        let packing = Packing::of(packed);
        match Unpack::new(packing, io::Cursor::new(packed.to_vec())).read_to_end(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn members_and_frames_are_one_text() {
        let skipped = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc";
        let two = [LINES, LINES].concat();
        for (packed, want) in [
            (LINES.to_vec(), LINES),
            (Vec::new(), b""),
            (gzip(LINES), LINES),
            (gzip(b""), b""),
            ([gzip(LINES), gzip(b""), gzip(LINES)].concat(), &two),
            ([gzip(LINES), vec![0; 100_000]].concat(), LINES),
            ([gzip(LINES), gzip(LINES), vec![0]].concat(), &two),
            (zstd(LINES), LINES),
            (CHECKED.to_vec(), LINES),
            ([&CHECKED[..], skipped, &zstd(LINES)].concat(), &two),
            ([&skipped[..], &CHECKED].concat(), LINES),
        ] {
            assert_eq!(unpack(&packed).as_deref(), Ok(want), "{packed:x?}");
        }
    }

    #[test]
    fn more_than_a_block_comes_out_whole() {
        let text: Vec<u8> =
            (0..200_000_u32).flat_map(|i| format!("n{}.example.com\n", i * 7919).into_bytes()).collect();
        for packed in [gzip(&text), zstd(&text)] {
            assert!(unpack(&packed).as_ref() == Ok(&text));
        }
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_an_error() {
        for packed in [gzip(LINES), CHECKED.to_vec()] {
            for length in MAGIC_OCTETS..packed.len() {
                assert_eq!(unpack(&packed[..length]), Err("damaged".to_owned()), "{length} octets");
            }
            let padded = [&[0; 9][..], &packed].concat();
            for after in [&b"x"[..], b"\0\0x", &padded, &packed[..3]] {
                assert_eq!(unpack(&[&packed, after].concat()), Err("damaged".to_owned()), "{after:x?}");
            }
            for place in 0..packed.len() {
                for bit in 0..8 {
                    let mut other = packed.clone();
                    other[place] ^= 1 << bit;
                    // The magic gone, it is packed in nothing; some bits of gzip's header mean nothing here (RFC 1952 §2.3).
                    let same = Packing::of(&other).is_none() || unpack(&other).as_deref() == Ok(LINES);
                    assert!(same || unpack(&other).is_err(), "octet {place}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_an_octet_of_the_file() {
        let dictionary = [&b"\x28\xb5\x2f\xfd\x27canary.example.com"[..], &[0; 9]].concat();
        let magic = [&CHECKED[..], b"canary"].concat();
        let sum = {
            let mut octets = CHECKED.to_vec();
            *octets.last_mut().unwrap() ^= 1;
            octets
        };
        for (packed, want) in [
            (dictionary, Damage::Dictionary),
            (magic, Damage::Malformed),
            (sum, Damage::Checksum),
            ([0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0].to_vec(), Damage::Window),
            (gzip(LINES)[..20].to_vec(), Damage::CutShort),
            ([gzip(LINES), b"canary.example.com".to_vec()].concat(), Damage::Malformed),
        ] {
            let mut text = Vec::new();
            let unpack = &mut Unpack::new(Packing::of(&packed), io::Cursor::new(packed.clone()));
            let error = unpack.read_to_end(&mut text).unwrap_err();
            let Ok(UnpackError::Damaged(found)) = error.downcast() else { panic!("{packed:x?}") };
            assert_eq!(found, want, "{packed:x?}");
        }
    }

    #[test]
    fn a_text_out_of_proportion_is_refused_and_a_short_one_is_not() {
        let zeroes = vec![b'a'; 8 << 20];
        for packed in [gzip(&zeroes), zstd(&zeroes)] {
            assert_eq!(unpack(&packed), Err("over 1000 octets of text for each packed one".to_owned()));
        }
        assert!(unpack(&zstd(&zeroes[..1 << 20])).is_ok());
    }

    #[test]
    fn a_window_of_more_memory_than_is_given_is_refused() {
        // RFC 8878 §3.1.1.1.2: exponent 18 is 256 MiB, 17 is 128 MiB; then one empty last block, raw.
        for (descriptor, fits) in [(17 << 3, true), (17 << 3 | 1, false), (18 << 3, false), (0xff, false)] {
            let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, descriptor, 1, 0, 0];
            assert_eq!(unpack(&frame).is_ok(), fits, "{descriptor:#x}");
        }
    }
}
