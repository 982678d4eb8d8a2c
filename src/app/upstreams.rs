//! Says in the log when an upstream does not answer any more, and when it answers again: one line each, whatever number of workers and queries
//! notice. Cost: one load an upstream and second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::server::{Clock, UpstreamHealth};

/// How often the workers' table is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What changed about an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// It does not answer.
    Silent,
    /// It answers again.
    Recovered {
        /// After so long.
        silent_secs: u64,
    },
}

/// What is known of the upstreams, and was said.
struct Watch {
    /// Their addresses, by place.
    servers: Vec<SocketAddr>,
    /// What the workers say.
    health: Arc<UpstreamHealth>,
    /// Since when each is silent, as was said last.
    said: Vec<Option<u64>>,
}

impl Watch {
    /// One that has said nothing.
    fn new(servers: Vec<SocketAddr>, health: Arc<UpstreamHealth>) -> Self {
        let said = servers.iter().map(|_| None).collect();
        Self { servers, health, said }
    }

    /// What changed since the last look.
    fn look(&mut self, now_ms: u64) -> Vec<(SocketAddr, Change)> {
        let mut changes = Vec::new();
        for (place, (&server, said)) in self.servers.iter().zip(&mut self.said).enumerate() {
            let now = self.health.silent_since_ms(place);
            match (*said, now) {
                (None, Some(_)) => changes.push((server, Change::Silent)),
                (Some(since_ms), None) => {
                    let silent_secs = now_ms.saturating_sub(since_ms) / 1000;
                    changes.push((server, Change::Recovered { silent_secs }));
                }
                // Between two looks it may have answered and fallen silent again: that it is silent was said.
                (None, None) | (Some(_), Some(_)) => continue,
            }
            *said = now;
        }
        changes
    }
}

/// Looks at the table each second, for ever.
pub(super) async fn tell_of_upstreams(servers: Vec<SocketAddr>, health: Arc<UpstreamHealth>, clock: Clock) {
    let mut watch = Watch::new(servers, health);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for (upstream, change) in watch.look(clock.now_ms()) {
            match change {
                Change::Silent => tracing::warn!(%upstream, "an upstream does not answer"),
                Change::Recovered { silent_secs } => {
                    tracing::info!(%upstream, silent_secs, "an upstream answers again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_said_once() {
        let servers: Vec<SocketAddr> = vec!["192.0.2.1:53".parse().unwrap(), "192.0.2.2:53".parse().unwrap()];
        let health = Arc::new(UpstreamHealth::new(2));
        let mut watch = Watch::new(servers.clone(), Arc::clone(&health));
        assert_eq!(watch.look(0), []);
        health.fell_silent(1, 1000);
        health.fell_silent(1, 1500);
        assert_eq!(watch.look(2000), [(servers[1], Change::Silent)]);
        health.fell_silent(0, 2500);
        assert_eq!(watch.look(3000), [(servers[0], Change::Silent)]);
        health.replied(1, 3100);
        health.fell_silent(1, 3200);
        assert_eq!(watch.look(4000), [], "it is as silent as it was");
        health.replied(1, 8000);
        assert_eq!(watch.look(8500), [(servers[1], Change::Recovered { silent_secs: 7 })]);
        assert_eq!(watch.look(9500), []);
    }
}
