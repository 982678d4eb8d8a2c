//! The table's upstream, `tests/precedence/upstream.zone`, and outcomes in the table's words.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::txt::Parser;

use super::table::Row;
use crate::harness::Reply;
use crate::harness::upstream::{Asked, Step};

/// The longest chain of aliases in the zone, with room.
const CHAIN_MAX: usize = 8;

/// What the upstream knows: records by owner.
static KNOWN: LazyLock<BTreeMap<Name, Vec<Record>>> = LazyLock::new(|| {
    let text = include_str!("../../precedence/upstream.zone");
    let (_, sets) = Parser::new(text, None, Some(Name::root())).parse().unwrap_or_else(|error| panic!("{error}"));
    let mut known = BTreeMap::<Name, Vec<Record>>::new();
    for set in sets.values() {
        known.entry(set.name().to_lowercase()).or_default().extend(set.records_without_rrsigs().cloned());
    }
    known
});

/// What is known of a name, by itself or by the nearest wildcard above it.
fn known(name: &Name) -> &'static [Record] {
    let mut wildcards =
        (0..name.num_labels()).rev().map(|labels| name.trim_to(labels.into()).prepend_label("*").unwrap());
    let known = KNOWN.get(name).or_else(|| wildcards.find_map(|wildcard| KNOWN.get(&wildcard)));
    known.unwrap_or_else(|| &KNOWN[&Name::from_ascii("default.").unwrap()])
}

/// All that the upstream says to a question: aliases, then the records at their end.
fn answer(qname: &Name, qtype: RecordType) -> Vec<Record> {
    let (mut owner, mut records) = (qname.clone(), Vec::new());
    for _ in 0..CHAIN_MAX {
        let known = known(&owner.to_lowercase());
        let of = |rtype| known.iter().filter(move |record| rtype == RecordType::ANY || record.record_type() == rtype);
        let owned = |record: &Record| Record::from_rdata(owner.clone(), record.ttl, record.data.clone());
        let alias = of(RecordType::CNAME).next().filter(|_| !matches!(qtype, RecordType::CNAME | RecordType::ANY));
        let Some(alias) = alias else {
            records.extend(of(qtype).map(owned));
            break;
        };
        records.push(owned(alias));
        let RData::CNAME(target) = &alias.data else { unreachable!() };
        owner = target.0.clone();
    }
    records
}

/// The upstream's script.
pub fn script(asked: &Asked) -> Step {
    let query = Message::from_vec(&asked.octets).unwrap();
    let mut reply = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
    reply.metadata.recursion_desired = true;
    reply.metadata.recursion_available = true;
    let question = query.queries[0].clone();
    reply.answers = answer(question.name(), question.query_type());
    reply.queries = vec![question];
    reply.edns = query.edns.map(|_| Edns::new());
    Step::Send(vec![reply.to_vec().unwrap()])
}

/// Records in the table's words: in the order CNAME, the rest.
fn words(records: &[Record]) -> Vec<String> {
    let mut words: Vec<String> =
        records.iter().map(|record| format!("{} {}", record.record_type(), record.data)).collect();
    // Aliases stay in their order; a server may turn round the rest.
    words.sort_by_key(|word| if word.starts_with("CNAME") { String::new() } else { word.clone() });
    words.iter().map(|word| word.trim().to_owned()).collect()
}

/// What came, in the table's words.
pub fn outcome(row: &Row, reply: Option<&Reply>) -> String {
    let Some(reply) = reply else { return "drop".to_owned() };
    let message = &reply.message;
    let said = answer(message.queries[0].name(), message.queries[0].query_type());
    let (got, said) = (words(&message.answers), words(&said));
    if message.metadata.truncation {
        return if got.is_empty() { "tc".to_owned() } else { format!("tc {}", got.join(", ")) };
    }
    let negative = match reply.rcode() {
        ResponseCode::NoError if got == said && !said.is_empty() => return "passed".to_owned(),
        ResponseCode::NoError => "nodata",
        ResponseCode::NXDomain => "nxdomain",
        ResponseCode::YXDomain => "yxdomain",
        other => return format!("{other:?} {}", got.join(", ")),
    };
    // The upstream's own aliases in front of what was sunk; asked for a CNAME, they are the answer.
    let same = got.iter().zip(&said).take_while(|(got, said)| got == said && got.starts_with("CNAME")).count();
    let (chain, rest) = if row.qtype == "CNAME" { (0, &got[..]) } else { (same, &got[same..]) };
    let mut text = if chain > 0 { "chain ".to_owned() } else { String::new() };
    text += &if rest.is_empty() { negative.to_owned() } else { rest.join(", ") };
    if !rest.is_empty() && reply.rcode() != ResponseCode::NoError {
        text += &format!(" with {negative}");
    }
    text
}
