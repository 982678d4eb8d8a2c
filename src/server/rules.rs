//! [`Rules`]: everything a query is judged by, one immutable value a generation.

use std::sync::Arc;

use super::Access;
use crate::policy::Policy;
use crate::zone::Zones;

/// One generation: who may ask, what is answered here, what is sunk. Swapped whole.
#[derive(Debug)]
pub struct Rules {
    /// The generation's number; 0 before the first policy.
    pub generation: u64,
    /// Who may ask.
    pub access: Access,
    /// The operator's zones and the special names.
    pub zones: Arc<Zones>,
    /// What is sunk. `None`: not loaded yet, and every query that gets so far is SERVFAIL.
    pub policy: Option<Arc<Policy>>,
}
