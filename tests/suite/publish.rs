//! The edges of publishing: by which rule an update is refused and what is said of it, that a reload reads everything, that the state directory
//! leaves alone what is not its own, and what an artifact cannot carry.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, mpsc};

use notify::{RecursiveMode, Watcher as _};

use crate::harness::child::{Serving, run};
use crate::harness::{PATIENCE, Plan, eventually, http, value};

const FOUR: &str = "one.test\ntwo.test\nthree.test\nfour.test\n";

/// Every rule by which an update is refused.
const RULES: [&str; 16] = [
    "unreadable",
    "too-large",
    "damaged",
    "html",
    "foreign",
    "unknown-format",
    "empty",
    "nothing-usable",
    "canary",
    "protected",
    "suffix",
    "shrunk",
    "grown",
    "too-few",
    "too-many",
    "refused-lines",
];

/// A plan that keeps its generations.
fn keeping() -> Plan {
    Plan::new().key("upstream", "servers = ['127.7.7.8:9']").key("state", "directory = 'state'")
}

/// The series of a feed and a rule.
fn refused(feed: &str, rule: &str) -> String {
    format!("cenote_feed_refused_updates_total{{feed=\"{feed}\",rule=\"{rule}\"}}")
}

/// Runs a command that must end with this code; gives standard output and error.
fn ends(code: i32, args: &[&str]) -> (String, String) {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_counter_is_there_before_its_first_event() {
    let plan = Plan::new().key("metrics", "listen = '127.0.0.1:0'").key("upstream", "servers = ['127.7.7.8:9']");
    let mut house = plan.feed("ads", FOUR).tenant("acme", "networks = ['127.83.0.0/24']\nfigures = 'own'").start();
    house.configure(|plan| plan.feed("more", "five.test\n"));
    house.reload().unwrap();
    let page = http(house.server().started().http.unwrap(), "/metrics").1;
    for series in ["ads", "more"].iter().flat_map(|feed| RULES.map(|rule| refused(feed, rule))) {
        assert_eq!(value(&page, &series), 0);
    }
    for series in ["cenote_tenant_sunk_total{tenant=\"acme\"}", "cenote_feed_failures_total{feed=\"more\"}"] {
        assert_eq!(value(&page, series), 0);
    }
}

#[test]
fn counters_are_there_while_the_first_policy_is_loaded() {
    let [web] = crate::harness::free_addresses();
    let plan = Plan::new().key("metrics", &format!("listen = '{web}'")).key("upstream", "servers = ['127.7.7.8:9']");
    let plan = plan.feed("ads", FOUR).tenant("acme", "networks = ['127.83.0.0/24']\nfigures = 'own'");
    let mut pages = Vec::new();
    let house = plan.start_and(&mut |_, _, _| pages.push(http(web, "/metrics").1));
    for series in [
        refused("ads", "canary").as_str(),
        "cenote_feed_hits_total{feed=\"ads\",action=\"sinkhole\"}",
        "cenote_tenant_queries_total{tenant=\"acme\"}",
        "cenote_upstream_timeouts_total{upstream=\"127.7.7.8:9\"}",
        "cenote_ready",
    ] {
        assert_eq!(value(&pages[0], series), 0);
    }
    drop(house);
}

#[test]
fn what_is_no_list_is_refused_by_the_rule_that_says_what_it_is() {
    let house = keeping().feed("ads", FOUR).start();
    let page = "\u{feff}\n<!-- moved -->\n<!DOCTYPE html>\n<html><body>Log in</body></html>\n";
    for (rule, text, said) in [
        ("empty", "", "an empty file"),
        ("empty", "# nothing\n\n", "comments alone"),
        ("html", page, "an HTML or XML page"),
        ("html", "<html>\n", "an HTML or XML page"),
        ("foreign", "PK\u{3}\u{4}", "a zip archive"),
        ("damaged", "\u{1f}\u{8b}\u{8}cut", "expected whole gzip"),
        ("unknown-format", "route one b\nroute two d\n", "name its format"),
        ("nothing-usable", "1.2.3.4\n5.6.7.8\n", "address 2 (lines 1, 2)"),
    ] {
        // gzip's mark is no UTF-8.
        let octets: Vec<u8> =
            if text.starts_with('\u{1f}') { text.chars().map(|c| c as u8).collect() } else { text.into() };
        let before = house.metric(&refused("ads", rule));
        fs::write(house.folder().join("fresh"), octets).unwrap();
        fs::rename(house.folder().join("fresh"), house.folder().join("ads")).unwrap();
        let notes = house.refresh(&["ads"], false).unwrap().1;
        assert!(notes.len() == 1 && notes[0].contains(said), "{rule}: {notes:?}");
        assert!(house.metric(&refused("ads", rule)) > before, "{rule}: {notes:?}");
        assert!(house.a("four.test").is_sunk(), "{rule}");
    }
    fs::remove_file(house.folder().join("ads")).unwrap();
    house.refresh(&["ads"], false).unwrap();
    assert!(house.metric(&refused("ads", "unreadable")) > 0);
}

#[test]
fn a_refusal_tells_reasons_and_first_lines_to_whoever_may_hear_it() {
    let bad: String = (0..9).map(|line| format!("bad..{line}\n")).collect();
    let text = format!("{FOUR}{bad}a/path\nb/path\n");
    let want = "refused: empty-label 9 (lines 5, 6, 7, ...), path 2 (lines 14, 15)";
    let plan = Plan::new().feed_with("ads", FOUR, "format = 'plain'\nrefused-max-percent = 40");
    let plan = plan.key("admin", "socket = 'admin.sock'");
    let (config, socket) = (plan.write(), plan.path("admin.sock"));
    let serving = Serving::start(&config, &[]);
    plan.replace("ads", &text);
    let (out, _) = ends(1, &["feed", "refresh", "--socket", &socket]);
    assert!(out.contains(want), "feed refresh: {out}");
    let (out, _) = ends(0, &["feed", "list", "--socket", &socket]);
    assert!(out.contains(want), "feed list: {out}");
    eventually("it is logged", || serving.log().contains(want));
    let (_, err) = ends(78, &["check", "--config", &config.display().to_string()]);
    assert!(err.contains(want), "check: {err}");
    let (out, _) = ends(0, &["feed", "diff", "ads", "--socket", &socket]);
    assert!(out.contains(want), "feed diff: {out}");
    plan.replace("ads", "one.test\ntwo.test\nthree.test\n");
    ends(0, &["feed", "refresh", "--socket", &socket]);
    let (out, _) = ends(0, &["feed", "list", "--socket", &socket]);
    assert!(!out.contains("refused: "), "what is well again is told no more: {out}");
}

/// Writes a file in place, as long as it was, and gives it the time it had.
fn rewrite(path: &Path, text: &str) {
    let before = fs::metadata(path).unwrap();
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = fs::metadata(path).unwrap();
    assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
}

#[test]
fn a_file_rewritten_with_its_old_size_and_time_is_read() {
    let house = Plan::new().feed("ads", "one.test\ntwo.test\n").start();
    rewrite(&house.folder().join("ads"), "one.test\nnew.test\n");
    eventually("the change is noticed", || house.a("new.test").is_sunk());
    assert!(!house.a("two.test").is_sunk());
}

#[test]
fn what_an_operator_asks_for_is_read_whatever_its_file_looks_like() {
    let house = keeping().feed("ads", FOUR).start();
    // The start is over once something was asked of it.
    house.generations();
    let (send, opened) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(send).unwrap();
    watcher.watch(&house.folder().join("ads"), RecursiveMode::NonRecursive).unwrap();
    let is_read = || opened.recv_timeout(PATIENCE / 3).is_ok_and(|event| event.unwrap().kind.is_access());
    for asks in ["reload", "refresh"] {
        let index = || Arc::as_ptr(&house.server().live().load().policy.as_ref().unwrap().indexes()[0]);
        let before = index();
        match asks {
            "reload" => assert!(house.reload().unwrap().notes.is_empty()),
            _ => assert!(house.refresh(&["ads"], false).unwrap().1.is_empty()),
        }
        assert!(is_read(), "{asks}: its file is read");
        while opened.try_recv().is_ok() {}
        assert!(index() == before, "{asks}: what says the same is not built again");
    }
}

#[test]
fn a_feed_that_was_read_by_a_wrong_clock_is_read_again_at_a_start() {
    let house = keeping().feed("ads", FOUR).start();
    let kept = house.folder().join(format!("state/generation-{:010}.json", house.generation()));
    let plan = house.stop();
    // As if it had been read in the year 2100.
    let ahead = 4_102_444_800_u64;
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    manifest["feeds"][0]["loaded_at_secs"] = ahead.into();
    fs::write(&kept, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let house = plan.start();
    eventually("it is read", || house.metric("cenote_feed_loaded_timestamp_seconds{feed=\"ads\"}") < ahead);
}

/// Everything in a folder by name.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_state_directory_keeps_what_an_operator_puts_there() {
    let house = keeping().feed("ads", FOUR).start();
    let (config, state) = (house.folder().join("cenote.toml"), house.folder().join("state"));
    let out = |file: &str| state.join(file).display().to_string();
    // Named as an operator names what is made every day.
    let own =
        ["indicators.cenote", "2026112601-big.cenote", "2026112601-small.overlay", "notes.tmp", "list.cenote.7.tmp"];
    for file in own {
        ends(0, &["compile", "--out", &out(file), "--config", &config.display().to_string()]);
    }
    for round in 0..8 {
        house.replace("ads", &format!("{FOUR}new-{round}.test\n"));
        assert!(house.refresh(&[], false).unwrap().1.is_empty());
    }
    let left = names(&state);
    for file in own {
        assert!(left.iter().any(|name| name == file), "{file} is gone: {left:?}");
    }
    let theirs = "{\"somebody\": \"else's\"}";
    fs::write(state.join("generation-0000000077.json"), theirs).unwrap();
    let house = house.stop().start();
    for round in 8..16 {
        house.replace("ads", &format!("{FOUR}new-{round}.test\n"));
        assert!(house.refresh(&[], false).unwrap().1.is_empty());
    }
    assert_eq!(fs::read_to_string(state.join("generation-0000000077.json")).unwrap(), theirs);
    assert_eq!(house.generations().0.len(), 5);
    let refused = ends(
        1,
        &["compile", "--out", &out("generation-0000000009-big.index"), "--config", &config.display().to_string()],
    );
    assert!(refused.1.contains("expected another name"), "{}", refused.1);
}

#[test]
fn a_lock_that_is_removed_lets_no_second_server_in() {
    let house = keeping().feed("ads", FOUR).start();
    let state = house.folder().join("state");
    fs::remove_file(state.join("lock")).unwrap();
    let other = Plan::new().key("state", &format!("directory = '{}'", state.display())).feed("ads", FOUR);
    let settings = cenote::config::load(&other.write()).unwrap();
    let error = cenote::app::Server::start(settings, None, &mut |_, _, _| ()).err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|error| error.contains("used by another process")), "{error:?}");
    assert_eq!(house.generations().0.len(), 1);
}

#[test]
fn two_servers_do_not_meet_in_a_state_directory_that_was_made_anew() {
    let house = keeping().feed("ads", FOUR).start();
    let state = house.folder().join("state");
    fs::remove_dir_all(&state).unwrap();
    let other = Plan::new().key("state", &format!("directory = '{}'", state.display())).feed("others", "theirs.test\n");
    let other = other.key("upstream", "servers = ['127.7.7.8:9']").start();
    let theirs = names(&state);
    house.replace("ads", &format!("{FOUR}five.test\n"));
    let notes = house.refresh(&[], false).unwrap().1;
    assert!(notes.iter().any(|note| note.contains("used by another process")), "{notes:?}");
    assert!(house.a("five.test").is_sunk() && other.a("theirs.test").is_sunk());
    assert_eq!(names(&state), theirs, "what the other keeps is not touched");
    assert_eq!((house.metric("cenote_state_kept"), other.metric("cenote_state_kept")), (0, 1));
}

#[test]
fn what_an_artifact_cannot_carry_is_not_compiled() {
    let compile = |plan: &Plan, code| {
        let out = plan.path("index.cenote");
        let said = ends(code, &["compile", "--out", &out, "--config", &plan.write().display().to_string()]);
        said.1
    };
    let (own, source) = (Plan::new().feed("ads", "kestrel.test\n"), "kestrel.test\n");
    let said = ends(1, &["compile", "--out", &own.path("ads"), "--config", &own.write().display().to_string()]).1;
    assert!(
        said.contains("the source of feed ads") && fs::read_to_string(own.path("ads")).unwrap() == source,
        "{said}"
    );
    assert!(compile(&Plan::new(), 1).contains("at least one [[feed]]"));
    let (zone, passes) = ("@ SOA ns host 1 2 3 4 5\n", "@ SOA ns host 1 2 3 4 5\nb.kestrel.test CNAME rpz-passthru.\n");
    let nx = format!("{zone}kestrel.test CNAME .\n*.kestrel.test CNAME .\n");
    let plain = "kestrel.test\n";
    type Feed<'f> = (&'f str, &'f str);
    for (one, two, wants) in [
        ((plain, "action = 'observe'"), None, &["feed one: ", "action = \"observe\""][..]),
        ((plain, "action = 'passthru'\nmay-allow = true"), None, &["feed one: ", "action = \"passthru\"", "may-allow"]),
        ((plain, "action = 'nxdomain'"), None, &["feed one: ", "action = \"nxdomain\""]),
        ((passes, "may-allow = true"), None, &["feed one: ", "may-allow"]),
        ((plain, "sinkhole = { ipv4 = '192.0.2.1' }"), None, &["feed one: ", "sinkhole"]),
        (
            (plain, "check-targets = false\ncheck-addresses = false"),
            None,
            &["feed one: ", "check-targets", "check-addresses"],
        ),
        ((plain, ""), Some((plain, "action = 'drop'")), &["feed two: ", "action = \"drop\""]),
        ((plain, ""), Some((nx.as_str(), "")), &["feed two: ", "nxdomain", "a file of its own"]),
        ((plain, ""), Some((passes, "")), &["feed two: ", "passthru", "a file of its own"]),
        ((plain, ""), Some(("||a.test^\n@@||b.a.test^\n", "")), &["feed two: ", "exceptions", "a file of its own"]),
    ] as [(Feed<'_>, Option<Feed<'_>>, &[&str]); 10]
    {
        let mut plan = Plan::new().feed_with("one", one.0, one.1);
        if let Some((text, keys)) = two {
            plan = plan.feed_with("two", text, keys);
        }
        fs::write(plan.path("index.cenote"), "an older file").unwrap();
        let said = compile(&plan, 1);
        assert!(wants.iter().all(|want| said.contains(want)), "{wants:?} in {said}");
        assert!(!said.contains("kestrel"), "no indicator: {said}");
        assert_eq!(fs::read_to_string(plan.path("index.cenote")).unwrap(), "an older file", "{said}");
    }
    // One feed's own entries are carried as they are, and feeds that ask for one thing are one.
    for (one, two) in
        [(passes, None), (nx.as_str(), None), (plain, Some("other.test\n")), (nx.as_str(), Some(nx.as_str()))]
    {
        let mut plan = Plan::new().feed_with("one", one, "");
        if let Some(text) = two {
            plan = plan.feed_with("two", text, "");
        }
        compile(&plan, 0);
    }
}

#[test]
fn a_passthru_in_an_artifact_lets_through_where_it_may() {
    let zone = "@ SOA ns host 1 2 3 4 5\nbad.test CNAME .\n*.bad.test CNAME .\ngood.bad.test CNAME rpz-passthru.\n";
    let plan = Plan::new().feed("one", zone);
    ends(0, &["compile", "--out", &plan.path("index.cenote"), "--config", &plan.write().display().to_string()]);
    let used = plan.no_tables().tables("[[feed]]\nname = 'one'\nsource = 'index.cenote'\nmay-allow = true\n");
    let config = used.write().display().to_string();
    for (name, said) in [("good.bad.test", "let through: passthru"), ("www.bad.test", "sunk: nxdomain")] {
        assert!(ends(0, &["explain", name, "--config", &config]).0.contains(said), "{name}");
    }
}
