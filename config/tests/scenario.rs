//! A scenario says what a configuration cannot know; every mistake in it has a place.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::time::Duration;

use einlass_config::scenario::{Cores, Gate, Mode, Scenario, Size, Span, Step, load, load_str};
use einlass_config::{Config, Mistakes};

const REGION: &str = "[region.north]\nschools = { count = 3 }\n";

fn config() -> Config {
    let text = r#"
        [region.hannover]
        backends = ["10.1.0.11:8080"]
        [[region.hannover.school]]
        host = "gym.example"
        pupils = 900
        [[region.hannover.school]]
        host = "old.example"
        backends = ["10.1.0.12:8080"]
    "#;
    einlass_config::load_str("c.toml", text).unwrap()
}

fn mistakes(text: &str, config: Option<&Config>) -> Mistakes {
    match load_str("s.toml", text, config) {
        Err(mistakes) => mistakes,
        Ok(scenario) => panic!("no mistake found in\n{text}\n{scenario:#?}"),
    }
}

/// What stands before a sound region, with its mistakes.
fn each<const N: usize>(table: [(&str, &str); N]) {
    for (text, expected) in table {
        let text = format!("{text}\n{REGION}");
        assert_eq!(mistakes(&text, None).to_string(), expected, "in\n{text}");
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_scenario_may_bring_its_own_schools() {
    let text = r#"
        seed = 9
        longest = "1h"
        [gateways]
        skew = [2, 1.0]
        cut_off = [{ from = "30s", until = "1m" }]
        [backends]
        hash = "300ms"
        [own_servers]
        cores = { min = 1, max = 2 }
        [admission]
        gate = "page"
        [region.north]
        schools = { count = 100, pupils = [200, 1400] }
        cores = [{ at = "0s", is = 16 }, { at = "2m", is = 8 }]
        own_servers = { share = 0.03 }
        admission = { mode = "fixed", in_flight = { max = 40 }, logins_per_second = 30 }
        [pool."north/north-34"]
        cores = 0.5
        [[wave]]
        pupils = 5000
        shape = "bell"
        [[wave]]
        school = "north-7"
        enrolled = 120
        from = "45m"
        no_shows = [{ at = "0s", is = 0 }, { at = "50m", is = 0.4 }]
        patience = "10m"
    "#;
    let scenario = load_str("monday.toml", text, None).unwrap();
    assert_eq!((scenario.name.as_str(), scenario.seed), ("monday", 9));
    assert_eq!(scenario.gateways.skew, [2.0, 1.0]);
    let cut_off = [Span {
        from: secs(30),
        until: secs(60),
    }];
    assert_eq!(scenario.gateways.cut_off, cut_off);
    assert_eq!(scenario.backends.hash, Some(Duration::from_millis(300)));
    let dealt = Cores::Between { min: 1, max: 2 };
    assert_eq!(scenario.own_servers.cores, Some(dealt));
    assert_eq!(scenario.admission.gate, Some(Gate::Page));
    let north = &scenario.regions[0];
    assert_eq!((north.schools.len(), north.own_schools.len()), (97, 3));
    assert_eq!(north.own_schools[0].name, "north-34");
    assert_eq!(north.admission.mode, Some(Mode::Fixed));
    assert_eq!(north.admission.in_flight.map(|bounds| bounds.max), Some(40));
    let steps = vec![
        Step {
            at: secs(0),
            is: 16.0,
        },
        Step {
            at: secs(120),
            is: 8.0,
        },
    ];
    assert_eq!(north.backends.cores, Some(Cores::Steps(steps)));
    assert_eq!(scenario.pools[0].0, "north/north-34");
    assert_eq!(scenario.waves[0].size, Size::Pupils(5_000));
    assert_eq!(scenario.waves[1].school.as_deref(), Some("north-7"));
    assert_eq!(scenario.waves[1].no_shows.len(), 2);
}

#[test]
fn an_empty_scenario_lets_everybody_of_the_configuration_come() {
    let scenario = load_str("s.toml", "", Some(&config())).unwrap();
    let name = "s".to_owned();
    assert_eq!(
        scenario,
        Scenario {
            name,
            ..Scenario::default()
        }
    );
    assert_eq!(
        mistakes("", None).to_string(),
        "s.toml:1:1: there is no region (begin one with [region.NAME] and its `schools`, or name a configuration with --config)"
    );
}

#[test]
fn what_is_said_of_one_pool_goes_before_what_is_said_of_all() {
    let text = "[backends]\nhash = \"1s\"\nqueue = 9\n[region.north]\nschools = { count = 3 }\nhash = \"2s\"";
    let scenario = load_str("s.toml", text, None).unwrap();
    let both = scenario.regions[0].backends.or(&scenario.backends);
    assert_eq!((both.hash, both.queue), (Some(secs(2)), Some(9)));
}

#[test]
fn numbers_that_no_number_is_meant_by() {
    each([
        (
            "seed = -5",
            "s.toml:1:8: `seed` must be between 0 and 4294967295, not -5",
        ),
        (
            "seed = 4294967296",
            "s.toml:1:8: `seed` must be between 0 and 4294967295, not 4294967296",
        ),
        (
            "seed = 0x1_0000_0000_0000_0000_0000_0000_0000_0000",
            "s.toml:1:8: `seed` must be between 0 and 4294967295, not 0x100000000000000000000000000000000",
        ),
        (
            "seed = \"x\"",
            "s.toml:1:8: `seed` must be a whole number, not \"x\"",
        ),
    ]);
}

#[test]
fn a_school_has_one_name_and_no_other_has_it() {
    let config = config();
    let of = |text: &str, config: Option<&Config>| mistakes(text, config).to_string();
    let written = "[region.a]\nschools = { count = 2 }\n[region.b]\nschool = [{ name = \"b-1\" }, { name = \"a-2\" }]\n";
    assert_eq!(
        of(written, None),
        "s.toml:4:38: there are two schools `a-2` (the other one is in the region `a`)"
    );
    let made = "[region.a]\nschool = [{ name = \"b-2\" }]\n[region.b]\nschools = { count = 9 }\n";
    assert_eq!(
        of(made, None),
        "s.toml:4:11: there are two schools `b-2` (the other one is in the region `a`)"
    );
    let configured = "[region.a]\nschool = [{ name = \"gym.example\" }]\n";
    assert_eq!(
        of(configured, Some(&config)),
        "s.toml:2:20: there are two schools `gym.example` (the other one is in the region `hannover`)"
    );
    let same = "[region.a]\nschool = [{ name = \"x\" }, { name = \"x\" }]\n";
    assert_eq!(of(same, None), "s.toml:2:36: there are two schools `x`");
}

#[test]
fn unknown_keys() {
    each([
        (
            "sead = 3",
            "s.toml:1:1: unknown key `sead` (did you mean `seed`?)",
        ),
        (
            "[gateways]\ngateways = 3",
            "s.toml:2:1: unknown key `gateways` in [gateways] (known here: count, skew, round_trip, cut_off)",
        ),
        (
            "[backends]\ncore = 3",
            "s.toml:2:1: unknown key `core` in [backends] (did you mean `cores`?)",
        ),
        (
            "[[wave]]\nshap = \"bell\"",
            "s.toml:2:1: unknown key `shap` in [wave] (did you mean `shape`?)",
        ),
        (
            "[backends]\ndown = [{ from = \"1s\", until = \"2s\", cores = 1 }]",
            "s.toml:2:38: unknown key `cores` in [backends.down] (known here: from, until)",
        ),
    ]);
}

#[test]
fn absurd_values() {
    each([
        (
            "[backends]\ncores = 0",
            "s.toml:2:9: `cores` must be between 0.01 and 100000, not 0",
        ),
        (
            "[backends]\ncores = [{ at = \"0s\", is = -4 }]",
            "s.toml:2:28: `is` must be between 0.01 and 100000, not -4",
        ),
        (
            "[backends]\nhash = \"0s\"",
            "s.toml:2:8: `hash` must be between 1ms and 1m, not \"0s\"",
        ),
        (
            "[backends]\nspread = -0.1",
            "s.toml:2:10: `spread` must be between 0 and 3, not -0.1",
        ),
        (
            "[admission]\nlogins_per_second = -5",
            "s.toml:2:21: `logins_per_second` must be between 0.001 and 1000000, not -5",
        ),
        (
            "[[wave]]\nno_shows = 1.1",
            "s.toml:2:12: `no_shows` must be between 0 and 1, not 1.1",
        ),
        (
            "[[wave]]\npupils = 0",
            "s.toml:2:10: `pupils` must be between 1 and 20000000, not 0",
        ),
        (
            "[gateways]\ncount = 0",
            "s.toml:2:9: `count` must be between 1 and 64, not 0",
        ),
        (
            "[gateways]\nskew = [1, 0]",
            "s.toml:2:12: `skew` must be between 0.001 and 1000, not 0",
        ),
        (
            "wave = []",
            "s.toml:1:8: `wave` is empty: nobody comes (leave it out, then everybody comes within five minutes)",
        ),
        (
            "[[wave]]\nenrolled = 20_000",
            "s.toml:2:12: `enrolled` must be between 0.001 and 1000, not 20000",
        ),
        (
            "[[wave]]\nenrolled = 0",
            "s.toml:2:12: `enrolled` must be between 0.001 and 1000, not 0",
        ),
        (
            "longest = \"1m\"\n[[wave]]\nfrom = \"1h\"",
            "s.toml:3:8: the wave comes after 1h, and the morning has ended by then (`longest` is 1m)",
        ),
        (
            "[[wave]]\npupils = 12_000_000\n[[wave]]\npupils = 12_000_000",
            "s.toml:3:1: 24000000 pupils come in all, more than the 20000000 a rehearsal can hold (rehearse fewer regions at a time, they share nothing)",
        ),
    ]);
}

#[test]
fn times_out_of_order() {
    each([
        (
            "[backends]\ncores = [{ at = \"1m\", is = 4 }, { at = \"30s\", is = 8 }]",
            "s.toml:2:33: `cores` is out of order: 30s does not come after 1m",
        ),
        (
            "[backends]\ndown = [{ from = \"1m\", until = \"30s\" }]",
            "s.toml:2:9: it ends at 30s, which is not after its beginning at 1m",
        ),
        (
            "[gateways]\ncut_off = [{ from = \"1m\", until = \"2m\" }, { from = \"90s\", until = \"3m\" }]",
            "s.toml:2:43: `cut_off` is out of order: from 1m 30s, but the one above lasts until 2m",
        ),
        (
            "[backends]\ncores = [{ at = \"1m\" }]",
            "s.toml:2:10: `is` is missing (write { at = \"60s\", is = 4 })",
        ),
    ]);
}

#[test]
fn schools_that_cannot_be() {
    for (text, expected) in [
        (
            "[region.a]",
            "s.toml:1:1: the region `a` has no schools (give it some, as in schools = { count = 500, pupils = [200, 1400] })",
        ),
        (
            "[region.a]\nschools = { count = 0 }",
            "s.toml:2:21: `count` must be between 1 and 65535, not 0",
        ),
        (
            "[region.a]\nschool = []",
            "s.toml:2:10: the region `a` has no schools (make up at least one)",
        ),
        (
            "[region.a]\nschools = { count = 9, pupils = 0 }",
            "s.toml:2:33: `pupils` must be between 1 and 1000000, not 0",
        ),
        (
            "[region.a]\nschools = { count = 9, pupils = [10, 10_000_000] }",
            "s.toml:2:38: `pupils` must be between 1 and 1000000, not 10000000",
        ),
        (
            "[region.a]\nschools = { count = 9, pupils = [20, 10] }",
            "s.toml:2:33: `pupils` must name the least and the most of a school (write [200, 1400], or one number for all of them)",
        ),
        (
            "[region.a]\nschool = [{ name = \"x\", pupils = 1 }, { name = \"x\", pupils = 2 }]",
            "s.toml:2:48: there are two schools `x`",
        ),
        (
            "[region.a]\nschools = { count = 30000, pupils = 1_000_000 }",
            "s.toml:1:1: 30000000000 pupils come in all, more than the 20000000 a rehearsal can hold (rehearse fewer regions at a time, they share nothing)",
        ),
    ] {
        assert_eq!(mistakes(text, None).to_string(), expected, "in\n{text}");
    }
}

#[test]
fn names_that_nobody_knows() {
    let config = config();
    for (text, expected) in [
        (
            "[region.hanover]\ncores = 4",
            "s.toml:1:1: the region `hanover` has no schools (did you mean `hannover`?)",
        ),
        (
            "[region.hannover]\nschools = { count = 4 }",
            "s.toml:2:11: the configuration knows the region `hannover` (leave its schools to the configuration, or choose another name)",
        ),
        (
            "[region.hannover.own_servers]\nshare = 0.1",
            "s.toml:2:9: which schools have servers of their own stands in the configuration (leave out `share`)",
        ),
        (
            "[[wave]]\nschool = \"gmy.example\"",
            "s.toml:2:10: there is no school `gmy.example` (did you mean `gym.example`?)",
        ),
        (
            "[[wave]]\nregion = \"south\"",
            "s.toml:2:10: there is no region `south` (known here: hannover)",
        ),
        (
            "[pool.\"hannover/gym.example\"]\ncores = 1",
            "s.toml:1:1: there is no pool `hannover/gym.example` (did you mean `hannover/old.example`?)",
        ),
        (
            "[region.north]\nschools = { count = 3 }\n[[wave]]\nschool = \"gym.example\"\nregion = \"north\"",
            "s.toml:4:10: `gym.example` is a school of the region `hannover` (leave out `region`)",
        ),
    ] {
        assert_eq!(
            mistakes(text, Some(&config)).to_string(),
            expected,
            "in\n{text}"
        );
    }
}

#[test]
fn what_excludes_one_another() {
    each([
        (
            "[gateways]\ncount = 2\nskew = [1, 2]",
            "s.toml:3:8: `skew` cannot stand beside `count` (keep one of them)",
        ),
        (
            "[[wave]]\nenrolled = 0.5\npupils = 9",
            "s.toml:3:10: `pupils` cannot stand beside `enrolled` (keep one of them)",
        ),
        (
            "[own_servers]\ncores = { min = 2, max = 1 }",
            "s.toml:2:9: `cores.min` is 2, more than `cores.max`, which is 1",
        ),
        (
            "[own_servers]\ncores = { min = 2 }",
            "s.toml:2:9: `cores` needs both its ends (write { min = 1, max = 2 })",
        ),
        (
            "[admission]\nmode = \"adaptve\"",
            "s.toml:2:8: unknown mode `adaptve` (did you mean `adaptive`?)",
        ),
    ]);
}

#[test]
fn every_scenario_of_the_benches_can_be_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/scenarios");
    let mut read = Vec::new();
    for own in [
        "",
        "fresh",
        "made_2026_11_26",
        "made_2026_11_27",
        "made_2026_11_27_evening",
    ] {
        let folder = Path::new(folder).join(own);
        let files = std::fs::read_dir(folder).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let scenarios = files.filter(|file| file.extension().is_some_and(|it| it == "toml"));
        let scenarios: Vec<Scenario> = scenarios.map(|file| load(&file, None).unwrap()).collect();
        read.push(scenarios.len());
    }
    assert!(
        read[0] >= 12 && read.iter().all(|read| *read >= 3),
        "{read:?}"
    );
}
