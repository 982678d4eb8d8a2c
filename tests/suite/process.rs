//! The program as people run it: how it starts, what it says, how it ends.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::child::{Serving, run, run_with};
use crate::harness::{Ask, BOTH, Client, Plan, Upstream, Via, eventually, free_addresses, http};

/// Standard output and standard error.
fn texts(output: &Output) -> (String, String) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs a command that must end with this code; gives what it said.
fn ends(code: i32, args: &[&str]) -> (String, String) {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    texts(&output)
}

#[test]
fn it_ends_in_time_and_answers_what_is_in_flight() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]);
    let mut serving = Serving::start(&plan.write(), &[]);
    let mut clients = BOTH.map(|via| Client::new(via, serving.at()));
    for (client, name) in clients.iter_mut().zip(["hold.one.test", "hold.two.test"]) {
        client.send(&Ask::a(name).octets());
        upstream.wait_for(name, 1);
    }
    serving.signal(Signal::TERM);
    eventually("no stream is accepted any more", || TcpStream::connect(serving.at()).is_err());
    let released = Instant::now();
    upstream.release();
    assert!(clients.iter_mut().all(|client| client.receive().is_upstreams()));
    assert_eq!(serving.end().code(), Some(0), "{}", serving.said());
    assert!(
        released.elapsed() < Duration::from_secs(10),
        "it waited though nothing was left: {:?}",
        released.elapsed()
    );
}

#[test]
fn it_ends_in_time_though_an_upstream_never_answers() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).key("upstream", "timeout-ms = 500");
    let plan = plan.key("upstream", "budget-ms = 1000");
    let mut serving = Serving::start(&plan.write(), &[]);
    let mut clients = BOTH.map(|via| Client::new(via, serving.at()));
    for (client, name) in clients.iter_mut().zip(["hold.one.test", "hold.two.test"]) {
        client.send(&Ask::a(name).octets());
        upstream.wait_for(name, 1);
    }
    let told = Instant::now();
    serving.signal(Signal::INT);
    assert_eq!(serving.end().code(), Some(0), "{}", serving.said());
    assert!(told.elapsed() < Duration::from_secs(9), "{:?}", told.elapsed());
}

#[test]
fn a_signal_that_comes_while_it_starts_waits_until_it_has() {
    for signal in [Signal::HUP, Signal::TERM] {
        let [at] = free_addresses();
        let plan = Plan::new().key("server", &format!("listen = ['{at}']")).feed("ads", "listed.test\n");
        let mut serving = Serving::spawn(&plan.write(), &[]);
        serving.wait_until("its socket", |_| TcpStream::connect(at).is_ok());
        serving.signal(signal);
        if signal == Signal::HUP {
            serving.wait_for_banner();
            serving.wait_until("the reload", |serving| serving.log().contains("generation=2"));
            serving.signal(Signal::TERM);
        }
        assert_eq!(serving.end().code(), Some(0), "{signal:?}: {}", serving.said());
    }
}

#[test]
fn told_to_end_it_is_unready_first_and_answers_until_the_drain_is_over() {
    let plan = Plan::new().feed("ads", "listed.test\n").key("metrics", "listen = '127.0.0.1:0'");
    let mut serving = Serving::start(&plan.key("server", "drain-secs = 60").write(), &[]);
    let (at, http_at) = (serving.at(), serving.http());
    assert_eq!(http(http_at, "/readyz").0, 200);
    let mut early = Client::new(Via::Tcp, at);
    assert!(early.ask(&Ask::a("listed.test")).is_sunk());
    serving.signal(Signal::TERM);
    serving.wait_until("/readyz", |_| http(http_at, "/readyz").0 == 503);
    assert!(http(http_at, "/readyz").1.ends_with("\r\n\r\ndraining\n"));
    assert!(early.ask(&Ask::a("listed.test")).is_sunk(), "a connection from before");
    for via in BOTH {
        assert!(Client::new(via, at).ask(&Ask::a("www.listed.test")).is_sunk(), "a new client, {via:?}");
    }
    assert!(serving.log().lines().any(|line| line.contains("draining") && line.contains("drain_secs=60")));
    // Within the patience of a test, which is half as long as the drain.
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().code(), Some(0), "{}", serving.said());
    assert!(serving.log().contains("ends at once"), "{}", serving.log());
}

#[test]
fn a_drain_ends_by_itself_and_ctrl_c_has_none() {
    for (signal, secs, drains) in [(Signal::TERM, 1, true), (Signal::TERM, 0, true), (Signal::INT, 60, false)] {
        let plan = Plan::new().key("server", &format!("drain-secs = {secs}"));
        let mut serving = Serving::start(&plan.write(), &[]);
        serving.signal(signal);
        assert_eq!(serving.end().code(), Some(0), "{signal:?}: {}", serving.said());
        let log = serving.log();
        let line = |words: &str| log.lines().position(|line| line.contains(words));
        let steps = [line("draining"), line("nothing is taken any more"), line("ended")];
        assert!(steps[0].is_some() == drains && steps.is_sorted(), "{signal:?} {secs}: {log}");
        assert!(steps[1] < steps[2], "{signal:?} {secs}: {log}");
    }
}

#[test]
fn signals_that_mean_nothing_here_do_not_end_it() {
    let plan = Plan::new().feed("ads", "listed.test\n");
    let mut serving = Serving::start(&plan.write(), &[]);
    let named = [
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::STKFLT,
        Signal::POWER,
        Signal::XFSZ,
        Signal::PIPE,
    ];
    for signal in named {
        serving.signal(signal);
        assert!(Client::new(Via::Udp, serving.at()).ask(&Ask::a("listed.test")).is_sunk(), "{signal:?}");
    }
    // What it ignores, as the kernel has it, signal 1 in bit 0. Of the real-time signals, 32 to 64, the C library keeps up to three.
    let status = fs::read_to_string(format!("/proc/{}/status", serving.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_eq!(ignored >> 34, (1 << 30) - 1, "{ignored:x}");
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().code(), Some(0));
}

#[test]
fn a_reload_that_is_asked_for_while_the_configuration_is_read_is_done_after() {
    let plan = Plan::new().feed("ads", "listed.test\n");
    let text = fs::read_to_string(plan.write()).unwrap();
    let pipe = plan.folder().join("pipe.toml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let mut serving = Serving::spawn(&pipe, &[]);
    // There is no opening it until somebody reads.
    let without_waiting = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let wait_for_reader = |serving: &mut Serving| {
        let mut writer = None;
        serving.wait_until("the configuration is read", |_| {
            writer = fs::OpenOptions::new().write(true).custom_flags(without_waiting).open(&pipe).ok();
            writer.is_some()
        });
        writer.unwrap()
    };
    let mut writer = wait_for_reader(&mut serving);
    serving.signal(Signal::HUP);
    writer.write_all(text.as_bytes()).unwrap();
    drop(writer);
    serving.wait_for_banner();
    wait_for_reader(&mut serving).write_all(text.as_bytes()).unwrap();
    serving.wait_until("the reload", |serving| serving.log().contains("generation=2"));
}

#[test]
fn a_dead_upstream_and_its_return_are_one_line_each() {
    let [at] = free_addresses();
    let plan = Plan::new().key("upstream", &format!("servers = ['{at}']")).key("server", "workers = 2");
    let mut serving = Serving::start(&plan.write(), &[]);
    let mut number = 0;
    let mut ask = |serving: &Serving| {
        number += 1;
        // From a port of its own: whichever worker it comes to.
        Client::new(Via::Udp, serving.at()).ask(&Ask::a(&format!("n{number}.test"))).rcode()
    };
    let lines = |serving: &Serving, words: &str| {
        let told = |line: &&str| line.contains(words) && line.contains(&format!("upstream={at}"));
        serving.log().lines().filter(told).count()
    };
    serving.wait_until("it is silent", |serving| {
        ask(serving);
        lines(serving, "does not answer") > 0
    });
    let _upstream = Upstream::at(at);
    serving.wait_until("it answers again", |serving| {
        ask(serving);
        lines(serving, "answers again") > 0
    });
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().code(), Some(0));
    assert_eq!((lines(&serving, "does not answer"), lines(&serving, "answers again")), (1, 1), "{}", serving.log());
    assert!(!serving.log().contains(".test"), "no name: {}", serving.log());
    assert!(serving.log().contains("silent_secs="), "{}", serving.log());
}

#[test]
fn each_fault_of_a_reload_is_a_line_of_the_log_and_quotes_nothing() {
    for json in [false, true] {
        let plan = Plan::new().feed("ads", "listed.test\n");
        let plan = if json { plan.key("server", "log-format = 'json'") } else { plan };
        let serving = &mut Serving::start(&plan.write(), &[]);
        let file = plan.path("cenote.toml");
        plan.replace(
            "cenote.toml",
            "[server]\nworkers = 'many'\nlissten = []\n[gate]\ncanaries = ['canary..test', 'fine.test']\n",
        );
        serving.signal(Signal::HUP);
        serving.wait_until("the faults", |serving| serving.log().contains("the older generation stays"));
        let log = serving.log();
        assert!(!log.contains("canary") && !log.contains("many"), "{log}");
        for (line, key, problem) in [
            (2, "server.workers", "expected a whole number from 0 to 256, got something else"),
            (3, "server.lissten", "expected a known key, got lissten; did you mean listen?"),
            (5, "gate.canaries[0]", "expected a name that is never to be sunk"),
        ] {
            let told = |text: &&str| {
                if json {
                    let event: serde_json::Value = serde_json::from_str(text).unwrap();
                    let place = event["file"] == *file && event["line"] == line && event["key"] == key;
                    place && event["level"] == "ERROR" && event["message"].as_str().unwrap().contains(problem)
                } else {
                    text.contains(&format!("file={file} line={line} key=\"{key}\"")) && text.contains(problem)
                }
            };
            // A change of the file reloads it too.
            assert!(log.lines().any(|line| told(&line)), "{key}: {log}");
        }
    }
}

#[test]
fn a_log_of_json_has_an_object_on_every_line() {
    let plan = Plan::new().feed("ads", "listed.test\n").key("server", "log-format = 'json'");
    let mut serving = Serving::start(&plan.write(), &["--log", "trace"]);
    serving.signal(Signal::TERM);
    assert_eq!(serving.end().code(), Some(0));
    let log = serving.log();
    let events: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whole = |event: &serde_json::Value| {
        ["timestamp", "level", "target", "message"].iter().all(|key| event[key].is_string())
    };
    assert!(events.len() >= 3 && events.iter().all(whole), "{log}");
}

#[test]
fn a_start_that_fails_says_so_in_the_logs_own_format() {
    let plan = Plan::new().feed("ads", "listed.test\n").key("server", "log-format = 'json'");
    fs::remove_file(plan.path("ads")).unwrap();
    let output = run(&["serve", "--config", &plan.write().display().to_string()]);
    let (_, log) = texts(&output);
    let events: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = events.last().unwrap();
    assert_eq!((output.status.code(), last["message"].as_str()), (Some(1), Some("the server ended")), "{log}");
    assert!(last["error"].as_str().unwrap().contains("not started; mend the sources"), "{log}");
}

#[test]
fn what_was_taken_for_a_feeds_name_is_not_logged() {
    let plan = Plan::new().feed("ads", "listed.test\n").key("admin", "socket = 'admin.sock'");
    let (file, socket) = (plan.write(), plan.path("admin.sock"));
    let serving = Serving::start(&file, &["--log", "trace"]);
    let (_, said) = texts(&run(&["feed", "refresh", "kestrel.test", "--socket", &socket]));
    assert!(said.contains("kestrel.test"), "whoever asked is told: {said}");
    assert!(!serving.log().contains("kestrel") && serving.log().contains("a feed was named"), "{}", serving.log());
}

#[test]
fn a_state_of_a_newer_version_is_called_so() {
    let plan = Plan::new().feed("ads", "listed.test\n").key("state", "directory = 'state'");
    let plan = plan.key("state", "start = 'wait'").key("metrics", "listen = '127.0.0.1:0'");
    fs::create_dir(plan.path("state")).unwrap();
    let newer = "{\"version\": 2, \"generation\": 7, \"what\": \"else\"}";
    fs::write(plan.path("state/generation-0000000007.json"), newer).unwrap();
    let words = "the state directory was written by a newer version of cenote";
    let serving = Serving::start(&plan.write(), &[]);
    let (status, body) = http(serving.http(), "/readyz");
    assert!(status == 200 && body.ends_with(&format!("enforcing generation 8, {words}\n")), "{body}");
    assert!(serving.said().contains("got one of a newer version"), "{}", serving.said());
    drop(serving);
    fs::remove_file(plan.path("state/generation-0000000008.json")).unwrap();
    fs::remove_file(plan.path("ads")).unwrap();
    let serving = Serving::start(&plan.write(), &[]);
    let (status, body) = http(serving.http(), "/readyz");
    assert!(status == 503 && body.ends_with(&format!("not enforcing, 1 feed never read, {words}\n")), "{body}");
}

#[test]
fn compile_says_which_folder_is_missing_and_what_cannot_be_written() {
    let plan = Plan::new().feed("ads", "listed.test\n");
    let config = plan.write().display().to_string();
    let (missing, folder) = (plan.path("none/index.cenote"), plan.folder().display().to_string());
    for (out, words) in [
        (missing.as_str(), [missing.as_str(), &format!("got no folder {folder}/none; make it")]),
        (folder.as_str(), [folder.as_str(), "expected a file to write, got a folder"]),
    ] {
        let (_, err) = ends(1, &["compile", "--out", out, "--config", &config]);
        assert!(words.iter().all(|words| err.contains(words)) && err.lines().count() == 1, "{err}");
    }
}

#[test]
fn an_address_in_use_is_one_clear_error() {
    let serving = Serving::start(&Plan::new().write(), &[]);
    let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    for (section, taken) in [
        // Its sockets share their port with whoever asks the kernel to: the probe must find it.
        ("server", serving.at()),
        ("server", udp.local_addr().unwrap()),
        ("server", tcp.local_addr().unwrap()),
        ("metrics", tcp.local_addr().unwrap()),
    ] {
        let value = if section == "server" { format!("['{taken}']") } else { format!("'{taken}'") };
        let plan = Plan::new().key(section, &format!("listen = {value}"));
        let (out, err) = ends(1, &["serve", "--config", &plan.write().display().to_string()]);
        assert!(out.is_empty() && err.lines().count() == 1, "{section}: {err}");
        let told =
            err.starts_with("cenote: ") && err.contains(&taken.to_string()) && err.to_lowercase().contains("in use");
        assert!(told, "{section}: {err}");
    }
}

#[test]
fn faults_are_all_told_by_file_line_and_key() {
    let plan = Plan::new();
    let file = plan.write().display().to_string();
    fs::write(&file, "[server]\nworkers = 'many'\nlissten = []\n[sinkhole]\nipv4 = '::1'\n[[feed]]\nname = 'A!'\n")
        .unwrap();
    for command in ["serve", "check"] {
        let (out, err) = ends(78, &[command, "--config", &file]);
        assert!(out.is_empty(), "{command}: {out}");
        for fault in [
            ":2: server.workers: expected",
            ":3: server.lissten: expected",
            ":5: sinkhole.ipv4: expected",
            ":7: feed[0].name: expected",
        ] {
            assert!(
                err.lines().any(|line| line.starts_with(&format!("{file}{fault}"))),
                "{command}: {fault} in\n{err}"
            );
        }
        assert!(err.contains("listen"), "a suggestion: {err}");
    }
}

#[test]
fn a_feed_that_cannot_be_read_is_a_clear_error() {
    let plan = Plan::new().feed("ads", "listed.test\n");
    let file = plan.write().display().to_string();
    fs::remove_file(plan.path("ads")).unwrap();
    for (command, code, lines) in [("serve", 1, 2), ("check", 78, 1)] {
        let (out, err) = ends(code, &[command, "--config", &file]);
        assert!(out.is_empty() && err.lines().count() == lines, "{command}: {err}");
        assert!(err.contains("feed ads") && err.contains(&plan.path("ads")), "{command}: {err}");
    }
}

#[test]
fn check_puts_every_line_in_its_bucket() {
    let plan = Plan::new().feed_with("ads", "# c\n\na.test\nb.test\na.test\nbad..name\ncom\n", "format = 'plain'");
    let plan = plan.feed("hosts", "0.0.0.0 c.test d.test\n127.0.0.1 localhost\n");
    let (out, _) = ends(0, &["check", "--config", &plan.write().display().to_string()]);
    let row = |name: &str| -> Vec<String> {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {out}"));
        line.split_whitespace().map(ToOwned::to_owned).collect()
    };
    assert_eq!(row("ads"), ["ads", "plain", "7", "2", "1", "2", "0", "2", "2"], "{out}");
    assert_eq!(row("hosts")[..3], ["hosts", "hosts", "2"], "{out}");
    let sums: Vec<u64> = row("sum")[1..].iter().map(|number| number.parse().unwrap()).collect();
    assert_eq!(sums[0], sums[1..6].iter().sum::<u64>(), "lines = used + duplicate + comment + header + refused\n{out}");
    assert!(!out.contains("bad..name"), "no line of a feed is shown: {out}");
}

#[test]
fn check_warns_of_what_works_but_hardly_as_meant() {
    let zone = "@ SOA ns host 1 2 3 4 5\na.test CNAME .\nb.test CNAME .\n*.b.test CNAME .\nc.test CNAME *.\n";
    let both = format!("{zone}d.test CNAME rpz-passthru.\n");
    let plan = Plan::new().feed_with("rpz", &both, "format = 'rpz'");
    let plan = plan.feed_with("gone", "=a.test\nb.test\n=c.test\n", "action = 'nxdomain'").feed("fine", "=a.test\n");
    let (out, _) = ends(0, &["check", "--config", &plan.write().display().to_string()]);
    for warning in [
        "feed rpz: passthru entries ignored, for it has no may-allow: 1",
        "feed rpz: names answered NXDOMAIN while what is below them is not: 1",
        "feed gone: names answered NXDOMAIN while what is below them is not: 2",
    ] {
        assert!(out.contains(&format!("\nwarning: {warning}")), "no {warning}: {out}");
    }
    assert!(!out.contains("feed fine: "), "{out}");
    // A tenant's own action makes the same of every feed it has.
    let plan = plan.tenant("strict", "networks = ['127.0.0.2']\naction = 'nxdomain'\nfeeds = ['fine']");
    let (out, _) = ends(0, &["check", "--config", &plan.write().display().to_string()]);
    assert!(out.contains("feed fine: names answered NXDOMAIN while what is below them is not: 1"), "{out}");
}

#[test]
fn an_artifact_is_compiled_checked_and_served() {
    let plan = Plan::new().feed("ads", "listed.test\nother.example\n").feed("more", "third.test\n");
    let artifact = plan.path("index.cenote");
    let (out, _) = ends(0, &["compile", "--out", &artifact, "--config", &plan.write().display().to_string()]);
    assert!(out.contains("3 names"), "{out}");
    let other = Plan::new();
    let served = other.feed_with("whole", "", &format!("format = 'artifact' # {artifact}"));
    fs::copy(&artifact, served.path("whole")).unwrap();
    let file = served.write();
    let (out, _) = ends(0, &["check", "--config", &file.display().to_string()]);
    assert!(
        out.lines().any(|line| line.starts_with("whole") && line.contains("artifact") && line.ends_with('3')),
        "{out}"
    );
    let serving = Serving::start(&file, &[]);
    for name in ["listed.test", "www.other.example", "third.test"] {
        assert!(Client::new(Via::Udp, serving.at()).ask(&Ask::a(name)).is_sunk(), "{name}");
    }
    let octets = fs::read(&artifact).unwrap();
    for damaged in
        [&octets[..octets.len() - 1], &octets[..octets.len() / 2], &[&octets[..60], b"!", &octets[61..]].concat()]
    {
        fs::write(served.path("whole"), damaged).unwrap();
        let (_, err) = ends(78, &["check", "--config", &file.display().to_string()]);
        assert!(err.contains("feed whole"), "{err}");
    }
}

#[test]
fn a_running_server_explains_and_reloads() {
    let plan = Plan::new().feed("ads", "listed.test\n").feed_with("more", "www.listed.test\n", "action = 'nxdomain'");
    let plan = plan.key("admin", "socket = 'admin.sock'");
    let file = plan.write();
    let (socket, config) = (plan.path("admin.sock"), file.display().to_string());
    let serving = Serving::start(&file, &[]);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let how: [&[&str]; 2] = [&["--socket", &socket], &["--config", &config]];
    for (name, client, words) in [
        ("www.listed.test", None, &["sinkhole", "feed ads", "listed.test", "nxdomain", "an earlier feed decides"][..]),
        ("other.test", None, &["not listed"]),
        ("localhost", None, &["localhost"]),
        ("listed.test", Some("203.0.113.9"), &["203.0.113.9"]),
    ] {
        for how in how {
            let client: Vec<&str> = client.map(|client| ["--client", client]).into_iter().flatten().collect();
            let (out, _) = ends(0, &[&["explain", name], how, &client].concat());
            assert!(words.iter().all(|word| out.contains(word)), "{words:?} in\n{out}");
        }
    }
    plan.replace("ads", "listed.test\nnew.test\n");
    let (out, _) = ends(0, &["reload", "--socket", &socket]);
    assert!(out.starts_with("generation "), "{out}");
    assert!(Client::new(Via::Udp, serving.at()).ask(&Ask::a("new.test")).is_sunk());
    plan.replace("ads", "listed.test\nnewer.test\n");
    serving.signal(Signal::HUP);
    eventually("SIGHUP reloads", || Client::new(Via::Udp, serving.at()).ask(&Ask::a("newer.test")).is_sunk());
    let (_, err) = ends(1, &["explain", "listed.test", "--socket", &plan.path("none.sock")]);
    assert!(err.contains("none.sock"), "{err}");
}

#[test]
fn explain_knows_whose_a_listener_is() {
    let [shared, own] = free_addresses();
    let plan = Plan::new()
        .feed("ads", "listed.test\n")
        .key("server", &format!("listen = ['{shared}', '{own}']"))
        .key("admin", "socket = 'admin.sock'")
        .tenant("listening", &format!("listeners = ['{own}']\nfeeds = []"))
        .tenant("addressed", "networks = ['192.0.2.0/24']\ndeny = ['own.test']");
    let file = plan.write();
    let (socket, config) = (plan.path("admin.sock"), file.display().to_string());
    let _serving = Serving::start(&file, &[]);
    let (shared, own) = (shared.to_string(), own.to_string());
    let how: [&[&str]; 2] = [&["--socket", &socket], &["--config", &config]];
    for how in how {
        for (words, tenant) in [
            (&["--listener", &shared][..], "default"),
            (&["--listener", &shared, "--client", "192.0.2.9"], "addressed"),
            (&["--listener", &own], "listening"),
            (&["--listener", &own, "--client", "192.0.2.9"], "listening"),
            (&["--listener", &own, "--client", "192.0.2.9", "--proxied"], "addressed"),
            (&["--listener", &own, "--client", "198.51.100.9", "--proxied"], "listening"),
            (&["--client", "192.0.2.9", "--proxied"], "addressed"),
            (&["--client", "192.0.2.9"], "addressed"),
            (&[], "default"),
        ] {
            let (out, _) = ends(0, &[&["explain", "listed.test"], how, words].concat());
            let line = out.lines().find(|line| line.starts_with("tenant")).unwrap_or_default();
            assert_eq!(line, format!("tenant      {tenant}"), "{how:?} {words:?}");
            assert_eq!(out.contains("\nlistener    127."), words.contains(&"--listener"), "{out}");
        }
        let (_, err) = ends(1, &[&["explain", "listed.test", "--listener", "127.0.0.1:1"], how].concat());
        assert!(
            err.contains("127.0.0.1:1: expected one of server.listen's addresses, ") && err.contains(&own),
            "{how:?} {err}"
        );
    }
}

#[test]
fn explain_says_that_a_server_is_still_loading() {
    let [dns] = free_addresses();
    let plan = Plan::new()
        .feed("ads", "listed.test\n")
        .key("server", &format!("listen = ['{dns}']"))
        .key("admin", "socket = 'admin.sock'");
    let (socket, config) = (plan.path("admin.sock"), plan.path("cenote.toml"));
    let generation = |how: &[&str]| {
        let (out, _) = ends(0, &[&["explain", "listed.test"], how].concat());
        out.lines().find_map(|line| line.strip_prefix("generation  ")).unwrap_or_default().to_owned()
    };
    let mut early = Vec::new();
    let _house = plan.start_and(&mut |_, _, _| {
        if early.is_empty() {
            early = vec![generation(&["--socket", &socket]), generation(&["--config", &config])];
        }
    });
    let offline = "none: the configuration was loaded for this question";
    assert_eq!(early, ["none yet: not all feeds are loaded", offline]);
    assert_eq!([generation(&["--socket", &socket]), generation(&["--config", &config])], ["1", offline]);
}

#[test]
fn a_socket_that_was_left_behind_is_taken_over_and_a_live_one_is_not() {
    let plan = Plan::new().key("admin", "socket = 'admin.sock'");
    let file = plan.write();
    drop(Serving::start(&file, &[]));
    assert!(fs::exists(plan.path("admin.sock")).unwrap(), "a killed server leaves it");
    let _serving = Serving::start(&file, &[]);
    let (_, err) = ends(1, &["serve", "--config", &file.display().to_string()]);
    assert!(err.contains("admin.sock: already served by another process; each server needs an admin.socket"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn under_a_service_manager_the_socket_is_where_it_says_and_commands_find_it() {
    let plan = Plan::new().feed("ads", "listed.test\n").without("admin");
    let (file, folder) = (plan.write(), plan.path("run"));
    fs::create_dir(&folder).unwrap();
    let listed = format!("{folder}:{}", plan.path("more"));
    let manager = ("RUNTIME_DIRECTORY", listed.as_str());
    let serving = Serving::start_with(manager, &file);
    assert_eq!(serving.socket(), format!("{folder}/admin.sock"));
    let config = file.display().to_string();
    let commands: [&[&str]; 3] = [&["feed", "list"], &["explain", "listed.test"], &["reload", "--config", &config]];
    for words in commands {
        let output = run_with(manager, words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_second_server_at_the_default_place_serves_and_says_that_no_command_reaches_it() {
    let plan = Plan::new().without("admin");
    let (file, folder) = (plan.write(), plan.path("run"));
    fs::create_dir(&folder).unwrap();
    let manager = ("RUNTIME_DIRECTORY", folder.as_str());
    let first = Serving::start_with(manager, &file);
    let second = Serving::start_with(manager, &file);
    assert_eq!(first.socket(), format!("{folder}/admin.sock"));
    let want = format!(
        "no admin socket, so that no command reaches this server: {folder}/admin.sock: already served by another process; \
         each server needs an admin.socket of its own"
    );
    assert!(second.said().contains(&format!("  warning   {want}\n")), "{}", second.said());
    assert!(second.log().contains(&format!("WARN cenote::app::assembly: {want}\n")), "{}", second.log());
    drop(second);
    assert!(run_with(manager, &["feed", "list"]).status.success(), "the first still has it");
}

#[test]
fn no_core_is_ever_dumped() {
    let serving = Serving::start(&Plan::new().write(), &[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", serving.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().filter(|word| *word == "0").count(), 2, "{line}");
}
