//! [`Accounts`]: one worker's counts by tenant or by sector. An account keeps its place while the process lives, whatever is reloaded.
//!
//! Room is made by whoever publishes, before any query finds the account; a worker only reads where it is.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::Counter;

/// The most accounts a process ever opens: 10,000 tenants, their sectors, and some renamed meanwhile.
pub const ACCOUNTS_MAX: usize = 16_384;
/// Accounts that get their room together.
const CHUNK: usize = 64;

/// Whose figures they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// One tenant's.
    Tenant,
    /// All tenants' of a sector that do not have their own.
    Sector,
}

/// An account that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub kind: AccountKind,
    /// The operator's name for the tenant or the sector.
    pub name: String,
    /// Where it is counted.
    pub place: u16,
}

/// One worker's counts of one account.
#[derive(Debug, Default)]
pub struct AccountShard {
    /// Queries that this server might answer, whatever became of them.
    pub queries: Counter,
    /// Those that were sunk.
    pub sunk: Counter,
    /// Those that a feed would have sunk or let through, were it not to observe only.
    pub observed: Counter,
}

/// One worker's accounts.
#[derive(Debug)]
pub(super) struct Accounts {
    /// By [`CHUNK`]; empty until an account in it is opened.
    chunks: Box<[OnceLock<Box<[AccountShard; CHUNK]>>]>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { chunks: (0..ACCOUNTS_MAX / CHUNK).map(|_| OnceLock::new()).collect() }
    }
}

impl Accounts {
    /// Makes room for the account at `place`.
    pub(super) fn open(&self, place: u16) {
        if let Some(chunk) = self.chunks.get(usize::from(place) / CHUNK) {
            chunk.get_or_init(|| Box::new(std::array::from_fn(|_| AccountShard::default())));
        }
    }

    /// The account at `place`, if it was opened.
    #[inline]
    pub(super) fn get(&self, place: u16) -> Option<&AccountShard> {
        let place = usize::from(place);
        self.chunks.get(place / CHUNK)?.get()?.get(place % CHUNK)
    }
}

/// Which place each account has.
#[derive(Debug, Default)]
pub(super) struct Register(HashMap<(AccountKind, String), u16>);

impl Register {
    /// The account's place; `None` if all are taken.
    pub(super) fn place(&mut self, kind: AccountKind, name: &str) -> Option<u16> {
        let next = self.0.len();
        match self.0.get(&(kind, name.to_owned())) {
            Some(&place) => Some(place),
            None if next < ACCOUNTS_MAX => {
                let place = u16::try_from(next).ok()?;
                self.0.insert((kind, name.to_owned()), place);
                Some(place)
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_keeps_its_place() {
        let mut register = Register::default();
        assert_eq!(register.place(AccountKind::Tenant, "a"), Some(0));
        assert_eq!(register.place(AccountKind::Sector, "a"), Some(1));
        assert_eq!(register.place(AccountKind::Tenant, "a"), Some(0));
        for number in 2..ACCOUNTS_MAX {
            assert!(register.place(AccountKind::Tenant, &number.to_string()).is_some());
        }
        assert_eq!(register.place(AccountKind::Tenant, "one more"), None);
        assert_eq!(register.place(AccountKind::Sector, "a"), Some(1));
    }

    #[test]
    fn only_what_was_opened_counts() {
        let accounts = Accounts::default();
        assert!(accounts.get(3).is_none());
        accounts.open(3);
        accounts.open(u16::MAX);
        accounts.get(3).unwrap().queries.bump();
        accounts.open(4);
        assert_eq!(accounts.get(3).unwrap().queries.read(), 1);
        assert!(accounts.get(u16::MAX).is_none() && accounts.get(64).is_none());
    }
}
