//! `einlass simulate`, as operators run it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may fail")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = r#"
[region.north]
backends = ["10.1.0.11:8080"]
[region.north.admission]
mode = "fixed"
in_flight = { max = 8 }
logins_per_second = 12
[[region.north.school]]
host = "gym.example"
pupils = 400
[[region.north.school]]
host = "small.example"
pupils = 100
[[region.north.school]]
host = "old.example"
pupils = 60
backends = ["10.1.0.12:8080"]
[region.south]
backends = ["10.2.0.11:8080"]
admission = { mode = "closed" }
[[region.south.school]]
host = "south.example"
"#;

const SCENARIO: &str = r#"
[region.north]
hash = "100ms"
[[wave]]
over = "10s"
"#;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.path("einlass.toml"), CONFIG).unwrap();
        fs::write(folder.path("small.toml"), SCENARIO).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn simulate(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_einlass"))
            .current_dir(self.0.path())
            .arg("simulate")
            .args(arguments)
            .output()
            .unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_morning_is_told_on_the_terminal_as_json_and_as_a_page() {
    let folder = Folder::new();
    let said = folder.simulate(&[
        "--config",
        "einlass.toml",
        "--scenario",
        "small.toml",
        "--json",
        "out.json",
        "--html",
        "out.html",
    ]);
    assert_eq!(text(&said.stderr), "");
    assert_eq!(said.status.code(), Some(0));

    let table = text(&said.stdout);
    for sentence in [
        "assumed: north: 8 cores (guessed: as many as `in_flight.max`); 100 ms for a login",
        "assumed: 1 own server: 2 cores (guessed: 2 for each of a school's own servers)",
        "assumed: not played, closed: south",
        "assumed: everybody enrolled within 10 s; 1 gateway; seed 1",
        "What happens",
        "Schools with the longest waits",
        "Median wait by school size",
        "ceilings raised",
        "twice the cores",
        "twice the time to come",
    ] {
        assert!(table.contains(sentence), "{sentence} is not in\n{table}");
    }

    let report: Value =
        serde_json::from_slice(&fs::read(folder.path("out.json")).unwrap()).unwrap();
    let north = &report["pools"][0];
    assert_eq!(
        (&north["pool"], &north["came"]),
        (&"north".into(), &500.into())
    );
    assert_eq!(north["admitted"], 500);
    assert_eq!(report["pools"][1]["pool"], "north/old.example");
    // 500 logins at 12 a second take 40 s; at the 80 a second of 8 cores they hardly wait.
    let empty = |pools: &Value| pools[0]["queue_empty_at"].as_f64().unwrap();
    let raised = &report["what_would_change"][0];
    assert_eq!(raised["what"], "ceilings raised");
    assert!(empty(&report["pools"]) > 25.0, "{north}");
    assert!(empty(&raised["pools"]) < 15.0, "{raised}");

    let page = fs::read_to_string(folder.path("out.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 10);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert_eq!(page.matches("<title>").count(), 11);
    for foreign in [
        "http:", "https:", "src=", "href=", "<script", "url(", "@import",
    ] {
        assert!(!page.contains(foreign), "{foreign} in the page");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
}

#[test]
fn the_same_seed_has_the_same_morning() {
    let folder = Folder::new();
    let play = |file: &str| {
        let arguments = ["--config", "einlass.toml", "--scenario", "small.toml"];
        let said = folder.simulate(&[&arguments[..], &["--once", "--json", file]].concat());
        assert!(said.status.success(), "{}", text(&said.stderr));
        let report: Value = serde_json::from_slice(&fs::read(folder.path(file)).unwrap()).unwrap();
        report["outcome"].clone()
    };
    assert_eq!(play("one.json"), play("two.json"));
}

#[test]
fn without_a_scenario_everybody_comes_within_five_minutes() {
    let folder = Folder::new();
    let said = folder.simulate(&["--config", "einlass.toml", "--once"]);
    let table = text(&said.stdout);
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert!(table.contains("assumed: everybody enrolled within 5 min 00 s; 1 gateway; seed 1"));
    let north = table
        .lines()
        .find(|line| line.starts_with("  north "))
        .unwrap();
    assert!(north.contains(" 500  500 "), "{table}");
    assert!(!table.contains("What would change"));
}

#[test]
fn other_ways_to_let_logins_in_are_played_beside() {
    let folder = Folder::new();
    let arguments = ["--config", "einlass.toml", "--scenario", "small.toml"];
    let more = ["--once", "--against", "--json", "out.json"];
    let said = folder.simulate(&[&arguments[..], &more].concat());
    assert!(said.status.success(), "{}", text(&said.stderr));
    let table = text(&said.stdout);
    assert!(table.contains("Other ways to let logins in"), "{table}");
    let report: Value =
        serde_json::from_slice(&fs::read(folder.path("out.json")).unwrap()).unwrap();
    let ways = report["against"].as_array().unwrap();
    assert_eq!(ways.len(), 7);
    for way in ways {
        let name = way["what"].as_str().unwrap();
        assert!(table.contains(name), "{name} is not in\n{table}");
        let count = |key: &str| way["pools"][0][key].as_u64().unwrap();
        assert_eq!(count("came"), 500, "{name}");
        assert_eq!(
            count("came"),
            count("admitted") + count("gave_up") + count("left"),
            "{name}"
        );
    }
    // Everybody is behind the school's one address, and one login a second is let through from there.
    let last = |way: &Value| way["pools"][0]["ended"].as_f64().unwrap();
    assert!(last(&ways[6]) > 300.0, "{}", ways[6]);
}

#[test]
fn a_scenario_with_schools_of_its_own_needs_no_configuration() {
    let folder = Folder::new();
    let own = "[region.a]\nschools = { count = 3, pupils = 50 }\n[[wave]]\nover = \"5s\"";
    fs::write(folder.path("own.toml"), own).unwrap();
    let said = folder.simulate(&["--scenario", "own.toml", "--once"]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert!(text(&said.stdout).contains("8 cores (guessed: 8 for each backend)"));
    let said = folder.simulate(&[]);
    assert_eq!(said.status.code(), Some(2));
}

#[test]
fn every_scenario_of_the_benches_is_a_morning() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/scenarios");
    for folder in [
        "",
        "/fresh",
        "/made_2026_11_26",
        "/made_2026_11_27",
        "/made_2026_11_27_evening",
    ]
    .map(|of| format!("{folder}{of}"))
    {
        for file in fs::read_dir(folder).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                let scenario = einlass_config::scenario::load(&file, None).unwrap();
                let morning = einlass::simulate::morning(None, &scenario).unwrap();
                let came = morning
                    .scenario
                    .pools
                    .iter()
                    .all(|pool| !pool.waves.is_empty());
                assert!(came, "{}", file.display());
                let guessed = morning
                    .assumed
                    .iter()
                    .any(|sentence| sentence.contains("guessed"));
                assert!(!guessed, "{:?}", morning.assumed);
            }
        }
    }
}

#[test]
fn a_wave_of_a_closed_region_is_said_to_come_to_nothing() {
    let folder = Folder::new();
    let wave = "[[wave]]\nschool = \"south.example\"\n";
    fs::write(folder.path("small.toml"), wave).unwrap();
    let arguments = [
        "--config",
        "einlass.toml",
        "--scenario",
        "small.toml",
        "--once",
    ];
    let said = folder.simulate(&arguments);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        text(&said.stderr).starts_with("nobody comes: "),
        "{}",
        text(&said.stderr)
    );
    fs::write(folder.path("small.toml"), format!("{SCENARIO}{wave}")).unwrap();
    let said = folder.simulate(&arguments);
    assert_eq!(text(&said.stderr), "");
    let sentence = "assumed: nobody comes of south.example: the pool is closed";
    assert!(
        text(&said.stdout).contains(sentence),
        "{}",
        text(&said.stdout)
    );
}

#[test]
fn mistakes_have_their_place() {
    let folder = Folder::new();
    fs::write(
        folder.path("small.toml"),
        "[region.nroth]\ncores = 0\n[[wave]]\nno_shows = 2",
    )
    .unwrap();
    let said = folder.simulate(&["--config", "einlass.toml", "--scenario", "small.toml"]);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        text(&said.stderr),
        "small.toml:1:1: the region `nroth` has no schools (did you mean `north`?)\nsmall.toml:2:9: `cores` must be between 0.01 and 100000, not 0\nsmall.toml:4:12: `no_shows` must be between 0 and 1, not 2\n"
    );
    assert_eq!(text(&said.stdout), "");
    let said = folder.simulate(&["--config", "einlass.toml", "--scenario", "none.toml"]);
    assert_eq!(
        text(&said.stderr),
        "none.toml:1:1: cannot read `none.toml`: there is no such file\n"
    );
}

#[test]
fn a_report_that_cannot_be_written_says_where() {
    let folder = Folder::new();
    let arguments = [
        "--config",
        "einlass.toml",
        "--scenario",
        "small.toml",
        "--once",
    ];
    let said = folder.simulate(&[&arguments[..], &["--html", "no/such/folder.html"]].concat());
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stderr).starts_with("cannot write `no/such/folder.html`: "));
}

#[test]
fn a_morning_at_which_everything_is_closed_is_not_played() {
    let folder = Folder::new();
    let closed = "[region.a]\nbackends = [\"10.1.0.11:80\"]\nadmission.mode = \"closed\"\nschool = [{ host = \"a.example\" }]";
    fs::write(folder.path("einlass.toml"), closed).unwrap();
    let said = folder.simulate(&["--config", "einlass.toml"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stderr).starts_with("every region is closed"));
}
