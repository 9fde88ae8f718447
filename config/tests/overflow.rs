//! Which regions help each other out, and what is wrong with how that is written.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use einlass_config::{Overflow, load_str};

/// Two sound regions, `a` and `b`, and more of `a` from line 8.
fn two(more: &str) -> String {
    format!(
        "[region.b]\nbackends = [\"10.0.0.2:80\"]\nschool = [{{ host = \"b.example\" }}]\n\
         [region.a]\nbackends = [\"10.0.0.1:80\"]\nschool = [{{ host = \"a.example\" }}]\n\n{more}"
    )
}

fn mistake(more: &str) -> String {
    match load_str("f.toml", &two(more)) {
        Err(mistakes) => mistakes.to_string(),
        Ok(config) => panic!("no mistake found in\n{more}\n{config:#?}"),
    }
}

#[test]
fn a_region_names_who_helps_it_out() {
    let config = load_str("f.toml", &two("[region.a.overflow]\nto = [\"b\"]")).unwrap();
    let expected = Overflow {
        to: vec!["b".to_owned()],
        max: 64,
    };
    assert_eq!(config.regions[1].overflow, Some(expected.clone()));
    let pools = config.pools();
    assert_eq!(pools[0].overflow, None);
    assert_eq!(pools[1].overflow, Some(expected));
    let bounded = two("overflow = { to = [\"b\"], max = 8 }");
    let config = load_str("f.toml", &bounded).unwrap();
    assert_eq!(config.pools()[1].overflow.as_ref().unwrap().max, 8);
}

#[test]
fn two_regions_may_help_each_other() {
    let both = two("overflow = { to = [\"b\"] }\n[region.b.overflow]\nto = [\"a\"]");
    let config = load_str("f.toml", &both).unwrap();
    let to: Vec<_> = config
        .pools()
        .into_iter()
        .map(|p| p.overflow.unwrap().to)
        .collect();
    assert_eq!(to, [["a"], ["b"]]);
}

#[test]
fn a_schools_own_server_takes_part_in_nothing() {
    let own = two(
        "overflow = { to = [\"b\"] }\n[[region.a.school]]\nhost = \"own.example\"\n\
         backends = [\"10.0.0.3:80\"]",
    );
    // A list in line cannot be gone on with.
    let own = own.replace(
        "school = [{ host = \"a.example\" }]\n\n",
        "schools = \"none.csv\"\n",
    );
    let said = load_str("f.toml", &own).unwrap_err().to_string();
    assert!(said.contains("none.csv"), "{said}");
    let own =
        own.replace("schools = \"none.csv\"\n", "") + "\n[[region.a.school]]\nhost = \"a.example\"";
    let pools = load_str("f.toml", &own).unwrap().pools();
    assert_eq!(pools[2].name, "a/own.example");
    assert!(pools[1].overflow.is_some() && pools[2].overflow.is_none());
}

#[test]
fn what_cannot_be_is_said_in_its_place() {
    for (more, expected) in [
        (
            "overflow = { to = [\"elsewhere\"] }",
            "f.toml:8:20: there is no region `elsewhere`",
        ),
        (
            "overflow = { to = [\"b\", \"bb\"] }",
            "f.toml:8:25: there is no region `bb` (did you mean `b`?)",
        ),
        (
            "overflow = { to = [\"a\"] }",
            "f.toml:8:20: the region `a` cannot help itself out",
        ),
        (
            "overflow = { to = [\"b\", \"b\"] }",
            "f.toml:8:25: `b` stands here already",
        ),
        (
            "overflow = { to = [] }",
            "f.toml:8:19: `to` names no region (write which regions help out, as in to = [\"kassel\"])",
        ),
        (
            "overflow = { max = 3 }",
            "f.toml:8:12: `to` names no region (write which regions help out, as in to = [\"kassel\"])",
        ),
        (
            "overflow = { to = \"b\" }",
            "f.toml:8:19: `to` must be a list of names of regions, not \"b\"",
        ),
        (
            "overflow = { to = [\"b\"], max = 0 }",
            "f.toml:8:32: `max` must be between 1 and 100000, not 0",
        ),
        (
            "overflow = { to = [\"b\"], most = 3 }",
            "f.toml:8:26: unknown key `most` in [region.a.overflow] (known here: to, max)",
        ),
        (
            "platform = \"moodle\"\noverflow = { to = [\"b\"] }",
            "f.toml:9:20: `b` runs generic, and `a` runs moodle (a login can only be performed by the same platform)",
        ),
        (
            "overflow = { to = [\"c\"] }\n[region.c]\n[[region.c.school]]\nhost = \"c.example\"\nbackends = [\"10.0.0.4:80\"]",
            "f.toml:8:20: the region `c` has no schools on its own backends (a school's own server takes nobody else)",
        ),
    ] {
        assert_eq!(mistake(more), expected, "in\n{more}");
    }
}
