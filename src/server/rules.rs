//! [`Rules`]: everything a query is judged by, one immutable value a generation.

use std::sync::Arc;

use super::{Access, Client, Proxies};
use crate::metrics::Transport;
use crate::policy::{Judge, Policy, Rebinding, SinkConfig, Tenants, Via};
use crate::zone::Zones;

/// One generation: who may ask, what is answered here, what is sunk for whom. Swapped whole.
#[derive(Debug)]
pub struct Rules {
    /// The generation's number; 0 before the first policy.
    pub generation: u64,
    /// Who may ask.
    pub access: Access,
    /// Who asks for others, and must say for whom.
    pub proxies: Proxies,
    /// The operator's zones and the special names.
    pub zones: Arc<Zones>,
    /// Who asks, and what each is owed.
    pub tenants: Tenants,
    /// What a sunk name is answered with, unless its feed or the tenant says otherwise.
    pub sink: SinkConfig,
    /// What addresses an upstream may give.
    pub rebinding: Rebinding,
    /// What feeds sink. `None`: not loaded yet, and what is to be forwarded is SERVFAIL for most tenants.
    pub policy: Option<Arc<Policy>>,
}

impl Rules {
    /// One generation for a single tenant, with everything else as by default.
    #[must_use]
    pub fn new(generation: u64, access: Access, zones: Arc<Zones>, policy: Option<Arc<Policy>>) -> Self {
        let (tenants, sink, rebinding) = (Tenants::default(), SinkConfig::default(), Rebinding::default());
        Self { generation, access, proxies: Proxies::default(), zones, tenants, sink, rebinding, policy }
    }

    /// What a query of `client` is judged by.
    #[inline]
    #[must_use]
    pub fn judge(&self, client: Client, transport: Transport) -> Judge<'_> {
        let tenant = if client.is_proxied() {
            self.tenants.find_proxied(client.listener(), client.address())
        } else {
            self.tenants.find(client.listener(), client.address())
        };
        let via = match transport {
            Transport::Udp => Via::Datagram,
            Transport::Tcp => Via::Stream,
        };
        Judge::new(self.policy.as_deref(), tenant, &self.sink, client.address(), via)
    }
}
