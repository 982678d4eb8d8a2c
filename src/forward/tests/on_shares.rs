//! Who gives way when there is no more room.

use super::*;

#[test]
fn many_may_wait_for_one_name() {
    let mut rig = Rig::with(1, |config| config.waiting_per_client_max = usize::MAX);
    let sent = rig.ask(1).one();
    for _ in 0..2000 {
        rig.ask(1);
    }
    assert_eq!(rig.forward.waiting_octets(), 2001 * WAITER_OCTETS);
    assert_eq!(rig.resolve(&sent).done()[0].0.len(), 2001);
    assert_eq!(rig.forward.waiting_octets(), 0);
}

#[test]
fn with_a_full_table_the_greediest_client_gives_way() {
    let mut rig = Rig::with(1, |config| config.in_flight_max = 100);
    (0..100).for_each(|name| drop(rig.try_ask_as(1000 + u32::from(name), 0, name).unwrap()));
    let outcome = rig.try_ask_as(2000, 0, 200).unwrap();
    let gave_way = outcome.done();
    assert_eq!((gave_way.len(), gave_way[0].1), (1, Err(Failure::GaveWay(Bound::InFlight))));
    assert!((1000..1100).contains(&gave_way[0].0[0]) && outcome.sent().len() == 1);
    assert_eq!((rig.forward.in_flight(), rig.forward.ids_out()), (100, 100));
    let again = rig.try_ask_as(1100, 0, 201);
    assert_eq!(again.map(|_| ()), Err(Refused::Full { waiter: 1100, bound: Bound::InFlight }), "not for itself");
    // Whoever asks for less gets on, as long as the greedy one has half of the table and so is found.
    for client in 3..51 {
        let outcome = rig.try_ask_as(client * 1000, 0, 300 + u16::try_from(client).unwrap()).unwrap();
        assert!((1000..1100).contains(&outcome.done()[0].0[0]), "client {client}");
    }
}

#[test]
fn who_asks_for_as_much_waits_until_the_other_has_had_its_time() {
    let mut rig = Rig::with(1, |config| config.in_flight_max = 2);
    rig.try_ask_as(1000, 0, 1).unwrap();
    rig.now_ms += 100;
    rig.try_ask_as(2000, 0, 2).unwrap();
    rig.now_ms += 99;
    assert!(rig.try_ask_as(3000, 0, 3).is_err(), "none has had 200 ms");
    rig.now_ms += 1;
    assert_eq!(rig.try_ask_as(3000, 0, 3).unwrap().done()[0].0, [1000], "the older");
}

#[test]
fn a_tenants_flood_from_many_addresses_is_no_other_tenants() {
    let mut rig = Rig::with(1, |config| config.in_flight_max = 100);
    (0..100).for_each(|name| drop(rig.try_ask_as(1000 * u32::from(name), 0, name).unwrap()));
    for number in 0..50 {
        let outcome = rig.try_ask_as(1_000_000 + number, 0, 200 + u16::try_from(number).unwrap()).unwrap();
        assert!(outcome.done()[0].0[0] < 1_000_000, "the other tenant gives way");
    }
    let next = rig.try_ask_as(1_000_050, 0, 250);
    assert!(next.is_err(), "both have half");
}

#[test]
fn what_many_wait_for_does_not_give_way_for_the_greedy_one_who_asked_first() {
    let mut rig = Rig::with(1, |config| config.in_flight_max = 8);
    (0..8).for_each(|name| drop(rig.try_ask_as(1000 + u32::from(name), 0, name).unwrap()));
    rig.try_ask_as(2000, 0, 0).unwrap();
    for client in 3..7 {
        let outcome = rig.try_ask_as(client * 1000, 0, 10 + u16::try_from(client).unwrap()).unwrap();
        assert_ne!(outcome.done()[0].0, [1000, 2000], "client {client}");
    }
}

#[test]
fn memory_of_who_waits_is_bounded_and_the_greedy_give_way() {
    let mut rig = Rig::with(1, |config| (config.waiting_max_mb, config.waiting_per_client_max) = (1, usize::MAX));
    let room = u32::try_from((1 << 20) / WAITER_OCTETS).unwrap();
    // One client waits ten times each for many names.
    (0..room)
        .for_each(|number| drop(rig.try_ask_as(1000 + number % 1000, 0, u16::try_from(number / 10).unwrap()).unwrap()));
    let full = rig.try_ask_as(1999, 0, 0).map(|_| ());
    assert_eq!(full, Err(Refused::Full { waiter: 1999, bound: Bound::Waiting }));
    let outcome = rig.try_ask_as(2000, 0, 9999).unwrap();
    assert_eq!(outcome.done()[0].1, Err(Failure::GaveWay(Bound::Waiting)));
    assert!(rig.forward.waiting_octets() <= 1 << 20);
}

#[test]
fn limits_give_the_waiter_back() {
    let mut rig = Rig::with(1, |config| (config.in_flight_max, config.waiting_per_client_max) = (2, 3));
    let sent = rig.ask(1).one();
    rig.ask(2);
    let full = |waiter, bound| Err(Refused::Full { waiter, bound });
    assert_eq!(rig.try_ask(3).map(|_| ()), full(3, Bound::InFlight), "one client makes no room for itself");
    rig.ask(1);
    assert_eq!(rig.try_ask(1).map(|_| ()), full(5, Bound::WaitingPerClient));
    assert_eq!(rig.resolve(&sent).done(), [(vec![1, 4], Ok(0))]);
    assert!(rig.try_ask(3).is_ok());
    assert_eq!(Rig::new(0).try_ask(1).map(|_| ()), Err(Refused::NoUpstream { waiter: 1 }));
}

#[test]
fn at_the_end_all_are_told() {
    let mut rig = Rig::new(1);
    rig.ask(1);
    rig.ask(1);
    rig.ask(2);
    let mut effects = Vec::new();
    rig.forward.end_all(rig.now_ms, &mut effects);
    let mut told: Vec<_> = Outcome(effects).done();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(told, [(vec![1, 2], Err(Failure::Timeout)), (vec![3], Err(Failure::Timeout))]);
    assert_eq!((rig.forward.in_flight(), rig.forward.ids_out(), rig.forward.waiting_octets()), (0, 0, 0));
}
