//! One generation's [`Rules`], out of the settings and what was loaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Settings;
use crate::index::Index;
use crate::metrics::{Account, AccountKind, Metrics};
use crate::policy::{Figures, Policy, Rebinding, Standing, TenantConfig, Tenants};
use crate::server::{Access, Proxies, Rules};
use crate::zone::Zones;

/// The number of a group that there is none of, so that there is nobody to ask.
const NO_GROUP: u16 = u16::MAX;

/// Puts them together; without `indexes` of the feeds, those before the first load. `account` says where a tenant is counted.
pub(super) fn rules(
    settings: &Settings,
    zones: Arc<Zones>,
    indexes: Option<Vec<Arc<Index>>>,
    generation: u64,
    mut account: impl FnMut(&TenantConfig) -> Option<u16>,
) -> Rules {
    // No reload gets here with a group that these settings do not have; if one did, nobody would be asked.
    let group = |name: &String| settings.upstream.group(name).unwrap_or(NO_GROUP);
    let standing = |tenant: &TenantConfig| Standing {
        account: account(tenant),
        upstream_group: tenant.upstream_group.as_ref().map_or(0, group),
    };
    let policy =
        |indexes| Policy::new(indexes, settings.policy_feeds.clone()).protecting(Arc::clone(&settings.protected));
    let policy = indexes.map(|indexes: Vec<Arc<Index>>| Arc::new(policy(indexes)));
    Rules {
        generation,
        access: Access::new(&settings.access),
        proxies: Proxies::new(&settings.proxy),
        zones,
        tenants: Tenants::new(&settings.tenants, standing),
        sink: settings.sink.clone(),
        rebinding: settings.rebinding.as_deref().map(Rebinding::protect).unwrap_or_default(),
        policy,
    }
}

/// Opens the accounts that tenants are counted in, each once.
pub(super) struct Accounts<'m> {
    /// Who gives them out.
    metrics: &'m Metrics,
    /// Those opened so far, by place.
    opened: BTreeMap<u16, Account>,
}

impl<'m> Accounts<'m> {
    /// None is open.
    pub(super) const fn new(metrics: &'m Metrics) -> Self {
        Self { metrics, opened: BTreeMap::new() }
    }

    /// Those opened.
    pub(super) fn into_opened(self) -> Vec<Account> {
        self.opened.into_values().collect()
    }

    /// Where a tenant is counted, if anywhere.
    pub(super) fn account(&mut self, tenant: &TenantConfig) -> Option<u16> {
        let (kind, name) = match (tenant.figures, &tenant.sector) {
            (Figures::Own, _) => (AccountKind::Tenant, &tenant.name),
            (Figures::Sector, Some(sector)) => (AccountKind::Sector, sector),
            (Figures::Sector, None) | (Figures::None, _) => return None,
        };
        let place = self.metrics.account(kind, name)?;
        self.opened.entry(place).or_insert_with(|| Account { kind, name: name.clone(), place });
        Some(place)
    }
}
