//! An update of a feed: what is refused and what stays then, what outlives the server, and how an operator goes back.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::harness::{Ask, House, PATIENCE, Plan, eventually, free_addresses, sum};

const FOUR: &str = "one.test\ntwo.test\nthree.test\nfour.test\n";

/// A plan that keeps its generations.
fn keeping() -> Plan {
    Plan::new().key("upstream", "servers = ['127.7.7.8:9']").key("state", "directory = 'state'")
}

/// Whether each name is sunk.
fn sunk<const N: usize>(house: &House, names: [&str; N]) -> [bool; N] {
    names.map(|name| house.a(name).is_sunk())
}

/// Seconds since 1970 as STIX writes a moment; days to a date as in Howard Hinnant's `civil_from_days`.
fn moment(secs: u64) -> String {
    let (days, rest) = (secs / 86_400 + 719_468, secs % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", era * 400 + year)
}

/// The files of the state directory with this ending.
fn kept(folder: &Path, end: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.join("state")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_str().unwrap().ends_with(end));
    files.sort();
    files
}

#[test]
fn what_was_kept_is_enforced_before_the_first_query_is_read() {
    let [at] = free_addresses();
    let many: String = (0..50_000).map(|i| format!("n{i}.test\n")).collect();
    let plan = keeping().key("server", &format!("listen = ['{at}']")).feed("ads", &many).start().stop();
    let (asker, started, end) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), AtomicBool::new(false), Instant::now() + PATIENCE);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !started.load(Ordering::Relaxed) && Instant::now() < end {
                // Refused while nobody listens.
                asker.send_to(&Ask::a("n7.test").octets(), at).ok();
                thread::yield_now();
            }
        });
        let house = plan.start();
        started.store(true, Ordering::Relaxed);
        let asked = |outcome: &str| sum(&house.server().metrics().render(), "cenote_queries_total", outcome);
        eventually("it is asked", || asked("outcome=\"sunk\"") > 0);
        assert_eq!(asked("outcome=\"not-ready\""), 0);
    });
}

#[test]
fn no_number_is_given_twice_though_a_generation_was_not_kept() {
    let house = keeping().feed("ads", FOUR).start();
    house.replace("ads", "five.test\n");
    house.refresh(&["ads"], true).unwrap();
    let last = house.generation();
    let plan = house.stop();
    fs::remove_file(kept(plan.folder(), ".json").pop().unwrap()).unwrap();
    let house = plan.start();
    assert!(house.generation() > last, "{} after {last}", house.generation());
}

#[test]
fn each_rule_of_the_gate_refuses_by_its_name_and_keeps_the_last_good() {
    let bounds =
        "format = 'plain'\ngrowth-max-percent = 100\nentries-min = 3\nentries-max = 2000\nrefused-max-percent = 40\n";
    let plan = keeping().feed_with("ads", FOUR, bounds).key("gate", "canaries = ['bank.test']");
    let many = |count: usize| (0..count).map(|i| format!("n{i}.test\n")).collect::<String>();
    let house = plan.start();
    for (rule, text) in [
        ("empty", "# nothing\n".to_owned()),
        ("html", "<html>\n".to_owned()),
        ("shrunk", "one.test\n".to_owned()),
        ("too-few", "one.test\ntwo.test\n".to_owned()),
        ("grown", many(1500)),
        ("canary", format!("{FOUR}bank.test\n")),
        ("refused-lines", format!("{FOUR}a\nb\nc\n")),
    ] {
        house.replace("ads", &text);
        let notes = house.refresh(&["ads"], false).unwrap().1;
        assert!(notes.len() == 1 && notes[0].starts_with("feed ads: "), "{rule}: {notes:?}");
        let counted = format!("cenote_feed_refused_updates_total{{feed=\"ads\",rule=\"{rule}\"}}");
        assert!(house.metric(&counted) > 0, "{rule}: {notes:?}");
        assert_eq!(
            sunk(&house, ["one.test", "two.test", "four.test", "bank.test"]),
            [true, true, true, false],
            "{rule}"
        );
        assert_eq!(house.metric("cenote_feed_stale{feed=\"ads\"}"), 1);
    }
    house.replace("ads", &many(2001));
    assert!(house.refresh(&["ads"], true).unwrap().1.is_empty(), "bounds are waived by force");
    assert!(house.a("n2000.test").is_sunk());
    house.replace("ads", &format!("{FOUR}a.bank.test\nbank.test\n"));
    assert!(!house.refresh(&["ads"], true).unwrap().1.is_empty(), "canaries are not");
}

#[test]
fn a_protected_name_is_not_sunk_and_the_rest_of_its_feed_is() {
    let plan = keeping()
        .key("gate", "protected = ['*.corp.test']")
        .key("gate", "protected-file = 'top'")
        .feed("ads", "one.test\na.corp.test\nsites.test\nevil.sites.test\ncorp.test\n");
    fs::write(plan.folder().join("top"), "# top sites\nsites.test\n").unwrap();
    let house = plan.start();
    let names = ["one.test", "a.corp.test", "sites.test", "evil.sites.test", "corp.test"];
    assert_eq!(sunk(&house, names), [true, false, false, true, false]);
    assert_eq!(house.metric("cenote_feed_refused_lines{feed=\"ads\",reason=\"protected\"}"), 3);
    house.replace("top", "other.test\n");
    eventually("the other protected names", || house.a("sites.test").is_sunk());
}

#[test]
fn what_is_protected_later_stays_unsunk_whatever_is_rolled_back_or_kept() {
    let listed = format!("{FOUR}mine.corp.test\n");
    let mut house = keeping().feed("ads", &listed).start();
    assert_eq!(sunk(&house, ["mine.corp.test", "one.test"]), [true, true]);
    let before = house.generation();
    house.configure(|plan| plan.key("gate", "protected = ['*.corp.test']"));
    house.reload().unwrap();
    assert_eq!(sunk(&house, ["mine.corp.test", "one.test"]), [false, true], "its file was read again");
    house.roll_back(Some(before), &["ads"]).unwrap();
    assert_eq!(sunk(&house, ["mine.corp.test", "one.test"]), [false, true], "rolled back");
    assert_eq!(house.metric("cenote_feed_refused_lines{feed=\"ads\",reason=\"protected\"}"), 1);
    let house = house.stop().start();
    assert_eq!(sunk(&house, ["mine.corp.test", "one.test"]), [false, true], "started again");

    // Its file is gone when the name is protected; then the server starts with what was kept before it was.
    let mut house = keeping().feed("ads", &listed).start();
    fs::remove_file(house.folder().join("ads")).unwrap();
    house.configure(|plan| plan.key("gate", "protected = ['*.corp.test']"));
    house.reload().unwrap();
    assert_eq!(sunk(&house, ["mine.corp.test", "one.test"]), [false, true], "its file is gone");
    let plan = keeping().feed("ads", &listed).start().stop().key("gate", "protected = ['*.corp.test']");
    fs::remove_file(plan.folder().join("ads")).unwrap();
    assert_eq!(sunk(&plan.start(), ["mine.corp.test", "one.test"]), [false, true], "kept by an earlier run");
}

#[test]
fn an_indicator_that_began_to_count_while_nothing_ran_is_enforced_after_a_start() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let from = moment(now + 2);
    let object = |name: &str, keys: &str| {
        format!(
            r#"{{"type": "indicator", "id": "indicator--{name}", "pattern": "[domain-name:value = '{name}']"{keys}}}"#
        )
    };
    let later = object("later.test", &format!(r#", "valid_from": "{from}""#));
    let bundle = format!(r#"{{"type": "bundle", "objects": [{}, {later}]}}"#, object("one.test", ""));
    let house = keeping().feed("stix", &bundle).start();
    assert_eq!(sunk(&house, ["one.test", "later.test"]), [true, false]);
    let plan = house.stop();
    while SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() < now + 2 {
        thread::sleep(Duration::from_millis(50));
    }
    let house = plan.start();
    eventually("the indicator is enforced", || house.a("later.test").is_sunk());
}

#[test]
fn a_start_enforces_what_was_kept_though_its_source_is_gone() {
    let house = keeping().feed("ads", FOUR).feed("more", "five.test\n").start();
    house.replace("ads", &format!("{FOUR}six.test\n"));
    eventually("the change is enforced", || house.a("six.test").is_sunk());
    eventually("the change is kept", || house.generations().1 == Some(house.generation()));
    let generation = house.generation();
    let plan = house.stop();
    fs::remove_file(plan.folder().join("ads")).unwrap();
    fs::write(plan.folder().join("more"), "").unwrap();

    let house = plan.start();
    assert_eq!(sunk(&house, ["six.test", "one.test", "five.test", "seven.test"]), [true, true, true, false]);
    assert!(house.generation() > generation, "a number means one policy: {} after {generation}", house.generation());
    eventually("both are told to be stale", || {
        ["ads", "more"].iter().all(|feed| house.metric(&format!("cenote_feed_stale{{feed=\"{feed}\"}}")) == 1)
    });
    house.replace("ads", &format!("{FOUR}seven.test\n"));
    eventually("the source is back", || house.a("seven.test").is_sunk());
    assert!(house.a("five.test").is_sunk());
}

#[test]
fn a_start_reads_what_changed_and_nothing_else() {
    let house = keeping().feed("ads", FOUR).feed("more", "five.test\n").start();
    let loaded_at = house.metric("cenote_feed_loaded_timestamp_seconds{feed=\"ads\"}");
    let plan = house.stop();
    plan.replace("more", "six.test\n");
    let house = plan.start();
    eventually("what changed meanwhile", || house.a("six.test").is_sunk());
    assert_eq!(sunk(&house, ["one.test", "five.test"]), [true, false]);
    assert_eq!(house.metric("cenote_feed_loaded_timestamp_seconds{feed=\"ads\"}"), loaded_at);
    // Another order, and another feed.
    let plan = house.stop().feed("new", "seven.test\n");
    let house = plan.start();
    eventually("the new feed", || house.a("seven.test").is_sunk());
    assert_eq!(sunk(&house, ["one.test", "six.test"]), [true, true]);
}

#[test]
fn a_damaged_copy_is_passed_over_and_told() {
    let house = keeping().feed("ads", FOUR).start();
    house.replace("ads", &format!("{FOUR}five.test\n"));
    house.refresh(&[], false).unwrap();
    assert_eq!(house.generations().0.len(), 2);
    let plan = house.stop();
    let newest = kept(plan.folder(), ".index").pop().unwrap();
    let mut octets = fs::read(&newest).unwrap();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    fs::write(&newest, octets).unwrap();
    fs::remove_file(plan.folder().join("ads")).unwrap();
    let house = plan.start();
    assert_eq!(sunk(&house, ["one.test", "five.test"]), [true, false], "the older one");
    let notes = &house.server().started().notes;
    assert!(notes[0].starts_with("passed over: ") && notes[0].contains(".index"), "{notes:?}");
}

#[test]
fn rolled_back_a_feed_stays_until_it_is_unpinned() {
    let house = keeping().feed("ads", FOUR).feed("more", "five.test\n").start();
    let good = house.generation();
    house.replace("ads", &format!("{FOUR}bad.test\n"));
    house.replace("more", "five.test\nsix.test\n");
    eventually("both are read", || sunk(&house, ["bad.test", "six.test"]) == [true, true]);
    eventually("both are kept", || house.generations().1 == Some(house.generation()));

    let (generation, notes) = house.roll_back(None, &["ads"]).unwrap();
    assert_eq!(notes, [format!("feed ads is as in generation {good}, and pinned")]);
    assert_eq!(sunk(&house, ["bad.test", "one.test", "six.test"]), [false, true, true]);
    let (kept, in_force) = house.generations();
    assert!(kept.len() >= 3 && kept.ends_with(&[good]) && kept[0] == generation, "{kept:?}");
    assert_eq!(in_force, Some(generation));
    assert_eq!(house.metric("cenote_feed_pinned{feed=\"ads\"}"), 1);

    // Neither a change of its file, nor a refresh, nor a restart unpins it.
    house.replace("ads", &format!("{FOUR}worse.test\n"));
    let (_, notes) = house.refresh(&["ads"], true).unwrap();
    assert!(notes.len() == 1 && notes[0].contains("feed ads is pinned"), "{notes:?}");
    house.reload().unwrap();
    let house = house.stop().start();
    assert_eq!(sunk(&house, ["worse.test", "bad.test", "one.test", "six.test"]), [false, false, true, true]);

    assert!(house.unpin(&["more"]).is_err(), "it is not pinned");
    house.unpin(&[]).unwrap();
    assert_eq!(sunk(&house, ["worse.test", "bad.test", "one.test"]), [true, false, true]);
    assert_eq!(house.metric("cenote_feed_pinned{feed=\"ads\"}"), 0);
}

#[test]
fn what_an_update_would_change_is_told_before_it_is_taken() {
    let house = keeping().feed("ads", FOUR).start();
    let first = house.generation();
    let told = |since, named| match house.server().control().differences("ads".to_owned(), since, named) {
        Ok(cenote::admin::Reply::Differences(told)) => told,
        other => panic!("{other:?}"),
    };
    house.replace("ads", "one.test\nnew.test\n=four.test\n");
    eventually("it is read", || house.a("new.test").is_sunk());
    eventually("it is kept", || house.generations().1 == Some(house.generation()));
    let since = told(Some(first), true);
    assert_eq!((since.added, since.removed, since.altered), (1, 2, 1));
    assert_eq!(since.entries, ["+ new.test", "- two.test", "~ four.test", "- three.test"]);
    assert_eq!(told(None, true).entries, [""; 0], "nothing changed since");

    // What the gate refuses can be looked at, and forced.
    house.replace("ads", "one.test\n");
    eventually("it is refused", || house.metric("cenote_feed_stale{feed=\"ads\"}") == 1);
    let now = told(None, false);
    assert_eq!((now.removed, now.entries.len()), (2, 0), "no names unless asked");
    assert!(now.refused.unwrap().contains("shrink-max-percent"));
    house.refresh(&["ads"], true).unwrap();
    assert!(!house.a("new.test").is_sunk());
    assert!(house.server().control().differences("none".to_owned(), None, false).is_err());
}

#[test]
fn a_small_change_of_a_big_feed_is_an_overlay_in_force_and_on_disk() {
    let many: String = (0..70_000).map(|i| format!("n{i}.test\n")).collect();
    let house = keeping().feed("big", &many).feed("small", "five.test\n").start();
    let good = house.generation();
    house.replace("big", &many.replacen("n7.test\n", "bad.test\n", 1));
    eventually("the change", || house.a("bad.test").is_sunk());
    eventually("it is kept", || house.generations().1 == Some(house.generation()));
    assert_eq!(sunk(&house, ["n7.test", "n8.test", "five.test"]), [false, true, true]);
    let (bases, overlays) = (kept(house.folder(), ".index"), kept(house.folder(), ".overlay"));
    assert_eq!((bases.len(), overlays.len()), (2, 1), "each index once, and what was changed over one: {bases:?}");
    assert!(overlays.iter().all(|file| fs::metadata(file).unwrap().len() < 1000));

    // A start has both; and an older generation has the base alone.
    let plan = house.stop();
    fs::remove_file(plan.folder().join("big")).unwrap();
    let house = plan.start();
    assert_eq!(sunk(&house, ["n7.test", "bad.test", "n8.test"]), [false, true, true]);
    house.roll_back(Some(good), &["big"]).unwrap();
    assert_eq!(sunk(&house, ["n7.test", "bad.test", "n8.test"]), [true, false, true]);
    house.replace("big", &many.replacen("n8.test\n", "other.test\n", 1));
    house.unpin(&[]).unwrap();
    assert_eq!(sunk(&house, ["n7.test", "bad.test", "n8.test", "other.test"]), [true, false, false, true]);
}

#[test]
fn an_overlay_that_has_grown_is_merged_and_the_generation_is_kept_once() {
    let names = |from: u32| -> String { (from..from + 70_000).map(|i| format!("n{i}.test\n")).collect() };
    let house = keeping().feed("big", &names(0)).start();
    let first = house.generation();
    // Some go and as many come: more than an overlay keeps for long, less than it may have.
    house.replace("big", &names(20_000));
    let (changed, _) = house.refresh(&[], false).unwrap();
    eventually("it is merged, and kept", || kept(house.folder(), ".overlay").is_empty());
    let (generations, in_force) = house.generations();
    assert!(generations.len() == 2 && generations[1] == first, "in the place of what it was: {generations:?}");
    assert!(in_force == Some(generations[0]) && generations[0] > changed, "{in_force:?} after {changed}");
    assert_eq!(kept(house.folder(), ".index").len(), 2);
    let names = ["n19999.test", "n20000.test", "n89999.test"];
    assert_eq!(sunk(&house, names), [false, true, true]);
    let plan = house.stop();
    fs::remove_file(plan.folder().join("big")).unwrap();
    let house = plan.start();
    assert_eq!(sunk(&house, names), [false, true, true]);
    house.roll_back(None, &[]).unwrap();
    assert_eq!(sunk(&house, names), [true, true, false]);
}

#[test]
fn what_cannot_be_rolled_back_is_told() {
    let house = keeping().feed("ads", FOUR).start();
    let error = |result: Result<(u64, Vec<String>), String>| result.unwrap_err();
    assert!(error(house.roll_back(None, &[])).contains("an older generation"));
    assert!(error(house.roll_back(Some(99), &[])).contains("got 99"));
    assert!(error(house.roll_back(None, &["none"])).contains("none"));
    assert!(error(house.refresh(&["none"], false)).contains("none"));
    assert!(error(house.roll_back(Some(house.generation()), &[])).contains("nothing to roll back"));
    let house = Plan::new().feed("ads", FOUR).start();
    assert!(error(house.roll_back(None, &[])).contains("state.directory"));
}

#[test]
fn a_state_directory_that_fails_costs_no_protection() {
    let house = keeping().feed("ads", FOUR).start();
    let plan = house.stop();
    fs::remove_dir_all(plan.folder().join("state")).unwrap();
    fs::write(plan.folder().join("state"), "a file in its place").unwrap();
    let house = plan.start();
    assert!(house.a("one.test").is_sunk());
    assert!(house.server().started().notes[0].starts_with("nothing is kept: "), "{:?}", house.server().started().notes);
    assert_eq!((house.metric("cenote_state_failures_total"), house.metric("cenote_state_generation")), (1, 0));

    let house = keeping().feed("ads", FOUR).start();
    let folder = house.folder().join("state");
    fs::remove_dir_all(&folder).unwrap();
    house.replace("ads", &format!("{FOUR}five.test\n"));
    let notes = house.refresh(&[], false).unwrap().1;
    assert!(notes.iter().any(|note| note.contains("is enforced but not kept")), "{notes:?}");
    assert!(house.a("five.test").is_sunk());
    fs::create_dir(&folder).unwrap();
    house.replace("ads", &format!("{FOUR}six.test\n"));
    assert!(house.refresh(&[], false).unwrap().1.is_empty());
    assert_eq!(house.metric("cenote_state_generation"), house.generation());
}

#[test]
fn two_servers_do_not_share_a_state_directory() {
    let house = keeping().feed("ads", FOUR).start();
    let state = format!("directory = '{}'", house.folder().join("state").display());
    let other = Plan::new().key("state", &state).feed("ads", FOUR);
    let settings = cenote::config::load(&other.write()).unwrap();
    let error = cenote::app::Server::start(settings, None, &mut |_, _, _| ()).err().unwrap();
    assert!(error.to_string().contains("used by another process"), "{error}");
}

#[test]
fn what_a_start_waits_for_is_the_operators_choice() {
    // Nothing was ever kept, and the source is not there.
    for (start, enforced) in [("wait", "ServFail"), ("open", "forwarded")] {
        let upstream = crate::harness::Upstream::start();
        let plan = keeping().upstreams(&[&upstream]).feed("ads", FOUR).key("state", &format!("start = '{start}'"));
        fs::remove_file(plan.folder().join("ads")).unwrap();
        let house = plan.start();
        let reply = house.a("one.test");
        let got = if reply.is_upstreams() { "forwarded".to_owned() } else { format!("{:?}", reply.rcode()) };
        assert_eq!(got, enforced, "{start}");
        assert_eq!((house.metric("cenote_ready"), house.server().started().generation), (0, 0), "{start}");
        let notes = house.server().started().notes.join("\n");
        assert!(notes.contains("feed ads: ") && notes.contains("not enforcing"), "{start}: {notes}");
        house.replace("ads", FOUR);
        eventually("it enforces once the source is there", || house.a("one.test").is_sunk());
        eventually("it says so", || house.metric("cenote_ready") == 1);
    }
}

#[test]
fn one_feeds_trouble_and_a_bad_configuration_touch_no_other_feed() {
    let house = keeping().feed("ads", FOUR).feed("more", "five.test\n").start();
    house.replace("more", "<html>");
    eventually("more is stale", || house.metric("cenote_feed_stale{feed=\"more\"}") == 1);
    house.replace("cenote.toml", "[server]\nworkers = 'x'\n");
    eventually("the configuration is refused", || house.metric("cenote_reload_failures_total") > 0);
    house.replace("ads", &format!("{FOUR}six.test\n"));
    eventually("ads is read all the same", || house.a("six.test").is_sunk());
    assert!(house.a("five.test").is_sunk());
}

#[test]
fn a_missing_folder_costs_the_others_neither_their_watch_nor_what_changed_before_the_start() {
    let far = "[[feed]]\nname = 'far'\nsource = 'not/there/far'\n";
    let mut house = keeping().feed("ads", FOUR).feed("more", "five.test\n").start();
    house.configure(|plan| plan.tables(far));
    eventually("the new feed is known", || house.server().metrics().render().contains("feed=\"far\""));
    house.replace("ads", &format!("{FOUR}six.test\n"));
    eventually("another feed is still watched", || house.a("six.test").is_sunk());
    let plan = house.stop();
    plan.replace("more", "seven.test\n");
    let house = plan.start();
    eventually("what changed before the start", || house.a("seven.test").is_sunk());
    fs::create_dir_all(house.folder().join("not/there")).unwrap();
    house.replace("not/there/far", "eight.test\n");
    eventually("the folder is there now", || house.a("eight.test").is_sunk());
    // A slip in the configuration is mended by mending it.
    let plan = house.stop();
    fs::remove_dir_all(plan.folder().join("not")).unwrap();
    let mut house = plan.start();
    house.configure(|plan| plan.no_tables().feed("ads", &format!("{FOUR}nine.test\n")));
    eventually("the configuration is read", || house.a("nine.test").is_sunk());
}

#[test]
fn one_feed_that_was_never_read_is_told_and_what_there_is_is_not_called_enforcing() {
    let upstream = crate::harness::Upstream::start();
    for start in ["last-good", "wait", "open"] {
        let plan = keeping().upstreams(&[&upstream]).feed("ads", FOUR).feed("more", "five.test\n");
        let plan = plan.key("state", &format!("start = '{start}'"));
        fs::remove_file(plan.folder().join("more")).unwrap();
        let house = plan.start();
        assert_eq!(house.metric("cenote_ready"), 0, "{start}");
        assert_eq!(house.a("one.test").is_sunk(), start == "open", "{start}");
        assert_eq!(house.generations(), (vec![], None), "{start}: nothing is kept");
        // Read again, it is as it was.
        let (generation, notes) = house.refresh(&["more"], false).unwrap();
        assert!(generation == 0 && notes[0].contains("it was never read"), "{start}: {notes:?}");
        house.replace("more", "five.test\n");
        eventually("it is there now", || house.metric("cenote_ready") == 1);
        assert_eq!(sunk(&house, ["one.test", "five.test"]), [true, true], "{start}");
        eventually("and kept", || house.generations().1 == Some(house.generation()));
    }
}

#[test]
fn a_merge_enforces_nothing_while_a_start_waits() {
    let names = |from: u32| -> String { (from..from + 70_000).map(|i| format!("n{i}.test\n")).collect() };
    let plan = || keeping().feed("big", &names(0)).feed("ads", FOUR).key("state", "start = 'wait'");
    let octets = |house: &House| house.metric("cenote_index_bytes");
    let update = |house: &House| {
        house.replace("big", &names(20_000));
        house.refresh(&["big"], false).unwrap();
    };
    // What merging adds, by one that waits for nothing.
    let twin = plan().start();
    let before = octets(&twin);
    update(&twin);
    eventually("it is merged", || kept(twin.folder(), ".overlay").is_empty());
    twin.generations();
    let added = octets(&twin) - before;

    let waiting = plan();
    fs::remove_file(waiting.folder().join("ads")).unwrap();
    let house = waiting.start();
    let merged = octets(&house) + added;
    update(&house);
    eventually("it is merged", || octets(&house) == merged);
    house.generations();
    assert_eq!((house.metric("cenote_ready"), house.generation()), (0, 0));
    assert_eq!(format!("{:?}", house.a("n20000.test").rcode()), "ServFail");
}

#[test]
fn what_says_the_same_is_no_generation_and_a_rollback_goes_to_what_differs() {
    let house = keeping().feed("ads", FOUR).start();
    // The start is over once something was asked of it.
    house.refresh(&[], false).unwrap();
    let texts = [1, 2].map(|round| format!("{FOUR}new-{round}.test\n"));
    for text in &texts {
        house.replace("ads", text);
        house.refresh(&[], false).unwrap();
    }
    let kept = house.generations();
    assert_eq!(kept.0.len(), 3);
    // Written again, in another order too.
    for round in 0..6 {
        let text = if round % 2 == 0 { format!("new-2.test\n{FOUR}") } else { texts[1].clone() };
        house.replace("ads", &text);
        house.refresh(&[], false).unwrap();
        assert_eq!((house.generations(), house.generation()), (kept.clone(), kept.1.unwrap()), "{round}");
    }
    // What was written down is the last reading: a start reads nothing again.
    let loaded_at = house.metric("cenote_feed_loaded_timestamp_seconds{feed=\"ads\"}");
    let house = house.stop().start();
    house.generations();
    assert_eq!(house.metric("cenote_feed_loaded_timestamp_seconds{feed=\"ads\"}"), loaded_at);

    // Further back each time, and not to and fro.
    let told = |result: Result<(u64, Vec<String>), String>| result.unwrap().1[0].clone();
    assert!(told(house.roll_back(None, &[])).contains(&format!("generation {},", kept.0[1])));
    assert_eq!(sunk(&house, ["new-1.test", "new-2.test"]), [true, false]);
    let house = house.stop().start();
    assert!(told(house.roll_back(None, &[])).contains(&format!("generation {},", kept.0[2])));
    assert_eq!(sunk(&house, ["new-1.test", "new-2.test", "one.test"]), [false, false, true]);
    assert!(house.roll_back(None, &[]).unwrap_err().contains("an older generation"));
    // One that follows its source again goes back to what it was before that.
    house.unpin(&[]).unwrap();
    assert_eq!(sunk(&house, ["new-1.test", "new-2.test"]), [false, true]);
    house.roll_back(None, &[]).unwrap();
    assert!(!house.a("new-2.test").is_sunk());
}

#[test]
fn what_is_enforced_and_not_kept_is_told_and_kept_later() {
    let house = keeping().feed("ads", FOUR).start();
    // The start is over once something was asked of it.
    house.refresh(&[], false).unwrap();
    let good = house.generation();
    // Where its manifest would be written stands a folder.
    let in_its_way = |generation: u64| house.folder().join(format!("state/generation-{generation:010}.tmp"));
    fs::create_dir(in_its_way(good + 1)).unwrap();
    house.replace("ads", &format!("{FOUR}five.test\n"));
    let notes = house.refresh(&[], false).unwrap().1;
    assert!(notes.iter().any(|note| note.contains("is enforced but not kept")), "{notes:?}");
    assert_eq!((house.generation(), house.generations()), (good + 1, (vec![good], None)));
    let bases = kept(house.folder(), ".index");
    assert_eq!(bases.len(), 1, "what nobody needs is not left: {bases:?}");

    // Without a number, back to what is kept and differs.
    fs::create_dir(in_its_way(good + 2)).unwrap();
    house.roll_back(None, &[]).unwrap();
    assert!(!house.a("five.test").is_sunk());
    assert_eq!(house.generations(), (vec![good], None), "pinned is not as it was kept");
    fs::remove_dir(in_its_way(good + 2)).unwrap();
    eventually("it is kept later", || house.generations().1 == Some(good + 2));
}

#[test]
fn a_feed_that_is_given_another_name_keeps_its_entries_though_its_file_is_gone() {
    let mut house = keeping().feed("ads", FOUR).feed("more", "five.test\n").start();
    house.configure(|plan| {
        let tables = "[[feed]]\nname = 'more'\nsource = 'more'\n[[feed]]\nname = 'renamed'\nsource = 'ads'\n";
        fs::remove_file(plan.folder().join("ads")).unwrap();
        plan.no_tables().tables(tables)
    });
    let reloaded = house.reload().unwrap();
    assert_eq!(sunk(&house, ["one.test", "five.test"]), [true, true]);
    assert_eq!(reloaded.refused, ["renamed"]);
    assert_eq!(house.metric("cenote_feed_stale{feed=\"renamed\"}"), 1);
    // So it does after a start, and when its file is back.
    let house = house.stop().start();
    assert_eq!(sunk(&house, ["one.test", "five.test"]), [true, true]);
    house.replace("ads", &format!("{FOUR}six.test\n"));
    eventually("it is read", || house.a("six.test").is_sunk());

    // Of another source nothing is known.
    let mut house = house;
    house.configure(|plan| plan.tables("[[feed]]\nname = 'other'\nsource = 'nowhere'\n"));
    let reloaded = house.reload().unwrap();
    assert_eq!(reloaded.refused, ["other"]);
    assert!(reloaded.notes[0].ends_with("nothing of it is enforced: it was never read"), "{:?}", reloaded.notes);
    assert_eq!((house.metric("cenote_feed_stale{feed=\"other\"}"), house.metric("cenote_ready")), (1, 1));
}

#[test]
fn a_script_is_told_that_a_feed_was_not_taken() {
    use crate::harness::child::{Serving, run};
    let plan = keeping().feed("ads", FOUR).feed("more", "five.test\n");
    let socket = plan.path("admin.sock");
    let plan = plan.key("admin", &format!("socket = '{socket}'"));
    let mut serving = Serving::start(&plan.write(), &[]);
    let ends = |words: &[&str], code: i32| {
        let output = run(&[words, &["--socket", &socket]].concat());
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    };
    ends(&["reload"], 0);
    ends(&["feed", "refresh"], 0);
    plan.replace("more", "<html>");
    ends(&["feed", "refresh", "ads"], 0);
    ends(&["feed", "refresh", "more"], 1);
    ends(&["reload"], 1);
    plan.replace("ads", &format!("{FOUR}six.test\n"));
    ends(&["feed", "refresh", "ads"], 0);
    ends(&["rollback", "--feed", "ads"], 0);
    ends(&["feed", "refresh", "ads"], 1);
    ends(&["feed", "unpin", "ads"], 0);
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.end().code(), Some(0));
}
