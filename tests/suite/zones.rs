//! What is answered here with authority: the operator's zones and the special names; before policy, never forwarded, longest match.

use hickory_proto::op::ResponseCode;

use crate::harness::{Ask, BOTH, House, Plan, Upstream};

const CORP: &str = "\
$TTL 300
@ SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
ns A 192.0.2.2
www A 192.0.2.3
deep.lab A 192.0.2.4
gone CNAME missing
mail CNAME www
there CNAME www.lab
notthere CNAME gone.lab
out CNAME www.example.org.
";
const LAB: &str = "@ 300 SOA ns hostmaster 7 3600 600 86400 60\n@ 300 NS ns\nns 300 A 192.0.2.5\nwww 300 A 192.0.2.6\n";

/// A server with a zone and one below it; its feed lists all of it, and more.
fn house(special: &str) -> (House, Upstream) {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).zone("corp.test", CORP).zone("lab.corp.test", LAB);
    let plan = plan.feed("ads", "corp.test\nwww.lab.corp.test\nbox.home.arpa\n").key("special-names", special);
    (plan.start(), upstream)
}

#[test]
fn a_zone_is_answered_with_authority_and_before_policy() {
    let (house, upstream) = house("enabled = true");
    for (name, want, address) in [
        ("www.corp.test", ResponseCode::NoError, Some([192, 0, 2, 3])),
        ("WWW.Corp.Test", ResponseCode::NoError, Some([192, 0, 2, 3])),
        ("gone.corp.test", ResponseCode::NXDomain, None),
        ("corp.test", ResponseCode::NoError, None),
        ("www.lab.corp.test", ResponseCode::NoError, Some([192, 0, 2, 6])),
        ("gone.lab.corp.test", ResponseCode::NXDomain, None),
        // The longest match decides, though the zone above has it.
        ("deep.lab.corp.test", ResponseCode::NXDomain, None),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::a(name).edns(1232));
            let flags = &reply.message.metadata;
            let got = (reply.rcode(), reply.addresses());
            assert_eq!(got, (want, address.map(Into::into).into_iter().collect()), "{name} {via:?} {reply:?}");
            assert!(flags.authoritative && !flags.authentic_data, "{name} {via:?} {reply:?}");
            assert_eq!(reply.message.authorities.is_empty(), address.is_some(), "{name} {via:?} {reply:?}");
        }
    }
    assert!(house.a("corp.test.other.example").is_upstreams());
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn an_alias_ends_where_the_zones_end() {
    let (house, upstream) = house("enabled = true");
    for (name, qtype, want, answers, authorities) in [
        ("gone.corp.test", "A", ResponseCode::NXDomain, 1, 1),
        ("mail.corp.test", "MX", ResponseCode::NoError, 1, 1),
        ("there.corp.test", "A", ResponseCode::NoError, 2, 0),
        ("notthere.corp.test", "A", ResponseCode::NXDomain, 1, 1),
        ("out.corp.test", "A", ResponseCode::NoError, 1, 0),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::new(name, qtype));
            let got = (reply.rcode(), reply.message.answers.len(), reply.message.authorities.len());
            assert_eq!(got, (want, answers, authorities), "{name} {via:?} {reply:?}");
            assert!(reply.message.metadata.authoritative, "{name} {via:?} {reply:?}");
        }
    }
    assert!(upstream.asked().is_empty(), "an alias that leads out is not followed");
}

#[test]
fn special_names_stay_here() {
    let (house, upstream) = house("enabled = true");
    for (name, qtype, want, answers) in [
        ("localhost", "A", ResponseCode::NoError, 1),
        ("x.localhost", "AAAA", ResponseCode::NoError, 1),
        ("localhost", "MX", ResponseCode::NoError, 0),
        ("x.invalid", "A", ResponseCode::NXDomain, 0),
        ("facebookcorewwwi.onion", "A", ResponseCode::NXDomain, 0),
        ("home.arpa", "SOA", ResponseCode::NoError, 1),
        ("box.home.arpa", "A", ResponseCode::NXDomain, 0),
        ("1.0.0.10.in-addr.arpa", "PTR", ResponseCode::NXDomain, 0),
        ("9.31.16.172.in-addr.arpa", "PTR", ResponseCode::NXDomain, 0),
        ("1.0.0.127.in-addr.arpa", "PTR", ResponseCode::NoError, 1),
        ("_dns.resolver.arpa", "SVCB", ResponseCode::NoError, 0),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::new(name, qtype));
            assert_eq!((reply.rcode(), reply.message.answers.len()), (want, answers), "{name} {via:?} {reply:?}");
            assert!(reply.message.metadata.authoritative, "{name} {via:?} {reply:?}");
        }
    }
    assert!(upstream.asked().is_empty(), "none is forwarded");
}

#[test]
fn special_names_are_switchable() {
    for (key, here) in [("forward = ['home.arpa']", true), ("enabled = false", false)] {
        let (house, upstream) = house(key);
        assert_eq!(house.a("x.onion").rcode() == ResponseCode::NXDomain, here, "{key}");
        assert!(house.a("box.home.arpa").is_sunk(), "{key}: now policy has its say");
        assert!(house.a("tea.home.arpa").is_upstreams() && upstream.seen("tea.home.arpa") == 1, "{key}");
        assert_eq!(house.a("www.corp.test").addresses().len(), 1, "{key}: zones stay");
    }
}
