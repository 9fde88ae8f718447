//! What is not TOML, not a key, or not of the right kind.

use crate::{each, each_before_a_region, each_in_a_region};

#[test]
fn in_the_syntax() {
    each([
        ("a = 1\na = 2", "f.toml:2:1: not valid TOML: duplicate key"),
        (
            "hold = 2s",
            "f.toml:1:8: not valid TOML: string values must be quoted, expected literal string",
        ),
        ("\"größe\" = = 1", "f.toml:1:11: not valid TOML: extra `=`"),
        (
            "[edge",
            "f.toml:1:6: not valid TOML: unclosed table, expected `]`",
        ),
        (
            "a = \"x",
            "f.toml:1:7: not valid TOML: invalid basic string, expected `\"`",
        ),
        (
            "a = [1,\n\n[b]\nc = 1\nd = 2",
            "f.toml:3:2: not valid TOML: string values must be quoted, expected literal string\nf.toml:4:1: not valid TOML: missing comma between array elements, expected `,` (or a list above is not closed)",
        ),
        (
            "[edge]\n[edge]",
            "f.toml:2:2: not valid TOML: duplicate key",
        ),
    ]);
}

#[test]
fn in_the_keys() {
    each_before_a_region([
        (
            "edg.listen = []",
            "f.toml:1:1: unknown key `edg` (did you mean `edge`?)",
        ),
        (
            "[edge]\nlisten_tsl = []",
            "f.toml:2:1: unknown key `listen_tsl` in [edge] (did you mean `listen_tls`?)",
        ),
        (
            "[desk]\nport = 9090",
            "f.toml:2:1: unknown key `port` in [desk] (known here: listen)",
        ),
        (
            "[storr]\nredis = \"redis://10.0.0.5\"",
            "f.toml:1:2: unknown key `storr` (did you mean `store`?)",
        ),
        (
            "[[edge.certificate]]\nchain = \"Cargo.toml\"\nkey = \"Cargo.toml\"\npassword = \"\"",
            "f.toml:2:9: `Cargo.toml` does not hold a certificate in PEM form\nf.toml:3:7: `Cargo.toml` does not hold a private key in PEM form\nf.toml:4:1: unknown key `password` in [edge.certificate] (known here: chain, key)",
        ),
        (
            "[state]\npath = \"x\"",
            "f.toml:2:1: unknown key `path` in [state] (known here: directory)",
        ),
    ]);
    each_in_a_region([
        (
            "bakcends = []",
            "f.toml:4:1: unknown key `bakcends` in [region.a] (did you mean `backends`?)",
        ),
        (
            "[region.a.gate]\nsubmits = []",
            "f.toml:5:1: unknown key `submits` in [region.a.gate] (did you mean `submit`?)",
        ),
        (
            "[region.a.admission]\nhold_time = \"2s\"",
            "f.toml:5:1: unknown key `hold_time` in [region.a.admission] (known here: in_flight, mode, logins_per_second, hold, ticket_lifetime, seal_lifetime, pass_lifetime, pass_tries, staff_share, max_body)",
        ),
        (
            "admission.in_flight.maximum = 3",
            "f.toml:4:21: unknown key `maximum` in [region.a.admission.in_flight] (known here: min, max)",
        ),
        (
            "[region.a.upstream]\nlogin_timout = \"2s\"",
            "f.toml:5:1: unknown key `login_timout` in [region.a.upstream] (did you mean `login_timeout`?)",
        ),
        (
            "\n[[region.b.school]]\nhost = \"b.example\"\nbackends = [\"10.0.0.2:80\"]\npupil = 3",
            "f.toml:8:1: unknown key `pupil` in [region.b.school] (did you mean `pupils`?)",
        ),
        (
            "gate.submit = [{ method = \"POST\", path = \"/\", query = \"\" }]",
            "f.toml:4:47: unknown key `query` in [region.a.gate.submit] (known here: method, path)",
        ),
    ]);
}

#[test]
fn in_the_kind_of_a_value() {
    each_before_a_region([
        ("edge = 3", "f.toml:1:8: `edge` must be a table, not 3"),
        (
            "[edge]\nlisten = \"0.0.0.0:8080\"",
            "f.toml:2:10: `listen` must be a list of addresses, not \"0.0.0.0:8080\"",
        ),
        (
            "[edge]\nlisten = [\"0.0.0.0:80\", 8080]",
            "f.toml:2:25: `listen` must hold addresses, not 8080",
        ),
        (
            "[edge]\nmax_connections = \"many\"",
            "f.toml:2:19: `max_connections` must be a whole number, not \"many\"",
        ),
        (
            "[edge]\nmax_connections = 1.5",
            "f.toml:2:19: `max_connections` must be a whole number, not 1.5",
        ),
        (
            "[edge]\ncertificate = { chain = \"a\", key = \"b\" }",
            "f.toml:2:15: `certificate` must be a list of tables, each headed [[edge.certificate]], not a table",
        ),
        (
            "[edge]\nheader_timeout = 10",
            "f.toml:2:18: `header_timeout` must be a duration such as \"500ms\", \"2s\" or \"4h\", not 10",
        ),
        (
            "[edge]\nheader_timeout = \"10\"",
            "f.toml:2:18: `header_timeout` must be a duration such as \"500ms\", \"2s\" or \"4h\", not \"10\"",
        ),
        (
            "[desk]\nlisten = [\"127.0.0.1:9090\"]",
            "f.toml:2:10: `listen` must be an address, not a list",
        ),
        (
            "[state]\ndirectory = true",
            "f.toml:2:13: `directory` must be a path, not true",
        ),
    ]);
    each_in_a_region([
        (
            "admission.hold = 1979-05-27",
            "f.toml:4:18: `hold` must be a duration such as \"500ms\", \"2s\" or \"4h\", not a date or time",
        ),
        (
            "admission.in_flight = 30",
            "f.toml:4:23: `in_flight` must be a table such as { min = 4, max = 512 }, not 30",
        ),
        (
            "admission.max_body = 65536",
            "f.toml:4:22: `max_body` must be a size such as \"64KiB\" or \"1MiB\", not 65536",
        ),
        (
            "admission.max_body = \"64kb\"",
            "f.toml:4:22: `max_body` must be a size such as \"64KiB\" or \"1MiB\", not \"64kb\"",
        ),
        (
            "admission.logins_per_second = \"120\"",
            "f.toml:4:31: `logins_per_second` must be a number, not \"120\"",
        ),
        (
            "admission.logins_per_second = inf",
            "f.toml:4:31: `logins_per_second` must be a number, not inf",
        ),
        (
            "admission.mode = 1",
            "f.toml:4:18: `mode` must be `adaptive`, `fixed`, `observe` or `closed`, not 1",
        ),
        (
            "gate.submit = \"POST /login\"",
            "f.toml:4:15: `submit` must be a list of tables, each headed [[region.a.gate.submit]], not \"POST /login\"",
        ),
        (
            "gate.submit = [\"POST /login\"]",
            "f.toml:4:16: `submit` must hold tables, not \"POST /login\"",
        ),
        (
            "[region]\nb = 3",
            "f.toml:5:5: `b` must be a table, headed [region.b], not 3",
        ),
    ]);
}
