//! The ladder, rung by rung, as a client sees it over UDP and over TCP.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, RecordType};

use crate::harness::{Ask, BOTH, Client, House, Plan, Reply, Upstream, Via};

/// Code 16, which hickory names after the other thing it stands for.
const BADVERS: ResponseCode = ResponseCode::BADSIG;
const ZONE: &str = "@ 600 IN SOA ns hostmaster 7 3600 600 86400 60\n@ 600 NS ns\nns 600 A 192.0.2.9\n";

/// A server with one listed name, one zone, and the upstream that answers all else.
fn house() -> (House, Upstream) {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n");
    (plan.zone("corp.test", ZONE).start(), upstream)
}

#[test]
fn what_is_no_query_gets_no_reply() {
    let (house, _upstream) = house();
    let response = Ask::a("listed.test").with(|message| {
        message.metadata.message_type = hickory_proto::op::MessageType::Response;
    });
    for via in BOTH {
        let mut client = house.client(via);
        client.assert_silence(&response.octets());
        client.assert_silence(&[&[0, 1, 0x80, 0][..], &[0xff; 8]].concat());
    }
    for length in 0..12 {
        house.client(Via::Udp).assert_silence(&vec![0; length]);
    }
    assert_eq!(house.metric("cenote_queries_total{transport=\"udp\",outcome=\"dropped\"}"), 14);
    assert_eq!(house.metric("cenote_queries_total{transport=\"tcp\",outcome=\"dropped\"}"), 2);
}

#[test]
fn a_client_that_may_not_ask_is_told_so() {
    let plan = Plan::new().feed("ads", "listed.test\n").key("access", "allow = ['127.0.0.2/32']");
    let house = plan.start();
    for (own, via) in BOTH.iter().flat_map(|&via| [("127.0.0.1", via), ("127.0.0.2", via)]) {
        for name in ["listed.test", "localhost", "other.test"] {
            let reply = Client::from(own.parse().unwrap(), via, house.at).ask(&Ask::a(name).edns(1232));
            let refused = (reply.rcode(), reply.ede_code()) == (ResponseCode::Refused, Some(18));
            assert_eq!(refused, own == "127.0.0.1", "{own} {via:?} {reply:?}");
        }
    }
}

/// Changes the version of a query's EDNS.
fn set_version(message: &mut Message, version: u8) {
    Ask::edns_mut(message).set_version(version);
}

/// A query changed by hickory's hand.
fn changed(change: impl FnOnce(&mut Message)) -> Ask {
    Ask::a("listed.test").edns(1232).with(change)
}

#[test]
fn each_rung_has_its_code() {
    let (house, upstream) = house();
    let query = || Query::query("other.test.".parse().unwrap(), RecordType::A);
    let table: Vec<(&str, Ask, ResponseCode)> = vec![
        ("IQUERY", changed(|m| m.metadata.op_code = OpCode::from_u8(1)), ResponseCode::NotImp),
        ("STATUS", changed(|m| m.metadata.op_code = OpCode::Status), ResponseCode::NotImp),
        ("NOTIFY", changed(|m| m.metadata.op_code = OpCode::Notify), ResponseCode::NotImp),
        ("UPDATE", changed(|m| m.metadata.op_code = OpCode::Update), ResponseCode::NotImp),
        ("no question", changed(|m| m.queries.clear()), ResponseCode::FormErr),
        ("two questions", changed(|m| m.queries.push(query())), ResponseCode::FormErr),
        ("EDNS 1", changed(|m| set_version(m, 1)), BADVERS),
        ("EDNS 255", changed(|m| set_version(m, 255)), BADVERS),
        ("CH", Ask::new("version.bind", "TXT").class(DNSClass::CH), ResponseCode::Refused),
        ("HS", Ask::a("listed.test").class(DNSClass::HS), ResponseCode::Refused),
        ("class ANY", Ask::a("listed.test").class(DNSClass::ANY), ResponseCode::Refused),
        ("class NONE", Ask::a("listed.test").class(DNSClass::NONE), ResponseCode::Refused),
        ("AXFR", Ask::new("corp.test", "AXFR"), ResponseCode::Refused),
        ("IXFR", Ask::new("corp.test", "TYPE251"), ResponseCode::Refused),
        ("MAILA", Ask::new("other.test", "TYPE254"), ResponseCode::Refused),
        ("MAILB", Ask::new("other.test", "TYPE253"), ResponseCode::Refused),
        ("OPT", Ask::new("other.test", "TYPE41"), ResponseCode::Refused),
        ("TSIG", Ask::new("other.test", "TYPE250"), ResponseCode::Refused),
    ];
    for ((what, ask, want), via) in table.iter().flat_map(|row| BOTH.map(|via| (row, via))) {
        let reply = house.ask(via, ask);
        assert_eq!(reply.rcode(), *want, "{what} {via:?} {reply:?}");
        assert!(reply.message.answers.is_empty(), "{what} {via:?} {reply:?}");
    }
    assert!(upstream.asked().is_empty(), "nothing of this is forwarded");
}

#[test]
fn a_question_that_cannot_be_read_is_a_format_error() {
    let (house, _upstream) = house();
    let header = |counts: [u8; 4]| [&[7, 7, 1, 0][..], &counts.map(|count| [0, count]).concat()].concat();
    let question = b"\x06listed\x04test\0\0\x01\0\x01";
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    for (what, octets) in [
        ("no question at all", header([1, 0, 0, 0])),
        ("a name cut short", [&header([1, 0, 0, 0])[..], b"\x06lis"].concat()),
        ("a type cut short", [&header([1, 0, 0, 0])[..], b"\x04test\0\0"].concat()),
        ("a pointer to itself", [&header([1, 0, 0, 0])[..], b"\xc0\x0c\0\x01\0\x01"].concat()),
        ("a label of type 01", [&header([1, 0, 0, 0])[..], b"\x46listed\0\0\x01\0\x01"].concat()),
        (
            "a name of 256 octets",
            [
                &header([1, 0, 0, 0])[..],
                &b"\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(4),
                b"\0\0\x01\0\x01",
            ]
            .concat(),
        ),
        ("two OPTs", [&header([1, 0, 0, 2])[..], question, opt, opt].concat()),
        ("an OPT cut short", [&header([1, 0, 0, 1])[..], question, &opt[..9]].concat()),
    ] {
        for via in BOTH {
            let mut client = house.client(via);
            client.send(&octets);
            let reply = client.receive_octets().unwrap();
            assert_eq!((&reply[..2], reply[3] & 15), (&[7, 7][..], 1), "{what} {via:?}: {reply:02x?}");
            assert!(reply.len() <= octets.len().max(12) + 11, "{what} {via:?} grows: {reply:02x?}");
        }
    }
}

#[test]
fn any_is_answered_with_hinfo_and_never_forwarded() {
    let (house, upstream) = house();
    for via in BOTH {
        let reply = house.ask(via, &Ask::new("other.test", "ANY"));
        let RData::HINFO(hinfo) = &reply.message.answers[0].data else { panic!("{reply:?}") };
        assert_eq!(&*hinfo.cpu, b"RFC8482");
        assert_eq!(house.ask(via, &Ask::new("listed.test", "ANY")).message.answers.len(), 0, "a sunk name is NODATA");
    }
    assert!(upstream.asked().is_empty());
}

#[test]
fn without_rd_nobody_learns_what_others_asked() {
    let (house, upstream) = house();
    assert!(house.a("cached.test").is_upstreams());
    for via in BOTH {
        for (name, want) in [
            ("ns.corp.test", ResponseCode::NoError),
            ("localhost", ResponseCode::NoError),
            ("listed.test", ResponseCode::NoError),
            ("cached.test", ResponseCode::Refused),
            ("uncached.test", ResponseCode::Refused),
        ] {
            assert_eq!(house.ask(via, &Ask::a(name).no_rd()).rcode(), want, "{name} {via:?}");
        }
    }
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn a_client_without_edns_gets_no_opt_and_a_short_code() {
    let (house, _upstream) = house();
    let names = ["listed.test", "other.test", "nx.test", "servfail.test", "ns.corp.test", "localhost", "gone.onion"];
    for (name, via) in names.iter().flat_map(|&name| BOTH.map(|via| (name, via))) {
        let plain = house.ask(via, &Ask::a(name));
        assert!(plain.message.edns.is_none(), "{name} {via:?} {plain:?}");
        let edns = house.ask(via, &Ask::a(name).edns(4096));
        assert_eq!(edns.message.edns.as_ref().unwrap().max_payload(), 1232, "{name} {via:?} {edns:?}");
        assert_eq!(plain.rcode(), edns.rcode(), "{name} {via:?}");
    }
}

#[test]
fn ad_goes_out_only_to_those_who_ask_for_it() {
    let (house, _upstream) = house();
    for (round, via) in BOTH.iter().flat_map(|&via| [("forwarded", via), ("cached", via)]) {
        for (how, ask, want) in [
            ("plain", Ask::a("secure.test"), false),
            ("EDNS", Ask::a("secure.test").edns(1232), false),
            ("AD", Ask::a("secure.test").ad(), true),
            ("DO", Ask::a("secure.test").dnssec_ok(), true),
            ("DO, not validated", Ask::a("plain.test").dnssec_ok(), false),
            ("DO, sunk", Ask::a("listed.test").dnssec_ok(), false),
        ] {
            let reply = house.ask(via, &ask);
            assert_eq!(reply.message.metadata.authentic_data, want, "{how} {round} {via:?} {reply:?}");
        }
    }
}

#[test]
fn letter_case_is_kept() {
    let (house, _upstream) = house();
    for name in ["LiStEd.TeSt", "oThEr.test", "LOCALhost", "nX.test"] {
        for (round, via) in BOTH.iter().flat_map(|&via| [(1, via), (2, via)]) {
            let reply = house.ask(via, &Ask::a(name).edns(1232));
            assert_eq!(reply.message.queries[0].name.to_ascii(), format!("{name}."), "{round} {via:?}");
            let owners = reply.message.answers.iter().map(|record| record.name.to_ascii());
            assert!(owners.into_iter().all(|owner| owner == format!("{name}.")), "{round} {via:?} {reply:?}");
        }
    }
}

#[test]
fn do_changes_nothing_on_a_sunk_name() {
    let (house, _upstream) = house();
    /// All but the OPT and the id.
    fn shape(reply: &Reply) -> (Vec<u8>, usize) {
        let opt = if reply.message.edns.is_some() { 11 + 6 } else { 0 };
        (reply.octets[2..10].to_vec(), reply.octets.len() - opt)
    }
    for (qtype, via) in ["A", "AAAA", "TXT", "DNSKEY", "DS", "HTTPS"].iter().flat_map(|&t| BOTH.map(|via| (t, via))) {
        let [plain, secure] = [Ask::new("listed.test", qtype).edns(1232), Ask::new("listed.test", qtype).dnssec_ok()]
            .map(|ask| house.ask(via, &ask));
        assert_eq!(shape(&plain), shape(&secure), "{qtype} {via:?}");
        assert!(secure.message.edns.as_ref().unwrap().flags().dnssec_ok, "RFC 3225 §3: DO is copied");
    }
}
