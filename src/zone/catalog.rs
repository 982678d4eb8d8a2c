//! [`Zoned`]: the operator's zones behind hickory-server's `Catalog`, called without a runtime.
//!
//! hickory sees the header and the question and nothing else of the packet: never the client's address, its OPT or its other records.
//! What it emits is put behind our own header and before our own OPT. The future is polled once, with a waker that wakes nobody.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use hickory_proto::op::HeaderCounts;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::NetError;
use hickory_server::net::runtime::TokioTime;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{Catalog, MessageResponse, ZoneHandler};

use super::ZoneAnswer;
use super::authority::Authority;
use crate::wire::{HEADER_OCTETS, Query, Rcode, ReplyFlags, Writer, rtype, u16_at};

/// Octets of an OPT record without options (RFC 6891 §6.1.2).
const OPT_OCTETS: usize = 11;

/// The operator's zones.
pub(super) struct Zoned {
    /// One handler a zone.
    catalog: Catalog,
}

/// What hickory emitted.
struct Emitted {
    /// A whole message without OPT.
    octets: Vec<u8>,
    /// The low four bits of its response code.
    rcode: u8,
    /// AA.
    authoritative: bool,
    /// It did not fit.
    truncated: bool,
    /// Records by section.
    counts: HeaderCounts,
}

/// Where hickory leaves its reply.
#[derive(Clone)]
struct Sink {
    /// The reply, once it is there.
    emitted: Arc<Mutex<Option<Emitted>>>,
    /// The most octets it may have.
    octets_max: u16,
}

#[async_trait::async_trait]
impl ResponseHandler for Sink {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut octets = Vec::with_capacity(512);
        let mut encoder = BinEncoder::new(&mut octets);
        encoder.set_max_size(self.octets_max);
        let sent = response.destructive_emit(&mut encoder)?;
        if let Ok(mut emitted) = self.emitted.lock() {
            *emitted = Some(Emitted {
                rcode: sent.response_code.low(),
                authoritative: sent.authoritative,
                truncated: sent.truncation,
                counts: sent.counts(),
                octets,
            });
        }
        Ok(sent)
    }
}

impl Zoned {
    /// Takes the zones.
    pub(super) fn new(authorities: Vec<Authority>) -> Self {
        let mut catalog = Catalog::new();
        for authority in authorities {
            let apex = authority.origin().clone();
            let handler: Arc<dyn ZoneHandler> = Arc::new(authority);
            catalog.upsert(apex, vec![handler]);
        }
        Self { catalog }
    }

    /// Answers `query` into `out`, which is as long as the reply may be.
    pub(super) fn answer(&self, query: &Query<'_>, out: &mut [u8]) -> ZoneAnswer {
        let opt_octets = if query.edns.is_some() { OPT_OCTETS } else { 0 };
        let octets_max = u16::try_from(out.len().saturating_sub(opt_octets)).unwrap_or(u16::MAX);
        let Some(emitted) = self.ask(query, octets_max) else { return ZoneAnswer::Unready };
        let rcode = Rcode::from_code(u16::from(emitted.rcode));
        let question_end = HEADER_OCTETS + query.question.len();
        let Some(records) = emitted.octets.get(question_end..) else { return ZoneAnswer::Unready };
        let flags = ReplyFlags {
            // A referral is not from our authority (RFC 1034 §4.3.2 step 3b).
            authoritative: emitted.authoritative && !is_referral(records, &emitted.counts),
            truncated: emitted.truncated,
            authentic: false,
        };
        let mut writer = Writer::reply(out, query, rcode, flags);
        // A reply cut short says only that: half a record set is of no use (RFC 2181 §9).
        if !emitted.truncated {
            let HeaderCounts { answers, authorities, additionals, .. } = emitted.counts;
            writer.records(records, [answers, authorities, additionals]);
        }
        writer.opt(query, rcode, None);
        match writer.finish() {
            Some(length) => ZoneAnswer::Reply { length, rcode, truncated: emitted.truncated },
            None => ZoneAnswer::Unready,
        }
    }

    /// What hickory says, in at most `octets_max` octets; `None` if it does not say it at once.
    fn ask(&self, query: &Query<'_>, octets_max: u16) -> Option<Emitted> {
        let mut packet = Vec::with_capacity(HEADER_OCTETS + query.question.len());
        packet.extend_from_slice(&query.header.id.to_be_bytes());
        packet.extend_from_slice(&query.header.flags.to_be_bytes());
        packet.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        packet.extend_from_slice(query.question);
        let nobody = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let request = Request::from_bytes(packet, nobody, Protocol::Udp).ok()?;
        let emitted = Arc::new(Mutex::new(None));
        let sink = Sink { emitted: Arc::clone(&emitted), octets_max };
        let answer = pin!(self.catalog.handle_request::<_, TokioTime>(&request, sink));
        match answer.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(_) => emitted.lock().ok()?.take(),
            Poll::Pending => None,
        }
    }
}

/// Whether a reply's `records` are a referral: no answer, and NS records in front.
fn is_referral(records: &[u8], counts: &HeaderCounts) -> bool {
    if counts.answers != 0 || counts.authorities == 0 {
        return false;
    }
    let mut at = 0;
    let owner_end = loop {
        match records.get(at) {
            None => return false,
            Some(0) => break at + 1,
            Some(length @ 1..=63) => at += usize::from(*length) + 1,
            Some(_) => break at + 2,
        }
    };
    u16_at(records, owner_end) == Some(rtype::NS)
}
