//! Regions without schools, schools without hosts, and what only one may have.

use crate::{each, each_before_a_region, each_in_a_region};

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
