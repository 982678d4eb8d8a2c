//! What goes over TCP, and whether an upstream's TCP can be had.

use super::*;

#[test]
fn who_hangs_over_tcp_is_asked_over_udp_all_the_same() {
    let mut rig = Rig::new(2);
    for name in 0..3 {
        let sent = rig.ask(name).one();
        assert!(rig.truncate(&sent).one().is_tcp());
        let next = rig.wait().1.one();
        assert_eq!((sent.upstream, next.upstream, next.is_tcp()), (0, 1, false));
        rig.resolve(&next).end().unwrap();
    }
    let sent = rig.ask(3).one();
    assert_eq!(sent.upstream, 0, "its UDP is as good as ever");
    let next = rig.truncate(&sent).one();
    assert_eq!((next.upstream, next.is_tcp()), (1, false), "its TCP rests");
    assert!(rig.truncate(&next).one().is_tcp(), "the other's does not");
    let sent = rig.ask(4).one();
    assert_eq!((sent.upstream, rig.resolve(&sent).end()), (0, Ok(0)), "what it says over UDP is believed");
}

#[test]
fn with_nobody_left_to_ask_over_tcp_it_ends_at_once() {
    let mut rig = Rig::new(1);
    for name in 0..3 {
        let sent = rig.ask(name).one();
        let again = rig.truncate(&sent).one();
        assert!(again.is_tcp(), "{name}");
        assert_eq!(rig.fail(&again).end(), Err(Failure::Network));
    }
    let sent = rig.ask(3).one();
    assert_eq!(rig.truncate(&sent).end(), Err(Failure::Network), "truncated");
    let sent = rig.ask(4).one();
    assert_eq!(rig.answer(&sent, &small_letters(&sent, &[1])).end(), Err(Failure::Network), "other letters");
    assert_eq!((rig.forward.in_flight(), rig.forward.ids_out()), (0, 0));
}

#[test]
fn one_query_probes_tcp_and_its_reply_clears_it() {
    let mut rig = Rig::new(2);
    for name in 0..3 {
        let sent = rig.ask(name).one();
        let again = rig.truncate(&sent).one();
        let next = rig.fail(&again).one();
        rig.resolve(&next).end().unwrap();
    }
    rig.now_ms += 1250;
    let (first, second) = (rig.ask(3).one(), rig.ask(4).one());
    let (probe, beside) = (rig.truncate(&first).one(), rig.truncate(&second).one());
    assert_eq!((probe.upstream, probe.is_tcp()), (0, true), "its rest is over");
    assert_eq!((beside.upstream, beside.is_tcp()), (1, false), "one query probes");
    rig.resolve(&beside).end().unwrap();
    rig.resolve(&probe).end().unwrap();
    let sent = rig.ask(5).one();
    assert!(rig.truncate(&sent).one().is_tcp(), "recovered");
}

#[test]
fn udp_says_nothing_of_tcp() {
    let mut rig = Rig::new(2);
    rig.time_out(0..3);
    let mut sent = rig.ask(3).one();
    assert_eq!(sent.upstream, 1, "its UDP rests");
    sent = rig.answer(&sent, &coded(&sent, 2, None)).one();
    assert_eq!((sent.upstream, rig.truncate(&sent).one().is_tcp()), (0, true), "its TCP does not");
}

#[test]
fn a_failure_of_our_own_says_nothing_of_the_upstream() {
    let mut rig = Rig::new(1);
    for name in 0..9 {
        let sent = rig.ask(name).one();
        let again = rig.truncate(&sent).one();
        assert!(again.is_tcp(), "{name}");
        let mut effects = Vec::new();
        let Via::Tcp(slot) = again.via else { unreachable!() };
        rig.forward.on_tcp_reply(slot, Err(TcpFailed::Uncounted), rig.now_ms, &mut effects);
        assert_eq!(Outcome(effects).end(), Err(Failure::Network));
    }
}

#[test]
fn a_query_over_tcp_says_when_its_flight_ends() {
    let mut rig = Rig::new(1);
    let sent = rig.ask(1).one();
    let begun_ms = rig.now_ms;
    rig.now_ms += 300;
    let outcome = rig.truncate(&sent);
    assert!(
        outcome
            .0
            .iter()
            .any(|effect| matches!(effect, Effect::SendTcp { deadline_ms, .. } if *deadline_ms == begun_ms + 2500))
    );
}

#[test]
fn a_truncated_reply_is_asked_again_over_tcp() {
    let mut rig = Rig::new(2);
    let sent = rig.ask(1).one();
    let cut = changed(&sent.octets, 2, |octet| octet | 0x82);
    let again = rig.answer(&sent, &cut).one();
    assert_eq!((again.upstream, again.is_tcp()), (0, true));
    let next = rig.answer(&again, &changed(&again.octets, 2, |octet| octet | 0x82)).one();
    assert_eq!((next.upstream, next.is_tcp()), (1, false), "TC over TCP is an error");
    assert_eq!(rig.resolve(&next).end(), Ok(0));
    assert!(rig.resolve(&again).0.is_empty(), "nobody waits for that slot");
}

#[test]
fn a_reply_over_tcp_is_checked_too() {
    for at in [1, 2, 15, 28] {
        let mut rig = Rig::new(2);
        let sent = rig.ask(1).one();
        let again = rig.answer(&sent, &changed(&sent.octets, 2, |octet| octet | 0x82)).one();
        let right = address_reply(&again.octets, &[1], 60);
        let outcome = rig.answer(&again, &changed(&right, at, |octet| octet ^ 0x81));
        assert_eq!((outcome.one().upstream, outcome.counts(Event::Rejected)), (1, 1), "octet {at}");
    }
}
