//! [`Handler`]: the operator's zones as hickory-server's `RequestHandler`, called without a runtime.
//!
//! Not behind hickory-server's `Catalog` (0.26.3): it builds a reply of either records or a response code with a SOA, and at the end of a
//! CNAME both are due (RFC 6604 §3, RFC 2308 §2.1).
//!
//! hickory sees the header and the question and nothing else of the packet: never the client's address, its OPT or its other records.
//! What it emits is put behind our own header and before our own OPT. The future is polled once, with a waker that wakes nobody.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use hickory_proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_proto::rr::{Record, RecordSet};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::NetError;
use hickory_server::net::runtime::{Time, TokioTime};
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder};

use super::ZoneAnswer;
use super::places::{Answer, Places};
use crate::wire::{HEADER_OCTETS, Query, Rcode, ReplyFlags, Writer};

/// Octets of an OPT record without options (RFC 6891 §6.1.2).
const OPT_OCTETS: usize = 11;

/// Answers for the operator's zones.
pub(super) struct Handler {
    /// The zones.
    places: Places,
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

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut sink: R) -> ResponseInfo {
        let asked = request.request_info().ok().map(|info| info.query);
        let answer = asked.and_then(|query| self.places.answer(query.name(), query.query_type()));
        let answer = answer.unwrap_or_else(|| Answer { rcode: ResponseCode::Refused, ..Answer::default() });
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.rcode;
        metadata.authoritative = answer.authoritative;
        let response = MessageResponseBuilder::new(&request.queries, None).build(
            metadata,
            records(&answer.answers),
            records(&answer.authorities),
            std::iter::empty(),
            records(&answer.additionals),
        );
        match sink.send_response(response).await {
            Ok(sent) => sent,
            Err(_) => {
                metadata.response_code = ResponseCode::ServFail;
                ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
            }
        }
    }
}

/// The records of a section.
fn records(sets: &[Arc<RecordSet>]) -> impl Iterator<Item = &Record> + Send {
    sets.iter().flat_map(|set| set.records_without_rrsigs())
}

impl Handler {
    /// Takes the zones.
    pub(super) const fn new(places: Places) -> Self {
        Self { places }
    }

    /// The zones.
    pub(super) const fn places(&self) -> &Places {
        &self.places
    }

    /// Answers `query` into `out`, which is as long as the reply may be.
    pub(super) fn answer(&self, query: &Query<'_>, out: &mut [u8]) -> ZoneAnswer {
        let opt_octets = if query.edns.is_some() { OPT_OCTETS } else { 0 };
        let octets_max = u16::try_from(out.len().saturating_sub(opt_octets)).unwrap_or(u16::MAX);
        let Some(emitted) = self.ask(query, octets_max) else { return ZoneAnswer::Unready };
        let rcode = Rcode::from_code(u16::from(emitted.rcode));
        let question_end = HEADER_OCTETS + query.question.len();
        let Some(records) = emitted.octets.get(question_end..) else { return ZoneAnswer::Unready };
        let flags = ReplyFlags { authoritative: emitted.authoritative, truncated: emitted.truncated, authentic: false };
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
        let answer = pin!(self.handle_request::<_, TokioTime>(&request, sink));
        match answer.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(_) => emitted.lock().ok()?.take(),
            Poll::Pending => None,
        }
    }
}
