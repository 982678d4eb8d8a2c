//! [`Shares`]: how many queries wait for whom, and so who is to give way when there is no more room.
//!
//! A tenant's flood is no other tenant's, and inside a tenant one client's flood is no other client's: of two tenants the one with more queries
//! waiting gives way, of one tenant's clients likewise. Nothing is set aside: who asks alone may take all there is.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use foldhash::fast::FixedState;

/// To whom a query that waits is counted. Shows nothing of it when printed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share {
    /// The tenant's number.
    pub tenant: u16,
    /// The number of the client's network, among all tenants'.
    pub client: u64,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<share>")
    }
}

/// Somebody who waits for an answer.
pub trait Waiting {
    /// To whom the query is counted.
    fn share(&self) -> Share;

    /// The memory it takes while it waits, octets.
    fn octets(&self) -> usize;
}

/// All are one client's, and take nothing.
impl Waiting for () {
    fn share(&self) -> Share {
        Share { tenant: 0, client: 0 }
    }

    fn octets(&self) -> usize {
        0
    }
}

/// How much is waiting, for a tenant and one of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// Whose.
    share: Share,
    /// Queries of the tenant.
    of_tenant: u32,
    /// Queries of the client.
    of_client: u32,
}

impl Load {
    /// The load with one query more.
    pub(super) const fn with_one_more(self) -> Self {
        Self { of_tenant: self.of_tenant + 1, of_client: self.of_client + 1, ..self }
    }

    /// Which of two asks for more of what all share: of two tenants the one, of one tenant the client, with more queries.
    pub(super) fn compare(self, other: Self) -> Ordering {
        if self.share.tenant == other.share.tenant {
            self.of_client.cmp(&other.of_client)
        } else {
            self.of_tenant.cmp(&other.of_tenant).then(self.of_client.cmp(&other.of_client))
        }
    }
}

/// Who waits, counted. An entry lasts while it counts something, so there are never more of them than queries that wait.
pub(super) struct Shares {
    /// Queries by client.
    clients: HashMap<Share, u32, FixedState>,
    /// Queries by tenant.
    tenants: HashMap<u16, u32, FixedState>,
    /// The memory they take, octets.
    octets: usize,
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").field("octets", &self.octets).finish_non_exhaustive()
    }
}

impl Shares {
    /// Nobody waits. `seed` is random: clients must not know how they are hashed.
    pub(super) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self { clients: HashMap::with_hasher(hasher.clone()), tenants: HashMap::with_hasher(hasher), octets: 0 }
    }

    /// The memory that all who wait take, octets.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// How much is waiting for whom.
    pub(super) fn load(&self, share: Share) -> Load {
        let of_client = self.clients.get(&share).copied().unwrap_or(0);
        Load { share, of_tenant: self.tenants.get(&share.tenant).copied().unwrap_or(0), of_client }
    }

    /// How many queries of the client wait.
    pub(super) fn of_client(&self, share: Share) -> usize {
        self.load(share).of_client as usize
    }

    /// One more waits.
    pub(super) fn add(&mut self, waiter: &impl Waiting) {
        let share = waiter.share();
        *self.clients.entry(share).or_insert(0) += 1;
        *self.tenants.entry(share.tenant).or_insert(0) += 1;
        self.octets += waiter.octets();
    }

    /// One that waited does no more.
    pub(super) fn remove(&mut self, waiter: &impl Waiting) {
        let share = waiter.share();
        if let Some(count) = self.clients.get_mut(&share) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&share);
            }
        }
        if let Some(count) = self.tenants.get_mut(&share.tenant) {
            *count -= 1;
            if *count == 0 {
                self.tenants.remove(&share.tenant);
            }
        }
        self.octets = self.octets.saturating_sub(waiter.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tenant and client.
    struct Query(u16, u64);

    impl Waiting for Query {
        fn share(&self) -> Share {
            Share { tenant: self.0, client: self.1 }
        }

        fn octets(&self) -> usize {
            100
        }
    }

    #[test]
    fn the_tenant_with_more_gives_way_and_inside_it_the_client_with_more() {
        let mut shares = Shares::new(1);
        for (tenant, client, times) in [(0, 1, 5), (0, 2, 2), (1, 3, 6)] {
            (0..times).for_each(|_| shares.add(&Query(tenant, client)));
        }
        let load = |tenant, client| shares.load(Share { tenant, client });
        for (one, other, want) in [
            ((0, 1), (0, 2), Ordering::Greater),
            ((0, 2), (1, 3), Ordering::Greater),
            ((1, 3), (0, 1), Ordering::Less),
            ((0, 9), (1, 9), Ordering::Greater),
            ((2, 1), (0, 2), Ordering::Less),
            ((2, 1), (3, 1), Ordering::Equal),
        ] {
            assert_eq!(load(one.0, one.1).compare(load(other.0, other.1)), want, "{one:?} {other:?}");
        }
        assert_eq!((shares.octets(), shares.of_client(Share { tenant: 0, client: 1 })), (1300, 5));
        assert_eq!(format!("{shares:?} {:?}", load(0, 1).share), "Shares { octets: 1300, .. } <share>");
    }

    #[test]
    fn what_no_longer_waits_leaves_nothing() {
        let mut shares = Shares::new(1);
        let queries = [Query(0, 1), Query(0, 1), Query(1, 1), Query(0, 2)];
        queries.iter().for_each(|query| shares.add(query));
        queries.iter().for_each(|query| shares.remove(query));
        assert_eq!((shares.octets(), shares.clients.len(), shares.tenants.len()), (0, 0, 0));
    }
}
