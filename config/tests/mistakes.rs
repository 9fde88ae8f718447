//! Every mistake is reported in its place, with what is wrong and what to do.

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
            "f.toml:5:1: unknown key `hold_time` in [region.a.admission] (known here: in_flight, logins_per_second, mode, hold, ticket_lifetime, seal_lifetime, pass_lifetime, pass_tries, staff_share, max_body)",
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

#[test]
fn in_the_range_of_a_value() {
    each_before_a_region([
        (
            "[edge]\nmax_connections = 0",
            "f.toml:2:19: `max_connections` must be between 1 and 10000000, not 0",
        ),
        (
            "[edge]\nmax_connections = -1",
            "f.toml:2:19: `max_connections` must be between 1 and 10000000, not -1",
        ),
        (
            "[edge]\nhandshake_timeout = \"61s\"",
            "f.toml:2:21: `handshake_timeout` must be between 1s and 1m, not \"61s\"",
        ),
        (
            "[edge]\nkeepalive_timeout = \"0s\"",
            "f.toml:2:21: `keepalive_timeout` must be between 1s and 1h, not \"0s\"",
        ),
        (
            "[edge]\nlisten = [\"localhost:8080\"]",
            "f.toml:2:11: \"localhost:8080\" is not an address to listen on (write address and port, as in \"0.0.0.0:8080\" or \"[::]:8080\")",
        ),
        (
            "[edge]\ntrusted_proxies = [\"10.0.0.0/33\"]",
            "f.toml:2:20: \"10.0.0.0/33\" is neither a network nor an address (write it like \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.7\")",
        ),
        (
            "[edge]\nproxy_protocol = 1",
            "f.toml:2:18: `proxy_protocol` must be true or false, not 1",
        ),
        (
            "[edge]\nproxy_protocol = true",
            "f.toml:1:1: `proxy_protocol` needs `trusted_proxies` (name the networks the proxies come from)",
        ),
        (
            "[edge]\nproxy_protocol = true\ntrusted_proxies = []",
            "f.toml:1:1: `proxy_protocol` needs `trusted_proxies` (name the networks the proxies come from)",
        ),
        (
            "[state]\ndirectory = \"\"",
            "f.toml:2:13: `directory` must not be empty",
        ),
    ]);
}

#[test]
fn in_the_range_of_a_value_of_a_region() {
    each_in_a_region([
        (
            "platform = \"modle\"",
            "f.toml:4:12: unknown platform `modle` (did you mean `moodle`?)",
        ),
        (
            "platform = \"blackboard\"",
            "f.toml:4:12: unknown platform `blackboard` (known here: generic, django, moodle, nextcloud, iserv)",
        ),
        (
            "admission.hold = \"31s\"",
            "f.toml:4:18: `hold` must be between 0s and 30s, not \"31s\"",
        ),
        (
            "admission.ticket_lifetime = \"9m 59s\"",
            "f.toml:4:29: `ticket_lifetime` must be between 10m and 24h, not \"9m 59s\"",
        ),
        (
            "admission.seal_lifetime = \"5h\"",
            "f.toml:4:27: `seal_lifetime` must be between 1m and 4h, not \"5h\"",
        ),
        (
            "admission.pass_lifetime = \"1s\"",
            "f.toml:4:27: `pass_lifetime` must be between 10s and 1h, not \"1s\"",
        ),
        (
            "admission.pass_tries = 21",
            "f.toml:4:24: `pass_tries` must be between 1 and 20, not 21",
        ),
        (
            "admission.staff_share = 0.51",
            "f.toml:4:25: `staff_share` must be between 0 and 0.5, not 0.51",
        ),
        (
            "admission.staff_share = -0.05",
            "f.toml:4:25: `staff_share` must be between 0 and 0.5, not -0.05",
        ),
        (
            "admission.staff_share = \"5%\"",
            "f.toml:4:25: `staff_share` must be a number, not \"5%\"",
        ),
        (
            "admission.pass_tries = 18446744073709551616",
            "f.toml:4:24: `pass_tries` must be between 1 and 20, not 18446744073709551616",
        ),
        (
            "admission.max_body = \"512B\"",
            "f.toml:4:22: `max_body` must be between 1KiB and 1MiB, not \"512B\"",
        ),
        (
            "admission.max_body = \"2MiB\"",
            "f.toml:4:22: `max_body` must be between 1KiB and 1MiB, not \"2MiB\"",
        ),
        (
            "admission.logins_per_second = 0",
            "f.toml:4:31: `logins_per_second` must be between 0.001 and 1000000, not 0",
        ),
        (
            "admission.logins_per_second = -1.5",
            "f.toml:4:31: `logins_per_second` must be between 0.001 and 1000000, not -1.5",
        ),
        (
            "admission.in_flight = { min = 0 }",
            "f.toml:4:31: `min` must be between 1 and 100000, not 0",
        ),
        (
            "admission.in_flight = { max = 100_001 }",
            "f.toml:4:31: `max` must be between 1 and 100000, not 100001",
        ),
        (
            "admission.in_flight = { min = 9, max = 8 }",
            "f.toml:4:23: `in_flight.min` is 9, more than `in_flight.max`, which is 8",
        ),
        (
            "admission.mode = \"close\"",
            "f.toml:4:18: unknown mode `close` (did you mean `closed`?)",
        ),
        (
            "upstream.connect_timeout = \"99ms\"",
            "f.toml:4:28: `connect_timeout` must be between 100ms and 1m, not \"99ms\"",
        ),
        (
            "upstream.max_idle = 100_001",
            "f.toml:4:21: `max_idle` must be between 0 and 100000, not 100001",
        ),
    ]);
}

#[test]
fn in_the_gate() {
    each_in_a_region([
        (
            "gate.submit = []",
            "f.toml:4:1: `submit` must name at least one request (leave it out to have the platform's)",
        ),
        (
            "gate.submit = [{ method = \"post\", path = \"/login\" }]",
            "f.toml:4:27: `post` is not a method such as `POST`, in upper case",
        ),
        (
            "gate.submit = [{ method = \"POST\", path = \"login\" }]",
            "f.toml:4:42: the path `login` must start with `/`",
        ),
        (
            "gate.submit = [{ method = \"POST\", path = \"/*/login\" }]",
            "f.toml:4:42: in the path `/*/login`, `*` can only be the last character",
        ),
        (
            "gate.submit = [{ method = \"POST\", path = \"/login?x=1\" }]",
            "f.toml:4:42: the path `/login?x=1` must not have a query: only the path is compared",
        ),
        (
            "gate.page = [{ method = \"GET\" }]",
            "f.toml:4:14: a request needs both, as in { method = \"POST\", path = \"/login\" }",
        ),
    ]);
}

#[test]
fn in_the_backends() {
    each([
        (
            "region.a.school = [{ host = \"a.example\" }]",
            "f.toml:1:29: the school `a.example` has no backends, nor has its region (give either of them `backends`)",
        ),
        (
            "region.a = { backends = [], school = [{ host = \"a.example\" }] }",
            "f.toml:1:48: the school `a.example` has no backends, nor has its region (give either of them `backends`)",
        ),
    ]);
    let table = [
        (
            "db.example",
            "f.toml:4:13: the backend \"db.example\" has no port (write address and port, as in \"10.1.0.11:8080\", or a name and port, as in \"app.example:8080\")",
        ),
        (
            "10.0.0.1",
            "f.toml:4:13: the backend \"10.0.0.1\" has no port (write address and port, as in \"10.1.0.11:8080\", or a name and port, as in \"app.example:8080\")",
        ),
        (
            "http://10.0.0.1:80",
            "f.toml:4:13: \"http://10.0.0.1:80\" is a URL; a backend is only an address and a port (write address and port, as in \"10.1.0.11:8080\", or a name and port, as in \"app.example:8080\")",
        ),
        (
            "10.0.0.1:99999",
            "f.toml:4:13: \"10.0.0.1:99999\" is not the address of a backend (write address and port, as in \"10.1.0.11:8080\", or a name and port, as in \"app.example:8080\")",
        ),
        (
            "10.0.0.1:0",
            "f.toml:4:13: no backend can be reached at port 0 (write address and port, as in \"10.1.0.11:8080\", or a name and port, as in \"app.example:8080\")",
        ),
        (
            "0.0.0.0:80",
            "f.toml:4:13: no backend can be reached at 0.0.0.0 (write address and port, as in \"10.1.0.11:8080\", or a name and port, as in \"app.example:8080\")",
        ),
        (
            "127.0.0.1:8080",
            "f.toml:4:13: the backend 127.0.0.1:8080 is this gateway itself, listening by `edge.listen`",
        ),
        (
            "[::ffff:127.0.0.1]:8080",
            "f.toml:4:13: the backend 127.0.0.1:8080 is this gateway itself, listening by `edge.listen`",
        ),
        (
            "[::1]:9090",
            "f.toml:4:13: the backend [::1]:9090 is this gateway itself, listening by `desk.listen`",
        ),
    ];
    for (backend, expected) in table {
        let text = format!(
            "[desk]\nlisten = \"[::]:9090\"\n[region.a]\nbackends = [\"{backend}\"]\nschool = [{{ host = \"a.example\" }}]"
        );
        assert_eq!(mistakes(&text).to_string(), expected, "in\n{text}");
    }
}

#[test]
fn in_how_backends_are_used() {
    each([
        (
            "[region.a]\nbackends = [{ adress = \"10.0.0.1:80\" }]\nschool = [{ host = \"a.example\" }]",
            "f.toml:2:13: a backend needs an `address`\nf.toml:2:15: unknown key `adress` in [region.a.backends] (did you mean `address`?)",
        ),
        (
            "[region.a]\nbackends = [{ address = \"10.0.0.1:80\", weight = 0 }, 7]\nschool = [{ host = \"a.example\" }]",
            "f.toml:2:49: `weight` must be between 1 and 1000, not 0\nf.toml:2:54: `backends` must hold addresses, not 7",
        ),
    ]);
    each_in_a_region([
        (
            "[region.a.balancing]\npolicy = \"round_robbin\"",
            "f.toml:5:10: unknown policy \"round_robbin\" (did you mean `round_robin`?)",
        ),
        (
            "[region.a.balancing]\nsuccess_rate = 2",
            "f.toml:5:16: `success_rate` must be between 0 and 1, not 2",
        ),
        (
            "[region.a.priorities]\npages = 0",
            "f.toml:5:9: `pages` must be between 0.1 and 1, not 0",
        ),
        (
            "[region.a.priorities]\nlogins = 0.6",
            "f.toml:5:10: `pages` must not be more than `logins`, and 0.7 is more than 0.6 (pages are shed before logins)",
        ),
        (
            "[region.a.priorities]\nlogins = 0.8\npages = 0.95",
            "f.toml:6:9: `pages` must not be more than `logins`, and 0.95 is more than 0.8 (pages are shed before logins)",
        ),
        (
            "[region.a.priorities]\npage = 0.5\nsession_cookie = \"a b\"",
            "f.toml:5:1: unknown key `page` in [region.a.priorities] (did you mean `pages`?)\nf.toml:6:18: \"a b\" is not the name of a cookie (write the platform's session cookie, as in \"sessionid\")",
        ),
        (
            "[region.a.upstream]\ntls = true",
            "f.toml:5:7: `tls` needs `server_name` (write the name that the backends' certificates hold; without one nobody would be checked)",
        ),
        (
            "[region.a.upstream]\nserver_name = \"a.example\"",
            "f.toml:5:15: `server_name` needs `tls` (write tls = true)",
        ),
        (
            "[region.a.upstream]\ntls = true\nserver_name = \"\"",
            "f.toml:6:15: \"\" is not the name of a server (write a name that the backends' certificates hold, as in \"app.example\")",
        ),
        (
            "[region.a.upstream]\ntls = true\nserver_name = \"10.0.0.1\"",
            "f.toml:6:15: \"10.0.0.1\" is not the name of a server (write a name that the backends' certificates hold, as in \"app.example\")",
        ),
        (
            "[region.a.upstream]\ntls = true\nserver_name = \"a.example\"\nclient_key = \"Cargo.toml\"",
            "f.toml:7:14: `Cargo.toml` does not hold a private key in PEM form\nf.toml:7:14: `client_key` needs `client_certificate` (name the PEM files of both)",
        ),
        (
            "[region.a.upstream]\nhttp = \"3\"",
            "f.toml:5:8: unknown version \"3\" of HTTP (known here: \"1.1\", \"2\")",
        ),
        (
            "[region.a.affinity]\nby = \"pupil\"",
            "f.toml:5:6: unknown affinity by \"pupil\" (known here: \"school\")",
        ),
        (
            "[region.a.affinity]\ncookie = \"a b\"",
            "f.toml:5:10: \"a b\" is not the name of a cookie (write the platform's session cookie, as in \"sessionid\")",
        ),
        (
            "[region.a.affinity]\ncookie = \"einlass_pass\"",
            "f.toml:5:10: \"einlass_pass\" is a cookie of the gateway (name the platform's session cookie)",
        ),
        (
            "[region.a.affinity]\ncookie = \"sessionid\"\nby = \"school\"",
            "f.toml:6:6: `by` and `cookie` exclude each other (leave one out)",
        ),
        (
            "[region.a.health]\nkind = \"htp\"",
            "f.toml:5:8: unknown kind of check \"htp\" (did you mean `http`?)",
        ),
        (
            "[region.a.health]\npath = \"/x\"",
            "f.toml:5:8: `path` needs kind = \"http\" (a check by \"tcp\" sends nothing)",
        ),
        (
            "[region.a.health]\nkind = \"login\"\nstatus = 302",
            "f.toml:6:10: `status` needs kind = \"http\" (a login page is expected with 200)",
        ),
        (
            "[region.a.health]\nkind = \"http\"\npath = \"x y\"\nstatus = 99",
            "f.toml:6:8: \"x y\" is not a path (write it as it is asked for, as in \"/health\")\nf.toml:7:10: `status` must be between 100 and 599, not 99",
        ),
    ]);
}

#[test]
fn in_the_schools() {
    each([
        (
            "",
            "f.toml:1:1: there is no region (begin one with [region.NAME], its backends and its schools)",
        ),
        (
            "[region]",
            "f.toml:1:1: there is no region (begin one with [region.NAME], its backends and its schools)",
        ),
        (
            "[region.a]\nbackends = [\"10.0.0.1:80\"]",
            "f.toml:1:1: the region `a` has no schools (add them as [[region.a.school]], or as a CSV file with schools = \"schools.csv\")",
        ),
        (
            "[region.a]\nbackends = [\"10.0.0.1:80\"]\nschool = []",
            "f.toml:1:1: the region `a` has no schools (add them as [[region.a.school]], or as a CSV file with schools = \"schools.csv\")",
        ),
        (
            "[region.\"a b\"]\nbackends = [\"10.0.0.1:80\"]\nschool = [{ host = \"a.example\" }]",
            "f.toml:1:1: \"a b\" cannot be the name of a region (it stands in metrics and file names: 1 to 63 of a-z, A-Z, 0-9, - and _)",
        ),
        (
            "[region.a]\nbackends = [\"10.0.0.1:80\"]\nschools = \"nowhere.csv\"",
            "f.toml:3:11: cannot read `nowhere.csv`: there is no such file",
        ),
    ]);
    each_in_a_region([
        (
            "[[region.b.school]]\npupils = 3\nbackends = [\"10.0.0.2:80\"]",
            "f.toml:4:1: a school needs a `host`",
        ),
        (
            "[[region.b.school]]\nhost = \"b.example\"\npupils = 0\nbackends = [\"10.0.0.2:80\"]",
            "f.toml:6:10: `pupils` must be between 1 and 1000000, not 0",
        ),
        (
            "[[region.b.school]]\nhost = \"b.example\"\npupils = 1_000_001\nbackends = [\"10.0.0.2:80\"]",
            "f.toml:6:10: `pupils` must be between 1 and 1000000, not 1000001",
        ),
        (
            "[[region.b.school]]\nhost = \"https://b.example\"\nbackends = [\"10.0.0.2:80\"]",
            "f.toml:5:8: \"https://b.example\" is not the host of a school: a host is only the name, without `https://` and without a path",
        ),
        (
            "[[region.b.school]]\nhost = \"b.example:443\"\nbackends = [\"10.0.0.2:80\"]",
            "f.toml:5:8: \"b.example:443\" is not the host of a school: port 443 would never match, browsers leave it out: write the host without it",
        ),
    ]);
}

#[test]
fn in_what_only_one_may_have_or_nobody_has() {
    each_before_a_region([
        (
            "[edge]\nlisten = [\"0.0.0.0:9090\"]",
            "f.toml:2:11: `edge.listen` cannot have 0.0.0.0:9090: `desk.listen` has 127.0.0.1:9090 by default",
        ),
        (
            "[edge]\nlisten = [\"0.0.0.0:80\", \"[::]:80\", \"10.0.0.9:80\"]",
            "f.toml:2:36: `edge.listen` cannot have 10.0.0.9:80: `edge.listen` has 0.0.0.0:80 at f.toml:2:11",
        ),
        (
            "[edge]\nlisten = [\"[::]:9090\"]\n[desk]\nlisten = \"0.0.0.0:9090\"",
            "f.toml:4:10: `desk.listen` cannot have 0.0.0.0:9090: `edge.listen` has [::]:9090 at f.toml:2:11",
        ),
        (
            "[edge]\nlisten = [\"10.0.0.9:80\", \"10.0.0.8:80\", \"10.0.0.9:80\"]",
            "f.toml:2:41: `edge.listen` cannot have 10.0.0.9:80: `edge.listen` has 10.0.0.9:80 at f.toml:2:11",
        ),
        (
            "[edge]\nlisten = []",
            "f.toml:1:1: the edge listens nowhere (give `listen` or `listen_tls` an address)",
        ),
        (
            "[edge]\nlisten_tls = [\"0.0.0.0:8443\"]",
            "f.toml:1:1: `listen_tls` needs a certificate (name its files in [[edge.certificate]])",
        ),
        (
            "[edge]\nlisten_tls = [\"0.0.0.0:8443\"]\ncertificate = []",
            "f.toml:1:1: `listen_tls` needs a certificate (name its files in [[edge.certificate]])",
        ),
        (
            "[desk]\nlisten = \"127.0.0.1:8080\"",
            "f.toml:2:10: `desk.listen` cannot have 127.0.0.1:8080: `edge.listen` has 0.0.0.0:8080 by default",
        ),
    ]);
    each_in_a_region([
        (
            "[region.b]\nbackends = [\"10.0.0.1:80\"]\nschool = [{ host = \"b.example\" }]",
            "f.toml:5:13: the backend 10.0.0.1:80 is in the pool `a` already, at f.toml:2:13 (two rooms would each fill it to their own cap; schools on one server belong in one region)",
        ),
        (
            "[region.b]\nbackends = [\"10.0.0.2:80\", \"10.0.0.2:80\"]\nschool = [{ host = \"b.example\" }]",
            "f.toml:5:28: the backend 10.0.0.2:80 is in this pool already, at f.toml:5:13",
        ),
        (
            "[[region.b.school]]\nhost = \"b.example\"\nbackends = [\"10.0.0.1:80\"]",
            "f.toml:6:13: the backend 10.0.0.1:80 is in the pool `a` already, at f.toml:2:13 (two rooms would each fill it to their own cap; schools on one server belong in one region)",
        ),
        (
            "[[region.b.school]]\nhost = \"A.example.\"\nbackends = [\"10.0.0.2:80\"]",
            "f.toml:5:8: the host `a.example` belongs to another school, at f.toml:3:20",
        ),
    ]);
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
