//! What many updates in a row cost, and what is left when the program is killed in the middle of one.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use cenote::admin::{Reply, Request, ask};
use rustix::process::Signal;

use crate::harness::child::Serving;
use crate::harness::{Ask, Client, Plan, Via, eventually};

/// Octets of memory resident, and open files if this user may count them.
fn usage(process: u32) -> (u64, Option<usize>) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    (kilobytes * 1024, fs::read_dir(format!("/proc/{process}/fd")).ok().map(Iterator::count))
}

/// Has the server behind `socket` read its feeds again; the generation, and that there was nothing to say.
fn refresh(socket: &Path) -> u64 {
    match ask(socket, &Request::Refresh { feeds: vec![], force: false }).unwrap() {
        Reply::Reloaded { generation, warnings, .. } => {
            assert!(warnings.is_empty(), "{warnings:?}");
            generation
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thousand_updates_leave_memory_and_files_as_they_were() {
    const REFRESHES: u64 = 1000;
    let mut names: String = (0..50_000).map(|i| format!("n{i}.example.test\n")).collect();
    let settled = names.len();
    let plan = Plan::new().feed("ads", &names).key("state", "directory = 'state'").key("admin", "socket = 'socket'");
    let mut serving = Serving::start(&plan.write(), &["--log", "off"]);
    let socket = plan.folder().join("socket");
    let mut client = Client::new(Via::Udp, serving.at());
    let (mut from_tenth, mut files) = (Vec::new(), None);
    for round in 1..=REFRESHES {
        names.truncate(settled);
        writeln!(names, "round-{round}.test").unwrap();
        plan.replace("ads", &names);
        refresh(&socket);
        if round % 10 == 0 {
            assert!(client.ask(&Ask::a(&format!("round-{round}.test"))).is_sunk());
            let (resident, open) = usage(serving.id());
            from_tenth.push(resident);
            files = files.or(open);
        }
    }
    // The last hundred against the first after the tenth: what leaks does so every time.
    let middle = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part[part.len() / 2]
    };
    let (early, late) = (middle(&from_tenth[..10]), middle(&from_tenth[from_tenth.len() - 10..]));
    assert!(late * 100 <= early * 105, "resident: {early} octets early, {late} late: {from_tenth:?}");
    // A connection or a feed may be open at the moment.
    eventually("no file more is open", || usage(serving.id()).1 <= files);
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().code(), Some(0));
}

#[test]
fn killed_at_any_moment_it_starts_with_a_whole_generation() {
    const KILLS: u64 = 40;
    // Every generation has its own hundred names, so that a mixture would show.
    let names = |generation: u64| -> String { (0..100).map(|i| format!("n{i}.g{generation}.test\n")).collect() };
    let plan = Plan::new().feed("ads", &names(0)).key("state", "directory = 'state'").key("admin", "socket = 'socket'");
    let config = plan.write();
    let socket = plan.folder().join("socket");
    let mut enforced = 0;
    for kill in 0..KILLS {
        // The source is gone at the start: what is enforced is what was kept.
        if kill > 0 {
            fs::remove_file(plan.folder().join("ads")).unwrap();
        }
        let mut serving = Serving::start(&config, &["--log", "off"]);
        let mut client = Client::new(Via::Udp, serving.at());
        let mut sunk = |generation: u64| {
            (0..100).filter(|i| client.ask(&Ask::a(&format!("n{i}.g{generation}.test"))).is_sunk()).count()
        };
        let whole: Vec<u64> = (enforced..=enforced + 1).filter(|&generation| sunk(generation) == 100).collect();
        let any: Vec<u64> = (enforced..=enforced + 1).filter(|&generation| sunk(generation) > 0).collect();
        assert!(
            whole.len() == 1 && any == whole,
            "kill {kill}: {whole:?} whole and {any:?} in part, {enforced} or the next"
        );
        enforced = whole[0];
        // Killed somewhere between the change of the file and long after it is kept.
        let socket = socket.clone();
        plan.replace("ads", &names(enforced + 1));
        let asking = thread::spawn(move || drop(ask(&socket, &Request::Refresh { feeds: vec![], force: false })));
        thread::sleep(Duration::from_micros(kill * 7919 % 20_000));
        serving.signal(Signal::KILL);
        eventually("it is dead", || {
            fs::read_to_string(format!("/proc/{}/stat", serving.id())).map_or(true, |stat| stat.contains(") Z "))
        });
        serving.end();
        asking.join().unwrap();
    }
    assert!(enforced > 0, "some updates were kept");
}
