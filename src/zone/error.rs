//! Why a zone is not served: always a file, a line where there is one, and what was expected. Never a name.

use std::path::PathBuf;

/// A fault of the zone settings or of a zone file.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// Over [`super::ZONES_MAX`] zones.
    #[error("expected at most {max} zones, got {got}")]
    TooMany {
        /// The maximum.
        max: usize,
        /// How many there are.
        got: usize,
    },
    /// Two zones of one name.
    #[error("{}: expected each zone once, got another file for the same zone", path.display())]
    Twice {
        /// The later file.
        path: PathBuf,
    },
    /// The file cannot be read, or is not UTF-8.
    #[error("{}: the zone file cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Over [`super::ZONE_FILE_OCTETS_MAX`].
    #[error("{}: expected a zone file of at most {max} octets, got a larger one", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The maximum.
        max: usize,
    },
    /// A folder, a pipe, a device.
    #[error("{}: expected a regular file", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// A line that is no record (RFC 1035 §5).
    #[error("{}:{line}: expected a record, $ORIGIN or $TTL (no $GENERATE: write its records out)", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where the record begins, from 1.
        line: usize,
    },
    /// A record without a TTL before any was stated, or with one over 2^31 - 1 (RFC 2181 §8).
    #[error("{}:{line}: expected a TTL of at most 2147483647 seconds, or a $TTL line before the record", path.display())]
    Ttl {
        /// The file.
        path: PathBuf,
        /// Where the record begins, from 1.
        line: usize,
    },
    /// A type that is not known, or not answered from a zone.
    #[error("{}:{line}: expected a type that is answered from a zone (no DNAME, nothing that signs), or TYPE and its number", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// Where the record begins, from 1.
        line: usize,
    },
    /// RDATA that cannot be read, or that a type cannot have.
    #[error(
        "{}:{line}: expected a record with data as its type has it: every field and no more, texts of at most 255 octets, a name, and of \
         a service each parameter once and none of them empty",
        path.display()
    )]
    Rdata {
        /// The file.
        path: PathBuf,
        /// Where the record begins, from 1.
        line: usize,
    },
    /// Records of one name and type that no message holds.
    #[error("{}:{line}: expected records of one name and type of at most {max} octets in all, got more", path.display())]
    SetTooLarge {
        /// The file.
        path: PathBuf,
        /// Where the record begins that is too much, from 1.
        line: usize,
        /// The maximum.
        max: usize,
    },
    /// `$INCLUDE`: what it names would be neither bounded nor watched.
    #[error("{}:{line}: expected the whole zone in one file, got an $INCLUDE", path.display())]
    Include {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// No SOA where the configuration says the zone begins.
    #[error("{}: expected a SOA record for the configured zone name, got none", path.display())]
    NoSoa {
        /// The file.
        path: PathBuf,
    },
    /// A SOA of another name: the file is another zone's.
    #[error("{}:{line}: expected the SOA record at the configured zone name, got it at another", path.display())]
    WrongApex {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// A record whose owner is not at or below the apex.
    #[error("{}:{line}: expected names at or below the configured zone name, got one outside", path.display())]
    OutOfZone {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// A record of another class.
    #[error("{}:{line}: expected class IN, got another", path.display())]
    Class {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// A CNAME beside other records (RFC 1034 §3.6.2).
    #[error("{}:{line}: expected a CNAME to be its name's only record, got others beside it", path.display())]
    CnameAndOther {
        /// The file.
        path: PathBuf,
        /// Where the second came, from 1.
        line: usize,
    },
}
