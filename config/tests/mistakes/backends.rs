//! Backends: their addresses, and how they are used.

use crate::{each, each_in_a_region, mistakes};

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
