//! Schools are found by their hosts, however these are written.

use std::borrow::Cow;

use einlass_config::{Host, HostError, HostTable, normalise};
use proptest::prelude::*;

#[test]
fn a_host_has_one_form_however_it_is_written() {
    for (written, host) in [
        ("gym.example", "gym.example"),
        ("GYM.Example.", "gym.example"),
        ("gym.example:8443", "gym.example:8443"),
        ("gym.example:", "gym.example"),
        ("gym.example:08443", "gym.example:8443"),
        ("schule-süd.example", "xn--schule-sd-x9a.example"),
        ("SCHULE-SÜD.example", "xn--schule-sd-x9a.example"),
        ("XN--SCHULE-SD-X9A.example", "xn--schule-sd-x9a.example"),
        ("gymnasium。example。", "gymnasium.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("my_school.local", "my_school.local"),
        ("localhost:8080", "localhost:8080"),
        ("127.0.0.1", "127.0.0.1"),
        ("[2001:DB8::0:1]:8080", "[2001:db8::1]:8080"),
        ("[::1]", "[::1]"),
    ] {
        assert_eq!(Host::parse(written).unwrap().as_str(), host, "{written}");
        assert_eq!(normalise(written).unwrap(), host, "{written}");
    }
}

#[test]
fn what_is_not_a_host_says_why() {
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = "a.".repeat(127) + "example";
    for (written, error) in [
        ("", HostError::Empty),
        (".", HostError::Empty),
        (":8080", HostError::Empty),
        ("https://gym.example", HostError::Url),
        ("gym.example/login", HostError::Url),
        ("*.example", HostError::Wildcard),
        ("gym..example", HostError::EmptyLabel),
        (".example", HostError::EmptyLabel),
        ("gym example", HostError::Character(' ')),
        ("user@gym.example", HostError::Character('@')),
        ("a:b:c", HostError::Character(':')),
        ("gym.example:0", HostError::Port),
        ("gym.example:65536", HostError::Port),
        ("gym.example:+8080", HostError::Port),
        ("gym.example:443", HostError::DefaultPort(443)),
        ("gym.example:80", HostError::DefaultPort(80)),
        ("xn--a.example", HostError::Idn),
        ("[gym.example]", HostError::Ipv6),
        (&long_label, HostError::TooLong),
        (&long_name, HostError::TooLong),
    ] {
        assert_eq!(Host::parse(written), Err(error), "{written}");
    }
}

#[test]
fn a_header_in_normal_form_is_not_copied() {
    for header in [
        "gym.example",
        "gym.example:8443",
        "gym.example:65535",
        "xn--schule-sd-x9a.example",
        "127.0.0.1:80",
    ] {
        assert!(
            matches!(normalise(header), Some(Cow::Borrowed(same)) if same == header),
            "{header}"
        );
    }
}

#[test]
fn a_header_that_is_no_host_is_nothing() {
    for header in [
        "",
        "gym example",
        "gym.example:99999",
        "..",
        "\u{0}",
        &"a".repeat(70_000),
    ] {
        assert_eq!(normalise(header), None);
    }
}

#[test]
fn a_host_without_port_is_found_on_every_port() {
    let table = HostTable::from_iter([(Host::parse("Gym.example").unwrap(), 1)]);
    for header in [
        "gym.example",
        "GYM.EXAMPLE",
        "gym.example.",
        "gym.example:443",
        "gym.example:8443",
    ] {
        assert_eq!(table.find(header), Some(&1), "{header}");
    }
    assert_eq!(table.find("other.example"), None);
    assert_eq!(table.find(""), None);
}

#[test]
fn a_host_with_a_port_is_found_on_that_one_only_and_wins_there() {
    let hosts = [
        ("gym.example", 1),
        ("gym.example:8443", 2),
        ("old.example:8443", 3),
    ];
    let table: HostTable<_> = hosts
        .into_iter()
        .map(|(host, id)| (Host::parse(host).unwrap(), id))
        .collect();
    assert_eq!(table.find("gym.example:8443"), Some(&2));
    assert_eq!(table.find("gym.example:8080"), Some(&1));
    assert_eq!(table.find("old.example:8443"), Some(&3));
    assert_eq!(table.find("old.example"), None);
    assert_eq!(table.len(), 3);
}

#[test]
fn a_host_knows_its_name_and_its_port() {
    let host = Host::parse("[::1]:8443").unwrap();
    assert_eq!((host.name(), host.port()), ("[::1]", Some(8443)));
    let host = Host::parse("[::1]").unwrap();
    assert_eq!((host.name(), host.port()), ("[::1]", None));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalising_twice_changes_nothing(header in "\\PC{0,40}(:[0-9]{0,6})?") {
        if let Some(once) = normalise(&header) {
            let twice = normalise(&once);
            prop_assert_eq!(twice.as_deref(), Some(&*once));
        }
    }

    #[test]
    fn the_quick_look_agrees_with_the_long_one(header in "[a-z0-9._-]{0,12}(:[0-9]{0,6})?") {
        if let (Some(Cow::Borrowed(header)), Ok(host)) = (normalise(&header), Host::parse(&header)) {
            prop_assert_eq!(header, host.as_str());
        }
    }
}
