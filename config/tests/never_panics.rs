//! Whatever stands in the file: an answer, and a sensible one.

use einlass_config::load_str;
use proptest::prelude::*;

/// Pieces from which nearly right files can be put together.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "[edge]\n",
        "[desk]\n",
        "[state]\n",
        "[store]\n",
        "[region.a]\n",
        "[region.a.gate]\n",
        "[region.a.admission]\n",
        "[[region.a.school]]\n",
        "[[edge.certificate]]\n",
        "[[region.a]]\n",
        "[region]\n",
        "region.a.b = 1\n",
        "listen = [\"0.0.0.0:8080\"]\n",
        "listen = \"127.0.0.1:8080\"\n",
        "backends = [\"10.0.0.1:80\"]\n",
        "backends = 3\n",
        "school = [{host = \"a.example\"}]\n",
        "host = \"a.example\"\n",
        "host = \"ä\"\n",
        "pupils = 99999999999999999999\n",
        "submit = [{ method = \"POST\", path = \"/\" }]\n",
        "submit = [[]]\n",
        "in_flight = { min = 1 }\n",
        "in_flight.max = 3\n",
        "redis = \"redis://a:1/2\"\n",
        "sentinels = [\"redis://[::1]\", \"rediss://a/2\", 3]\n",
        "cluster = [\"redis://a@b\"]\n",
        "master = \"m\"\n",
        "password_env = \"\"\n",
        "sentinel_user = \"u\"\n",
        "ca_file = \"nowhere.pem\"\n",
        "hold = \"2s\"\n",
        "hold = 1979-05-27\n",
        "max_body = \"1KiB\"\n",
        "schools = \"/nowhere.csv\"\n",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'''",
        "=",
        ".",
        "\n",
        "# x\n",
        "\u{0}",
        "\r",
        "ü",
        "1e9999",
    ];
    prop_oneof![9 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn check(text: &str) -> Result<(), TestCaseError> {
    if let Err(mistakes) = load_str("f.toml", text) {
        prop_assert!(mistakes.count() > 0);
        let lines = text.split('\n').count();
        for mistake in &mistakes {
            prop_assert!(mistake.line >= 1 && mistake.line <= lines, "{}", mistake);
            let line = text.split('\n').nth(mistake.line - 1).unwrap_or_default();
            prop_assert!(
                mistake.column >= 1 && mistake.column <= line.chars().count() + 1,
                "{}",
                mistake
            );
        }
        let places: Vec<_> = mistakes
            .iter()
            .map(|mistake| (mistake.line, mistake.column))
            .collect();
        prop_assert!(places.is_sorted());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_any_text(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn on_any_address_of_a_redis(address in "(rediss?://)?[a0:/.@\\[\\]%+ä -]{0,12}") {
        check(&format!("store.redis = '{address}'"))?;
    }

    #[test]
    fn on_anything_that_looks_like_toml(pieces in prop::collection::vec(piece(), 0..25)) {
        check(&pieces.concat())?;
    }
}

/// A table of schools is read as it is, whatever stands in it.
mod table {
    use super::*;

    fn cell() -> impl Strategy<Value = String> {
        let cells = [
            "host",
            "pupils",
            "backends",
            "a.example",
            "900",
            "10.0.0.1:80",
            "\"",
            ",",
            ",",
            "\n",
            "\r\n",
            " ",
            ";",
            "ü",
        ];
        prop_oneof![9 => prop::sample::select(cells.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn on_anything_that_looks_like_a_table(head in prop::bool::ANY, cells in prop::collection::vec(cell(), 0..25)) {
            let folder = tempfile::tempdir()?;
            let csv = format!("{}{}", if head { "host,pupils,backends\n" } else { "" }, cells.concat());
            std::fs::write(folder.path().join("s.csv"), &csv)?;
            let toml = "region.a = { backends = [\"10.0.0.9:80\"], schools = \"s.csv\" }";
            if let Err(mistakes) = load_str(folder.path().join("f.toml"), toml) {
                for mistake in mistakes.iter().filter(|mistake| mistake.file.ends_with("s.csv")) {
                    let line = csv.split('\n').nth(mistake.line - 1);
                    let length = line.map(|line| line.chars().count());
                    prop_assert!(length.is_some_and(|length| mistake.column <= length + 1), "{} in {:?}", mistake, csv);
                }
            }
        }
    }
}
