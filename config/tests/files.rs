//! The files that a configuration names, and the file it stands in.

use std::fs;
use std::path::Path;
use std::time::Instant;

use einlass_config::{Config, Mistakes, load};
use tempfile::TempDir;

const REGION: &str = "[region.a]\nbackends = [\"10.0.0.1:80\"]\n";

/// A folder with these files, of which `einlass.toml` is loaded.
fn load_files(files: &[(&str, &[u8])]) -> (TempDir, Result<Config, Mistakes>) {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    for (name, content) in files {
        fs::write(folder.path().join(name), content)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let config = load(&folder.path().join("einlass.toml"));
    (folder, config)
}

/// What is said about these files, without the folder in front of their names.
fn mistakes(files: &[(&str, &[u8])]) -> String {
    let (folder, config) = load_files(files);
    let Err(mistakes) = config else {
        panic!("no mistake found")
    };
    mistakes
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "")
}

fn sound(files: &[(&str, &[u8])]) -> Config {
    load_files(files)
        .1
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn with_csv(csv: &str) -> (String, String) {
    (
        format!("{REGION}schools = \"schools.csv\"\n"),
        csv.to_owned(),
    )
}

fn csv_mistakes(csv: &str) -> String {
    let (toml, csv) = with_csv(csv);
    mistakes(&[
        ("einlass.toml", toml.as_bytes()),
        ("schools.csv", csv.as_bytes()),
    ])
}

fn csv_sound(csv: &str) -> Config {
    let (toml, csv) = with_csv(csv);
    sound(&[
        ("einlass.toml", toml.as_bytes()),
        ("schools.csv", csv.as_bytes()),
    ])
}

#[test]
fn schools_come_from_a_table() {
    let config = csv_sound(
        "host,pupils,backends\n\
         gym.example,900,\n\
         Süd.example, 1200 ,\n\
         \n\
         igs.example\n\
         \"old.example\",300,\"10.0.0.7:80; 10.0.0.8:80\"\r\n\
         ,,\n",
    );
    let region = &config.regions[0];
    let schools: Vec<_> = region
        .schools
        .iter()
        .map(|school| (school.host.as_str(), school.pupils))
        .collect();
    assert_eq!(
        schools,
        [
            ("gym.example", 900),
            ("xn--sd-xka.example", 1200),
            ("igs.example", 500)
        ]
    );
    assert_eq!(region.own_servers[0].school.pupils, 300);
    assert_eq!(
        region.own_servers[0].backends,
        [
            "10.0.0.7:80".parse().unwrap(),
            "10.0.0.8:80".parse().unwrap()
        ]
    );
}

#[test]
fn the_columns_of_a_table_may_stand_in_any_order_or_be_left_out() {
    let config = csv_sound("\u{feff}Pupils,Host\n900,gym.example\n");
    assert_eq!(config.regions[0].schools[0].pupils, 900);
    let config = csv_sound("host\ngym.example\n");
    assert_eq!(config.regions[0].schools[0].pupils, 500);
}

#[test]
fn every_bad_row_of_a_table_is_reported() {
    let said = csv_mistakes(
        "host,pupils,backends\n\
         a b.example,900,\n\
         \n\
         gym.example,0,\n\
         \"igs.example\", viele ,db.example:80 10.0.0.7:80;x\n\
         ä.example,1,,surplus\n\
         ,5,\n\
         old.example,,10.0.0.1:80\n\
         ok.example,1,\n\
         OK.example,1,\n",
    );
    assert_eq!(
        said,
        "schools.csv:2:1: \"a b.example\" is not the host of a school: ' ' cannot be part of a host\n\
         schools.csv:4:13: `pupils` must be a whole number between 1 and 1000000, not \"0\"\n\
         schools.csv:5:16: `pupils` must be a whole number between 1 and 1000000, not \"viele\"\n\
         schools.csv:5:49: the backend \"x\" has no port \
         (write address and port, as in \"10.1.0.11:8080\", or a name and port, as in \"app.example:8080\")\n\
         schools.csv:6:14: there are more fields in this row than columns \
         (several backends are separated by spaces or `;`)\n\
         schools.csv:7:1: \"\" is not the host of a school: a host must not be empty\n\
         schools.csv:8:14: the backend 10.0.0.1:80 is in the pool `a` already, at einlass.toml:2:13 \
         (two rooms would each fill it to their own cap; schools on one server belong in one region)\n\
         schools.csv:10:1: the host `ok.example` belongs to another school, at schools.csv:9:1"
    );
}

#[test]
fn a_table_that_is_none_says_why() {
    for (csv, expected) in [
        (
            "",
            "schools.csv:1:1: the file is empty (its first row is `host,pupils,backends`)",
        ),
        (
            "host;pupils;backends\ngym.example;900;\n",
            "schools.csv:1:1: the columns must be separated by commas (as in `host,pupils,backends`)",
        ),
        (
            "host,pupil\n",
            "schools.csv:1:6: unknown column `pupil` (did you mean `pupils`?)",
        ),
        (
            "host,host\n",
            "schools.csv:1:6: the column `host` is there twice",
        ),
        (
            "pupils\n900\n",
            "schools.csv:1:1: there is no column `host` (the first row is `host,pupils,backends`)",
        ),
        (
            "host\n\"gym.example\nigs.example\n",
            "schools.csv:2:1: a quote is opened here and not closed in this row",
        ),
        (
            "host,pupils,backends\n",
            "einlass.toml:1:1: the region `a` has no schools \
             (add them as [[region.a.school]], or as a CSV file with schools = \"schools.csv\")",
        ),
    ] {
        assert_eq!(csv_mistakes(csv), expected, "in\n{csv}");
    }
}

#[test]
fn a_host_is_claimed_once_over_all_files_and_regions() {
    let toml = format!(
        "{REGION}schools = \"a.csv\"\nschool = [{{ host = \"gym.example\" }}]\n\
         [region.b]\nbackends = [\"10.0.0.2:80\"]\nschools = \"b.csv\"\n"
    );
    let said = mistakes(&[
        ("einlass.toml", toml.as_bytes()),
        ("a.csv", b"host\nigs.example\nGYM.example\n"),
        ("b.csv", b"host\nigs.example\n"),
    ]);
    assert_eq!(
        said,
        "a.csv:3:1: the host `gym.example` belongs to another school, at einlass.toml:4:20\n\
         b.csv:2:1: the host `igs.example` belongs to another school, at a.csv:2:1"
    );
}

/// So many schools of one region in a file of their own, one of fifty with its own server.
fn many_schools(count: usize) -> tempfile::TempDir {
    use std::fmt::Write;
    let mut csv = String::from("host,pupils,backends\n");
    for school in 0..count {
        let own = if school % 50 == 0 {
            format!("10.2.{}.{}:80", school / 250, school % 250 + 1)
        } else {
            String::new()
        };
        let _ = writeln!(csv, "schule-{school}.example,{},{own}", school + 1);
    }
    let (toml, csv) = with_csv(&csv);
    let (folder, config) = load_files(&[
        ("einlass.toml", toml.as_bytes()),
        ("schools.csv", csv.as_bytes()),
    ]);
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let region = &config.regions[0];
    assert_eq!(region.schools.len() + region.own_servers.len(), count);
    folder
}

#[test]
fn ten_thousand_schools_load_in_the_time_of_ten_times_a_thousand() {
    let (few, many) = (many_schools(1_000), many_schools(10_000));
    // As many schools in both, so that other work on this machine is as long in the way of both; and the best
    // of a few.
    let best = |folder: &tempfile::TempDir, times: u32| {
        let all = (0..7).map(|_| {
            let begin = Instant::now();
            for _ in 0..times {
                assert!(load(&folder.path().join("einlass.toml")).is_ok());
            }
            begin.elapsed()
        });
        all.min().unwrap()
    };
    let (few, many) = (best(&few, 10), best(&many, 1));
    println!("{few:?} and {many:?}");
    // Each school compared with every other would be ten times as long.
    assert!(many < 4 * few, "{few:?} and {many:?}");
}

#[test]
fn certificates_lie_beside_the_configuration() {
    let toml = format!(
        "[edge]\nlisten_tls = [\"0.0.0.0:8443\"]\n[[edge.certificate]]\nchain = \"chain.pem\"\nkey = \"key.pem\"\n\
         {REGION}school = [{{ host = \"gym.example\" }}]"
    );
    let chain = b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".as_slice();
    let key = b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n".as_slice();
    let files = [
        ("einlass.toml", toml.as_bytes()),
        ("chain.pem", chain),
        ("key.pem", key),
    ];
    let (folder, config) = load_files(&files);
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(
        config.edge.certificates[0].chain,
        folder.path().join("chain.pem")
    );
    assert_eq!(
        config.edge.certificates[0].key,
        folder.path().join("key.pem")
    );

    assert_eq!(
        mistakes(&files[..2]),
        "einlass.toml:5:7: cannot read `key.pem`: there is no such file"
    );
    let swapped = [
        ("einlass.toml", toml.as_bytes()),
        ("chain.pem", key),
        ("key.pem", chain),
    ];
    assert_eq!(
        mistakes(&swapped),
        "einlass.toml:4:9: `chain.pem` does not hold a certificate in PEM form\n\
         einlass.toml:5:7: `key.pem` does not hold a private key in PEM form"
    );
}

#[test]
fn a_certificate_needs_both_its_files() {
    let toml = format!("[[edge.certificate]]\n{REGION}school = [{{ host = \"gym.example\" }}]");
    assert_eq!(
        mistakes(&[("einlass.toml", toml.as_bytes())]),
        "einlass.toml:1:1: a certificate needs `chain`, the PEM file of a certificate\n\
         einlass.toml:1:1: a certificate needs `key`, the PEM file of a private key"
    );
}

#[test]
fn the_configuration_itself_must_be_readable() {
    let (folder, config) = load_files(&[]);
    let said = config
        .unwrap_err()
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(
        said,
        "einlass.toml:1:1: cannot read `einlass.toml`: there is no such file"
    );
    assert!(load(Path::new("/")).is_err());
}

#[test]
fn a_text_that_is_not_utf8_is_a_mistake_at_its_first_such_byte() {
    assert_eq!(
        mistakes(&[("einlass.toml", b"# caf\n# \xE9t\xE9\n")]),
        "einlass.toml:2:3: this is not UTF-8 (save the file as UTF-8)"
    );
    let toml = format!("{REGION}schools = \"schools.csv\"");
    assert_eq!(
        mistakes(&[
            ("einlass.toml", toml.as_bytes()),
            ("schools.csv", b"host\nk\xF6ln.example\n")
        ]),
        "schools.csv:2:2: this is not UTF-8 (save the file as UTF-8)"
    );
}
