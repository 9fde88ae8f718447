//! Every mistake is reported in its place, with what is wrong and what to do.

mod backends;
mod ranges;
mod schools;
mod written;

use einlass_config::{Mistakes, load_str};

fn mistakes(text: &str) -> Mistakes {
    match load_str("f.toml", text) {
        Err(mistakes) => mistakes,
        Ok(config) => panic!("no mistake found in\n{text}\n{config:#?}"),
    }
}

/// Texts, each with its only mistake.
fn each<const N: usize>(table: [(&str, &str); N]) {
    for (text, expected) in table {
        assert_eq!(mistakes(text).to_string(), expected, "in\n{text}");
    }
}

/// Like [`each`], for what stands before a sound region.
fn each_before_a_region<const N: usize>(table: [(&str, &str); N]) {
    for (text, expected) in table {
        let text = format!(
            "{text}\n[region.a]\nbackends = [\"10.0.0.1:80\"]\nschool = [{{ host = \"a.example\" }}]"
        );
        assert_eq!(mistakes(&text).to_string(), expected, "in\n{text}");
    }
}

/// Like [`each`], for what stands in a sound region, from line 4.
fn each_in_a_region<const N: usize>(table: [(&str, &str); N]) {
    for (text, expected) in table {
        let text = format!(
            "[region.a]\nbackends = [\"10.0.0.1:80\"]\nschool = [{{ host = \"a.example\" }}]\n{text}"
        );
        assert_eq!(mistakes(&text).to_string(), expected, "in\n{text}");
    }
}

#[test]
fn all_of_them_in_the_order_of_the_file() {
    let text = r#"
lisen = 1
[region.hannover]
platform = "generik"
backends = ["10.1.0.11:8080", "db.example"]
[region.hannover.admission]
hold = "1h"
in_flight = { min = 0, max = 100_001 }
[[region.hannover.school]]
host = "gym.example"
pupils = "900"
[[region.hannover.school]]
host = "gym.example"
[edge]
max_connections = 0
"#;
    assert_eq!(
        mistakes(text).to_string(),
        "f.toml:2:1: unknown key `lisen` (known here: edge, desk, state, store, region)\nf.toml:4:12: unknown platform `generik` (did you mean `generic`?)\nf.toml:5:31: the backend \"db.example\" has no port (write address and port, as in \"10.1.0.11:8080\", or a name and port, as in \"app.example:8080\")\nf.toml:7:8: `hold` must be between 0s and 30s, not \"1h\"\nf.toml:8:21: `min` must be between 1 and 100000, not 0\nf.toml:8:30: `max` must be between 1 and 100000, not 100001\nf.toml:11:10: `pupils` must be a whole number, not \"900\"\nf.toml:13:8: the host `gym.example` belongs to another school, at f.toml:10:8\nf.toml:15:19: `max_connections` must be between 1 and 10000000, not 0"
    );
}

#[test]
fn a_mistake_tells_its_parts() {
    let mistakes = mistakes(
        "\"größe\" = 1\nregion.a.school = [{ host = \"a.example\", backends = [\"10.0.0.1:80\"] }]",
    );
    let mistake = mistakes.into_iter().next().unwrap();
    assert_eq!(mistake.file.to_str(), Some("f.toml"));
    assert_eq!((mistake.line, mistake.column), (1, 1));
    assert_eq!(mistake.message, "unknown key `größe`");
    assert_eq!(
        mistake.help.as_deref(),
        Some("known here: edge, desk, state, store, region")
    );
}
