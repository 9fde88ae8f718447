//! Values that are too small, too large, or not among those known.

use crate::{each_before_a_region, each_in_a_region};

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
            "admission = { mode = \"fixed\", in_flight = { min = 2 } }",
            "f.toml:4:22: `fixed` without `in_flight.max`: nobody has said what the cap is (write in_flight = { max = 8 }, with as many logins as the backends can hash at once)",
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
