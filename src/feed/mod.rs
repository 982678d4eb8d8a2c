//! Feeds: a source is read in its format into the index's entries, its lines accounted for, and watched for changes.
//!
//! Knows files and text; knows nothing of queries. [`load()`] reads one feed, [`gate()`] says whether it may replace the one in use,
//! [`Watch`] tells when to load again. No error, report or log here holds a name: reasons, counts, line numbers and the operator's own
//! paths are all that comes out besides the entries themselves.

mod artifact;
mod config;
mod detect;
mod door;
mod entry;
mod format;
mod gate;
mod guard;
mod indicator;
mod intake;
mod json;
mod lines;
mod load;
mod load_error;
mod reason;
mod refang;
mod report;
mod sample;
mod schedule;
mod settle;
mod store;
mod terms;
mod unpack;
mod watch;

pub use artifact::weigh_artifact;
pub use config::{Config, Format, Source};
pub use detect::{DETECT_OCTETS, Detected, detect};
pub use format::{TextFormat, read_text};
pub use gate::{GROWTH_FREE_ENTRIES, GateConfig, GateError, Load, Previous, Rule, gate};
pub use guard::{CANARIES_MAX, Guard, PROTECTED_MAX, Protected, ProtectedError};
pub use json::{DEPTH_MAX, JsonError, JsonFormat, MARKINGS_MAX, STRING_OCTETS_MAX, Survey};
pub use lines::LINE_OCTETS_MAX;
pub use load::{FILE_OCTETS_MAX, Loaded, load};
pub use load_error::LoadError;
pub use reason::Reason;
pub use report::{REFUSED_SHOWN_MAX, Report};
pub use sample::SAMPLE_NAME;
pub use schedule::{RETRY_FIRST, RETRY_MAX, Schedule};
pub use settle::{SETTLE_WAIT_MAX, STILL_FOR, Settling, Stat, Verdict};
pub use store::{Kept, KeptFeed, KeptGeneration, Start, Store, StoreConfig, StoreError, is_kept_name};
pub use terms::{Column, IndicatorTerms, Terms, Tlp};
pub use unpack::{Damage, RATIO_MAX, ZSTD_WINDOW_OCTETS_MAX};
pub use watch::{Changed, Notice, Watch, WatchError};
