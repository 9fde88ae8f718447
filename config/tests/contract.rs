//! A sound configuration becomes what the gateway works with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use einlass_config::{
    Admission, Affinity, Balancing, Check, Config, Health, Http, InFlight, Mode, Platform, Policy,
    Priorities, Upstream, load_str,
};

/// The example that operators are shown.
const EXAMPLE: &str = r#"
[edge]
listen = ["0.0.0.0:8080"]

[desk]
listen = "127.0.0.1:9090"

# [store]                              # without it: one gateway, the room in memory
# redis = "redis://10.0.0.5:6379"      # also rediss://, several sentinels, a cluster

[region.hannover]
platform = "generic"                   # generic | iserv | moodle | nextcloud | django | …: which requests are the gate
backends = ["10.1.0.11:8080", "10.1.0.12:8080"]

[region.hannover.gate]                 # overrides the platform's
submit = [{ method = "POST", path = "/login" }]

[region.hannover.admission]
in_flight = { min = 4, max = 512 }     # the pacer finds the value in between
# logins_per_second = 120              # optional ceiling
# mode = "adaptive"                    # adaptive | fixed | observe | closed

[[region.hannover.school]]
host = "gym.example"
pupils = 900

[[region.hannover.school]]
host = "old-server.example"
pupils = 1100
backends = ["192.168.7.2:8080"]        # its own server: its own pool, its own room
"#;

/// As little as possible.
const SMALLEST: &str = r#"
[region.hannover]
backends = ["10.1.0.11:8080"]
school = [{ host = "gym.example" }]
"#;

fn sound(text: &str) -> Config {
    load_str("/etc/einlass/einlass.toml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn the_example_loads_as_it_stands() {
    let config = sound(EXAMPLE);
    assert_eq!(config.edge.listen, ["0.0.0.0:8080".parse().unwrap()]);
    assert_eq!(config.desk.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(config.regions.len(), 1);
    assert_eq!(config.regions[0].platform, Platform::Generic);
    assert_eq!(
        config.regions[0].admission.in_flight,
        InFlight { min: 4, max: 512 }
    );
}

#[test]
fn a_school_with_its_own_server_has_its_own_pool() {
    let pools = sound(EXAMPLE).pools();
    let names: Vec<_> = pools
        .iter()
        .map(|pool| (pool.name.as_str(), pool.region.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("hannover", "hannover"),
            ("hannover/old-server.example", "hannover")
        ]
    );
    assert_eq!(
        pools[0].backends,
        [
            "10.1.0.11:8080".parse().unwrap(),
            "10.1.0.12:8080".parse().unwrap()
        ]
    );
    assert_eq!(pools[1].backends, ["192.168.7.2:8080".parse().unwrap()]);
    // Four at once would be three too many for a single core.
    let least = [0, 1].map(|pool| pools[pool].admission.in_flight.min);
    assert_eq!(least, [4, 1]);
    let schools = |pool: usize| -> Vec<_> {
        pools[pool]
            .schools
            .iter()
            .map(|school| (school.host.as_str(), school.pupils))
            .collect()
    };
    assert_eq!(schools(0), [("gym.example", 900)]);
    assert_eq!(schools(1), [("old-server.example", 1100)]);
    assert_eq!(pools[0].gate, pools[1].gate);
}

#[test]
fn a_region_whose_schools_all_have_servers_has_no_pool_of_its_own() {
    let config = sound(r#"region.a.school = [{ host = "x.example", backends = ["10.0.0.1:80"] }]"#);
    let pools = config.pools();
    assert_eq!(pools.len(), 1);
    assert_eq!(pools[0].name, "a/x.example");
}

#[test]
fn what_is_not_written_has_its_documented_default() {
    let config = sound(SMALLEST);
    assert_eq!(config.edge.listen, ["0.0.0.0:8080".parse().unwrap()]);
    assert!(config.edge.listen_tls.is_empty() && config.edge.certificates.is_empty());
    assert!(config.edge.trusted_proxies.is_empty());
    assert!(!config.edge.proxy_protocol);
    assert_eq!(config.edge.max_connections, 200_000);
    assert_eq!(config.edge.handshake_timeout, Duration::from_secs(10));
    assert_eq!(config.edge.header_timeout, Duration::from_secs(10));
    assert_eq!(config.edge.keepalive_timeout, Duration::from_secs(75));
    assert_eq!(config.edge.stop_delay, Duration::ZERO);
    assert_eq!(config.desk.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(config.state.directory, Path::new("/var/lib/einlass"));
    let region = &config.regions[0];
    assert_eq!(region.schools[0].pupils, 500);
    assert_eq!(region.gate, Platform::Generic.gate());
    let admission = Admission {
        in_flight: InFlight { min: 4, max: 512 },
        logins_per_second: None,
        mode: Mode::Adaptive,
        hold: Duration::from_secs(2),
        ticket_lifetime: Duration::from_hours(4),
        seal_lifetime: Duration::from_mins(30),
        pass_lifetime: Duration::from_mins(5),
        pass_tries: 3,
        staff_share: 0.0,
        max_body: 65_536,
    };
    assert_eq!(region.admission, admission);
    assert_eq!(Admission::default(), admission);
    let upstream = Upstream {
        connect_timeout: Duration::from_secs(2),
        login_timeout: Duration::from_secs(30),
        read_timeout: Duration::from_mins(1),
        write_timeout: Duration::from_mins(1),
        idle_timeout: Duration::from_mins(1),
        max_idle: 512,
        resolver: None,
        tls: None,
        http: Http::One,
    };
    assert_eq!(region.upstream, upstream);
    assert_eq!(Upstream::default(), upstream);
    let balancing = Balancing {
        policy: Policy::PeakEwma,
        max_in_flight: 1_024,
        slow_start: Duration::from_secs(15),
        consecutive_failures: 5,
        success_rate: 0.7,
        success_samples: 20,
        silence: Duration::from_secs(2),
        ejection: Duration::from_secs(5),
        retry_budget: 0.1,
    };
    assert_eq!(region.balancing, balancing);
    assert_eq!(Balancing::default(), balancing);
    assert_eq!(region.priorities, None);
    let health = Health {
        check: Check::Tcp,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 2,
        jitter: 0.2,
    };
    assert_eq!(region.health, health);
    assert_eq!(Health::default(), health);
    assert_eq!(region.affinity, Affinity::None);
    assert_eq!(
        (region.backends[0].weight, region.backends[0].drain),
        (1, false)
    );
}

#[test]
fn every_key_can_be_written() {
    let config = sound(
        r#"
        [edge]
        listen = ["[::]:80", "0.0.0.0:80", "127.0.0.1:0", "127.0.0.1:0"]
        trusted_proxies = ["10.1.2.3/8", "2001:db8::/32", "192.0.2.7"]
        proxy_protocol = true
        max_connections = 1_000
        handshake_timeout = "5s"
        header_timeout = "1m"
        keepalive_timeout = "1m 30s"
        stop_delay = "10s"
        [state]
        directory = "state"
        [region.nord]
        platform = "moodle"
        backends = ["[2001:db8::1]:8080"]
        [region.nord.admission]
        in_flight = { max = 2 }
        logins_per_second = 120
        mode = "closed"
        hold = "0s"
        ticket_lifetime = "24h"
        seal_lifetime = "1m"
        pass_lifetime = "10s"
        pass_tries = 20
        staff_share = 0.05
        max_body = "1MiB"
        [region.nord.upstream]
        connect_timeout = "100ms"
        login_timeout = "10m"
        read_timeout = "1s"
        write_timeout = "1h"
        idle_timeout = "3s"
        max_idle = 0
        [region.nord.gate]
        submit = [{ method = "PUT", path = "/in*" }]
        page = [{ method = "GET", path = "/in" }]
        [[region.nord.school]]
        host = "gym.example"
        pupils = 1_000_000
        "#,
    );
    let networks: Vec<_> = config
        .edge
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"]);
    assert!(config.edge.proxy_protocol);
    assert_eq!(config.edge.keepalive_timeout, Duration::from_secs(90));
    assert_eq!(config.edge.stop_delay, Duration::from_secs(10));
    assert_eq!(config.state.directory, PathBuf::from("/etc/einlass/state"));
    let region = &config.regions[0];
    assert_eq!(region.admission.in_flight, InFlight { min: 2, max: 2 });
    assert_eq!(region.admission.logins_per_second, Some(120.0));
    assert_eq!(region.admission.mode, Mode::Closed);
    assert_eq!(region.admission.hold, Duration::ZERO);
    assert!((region.admission.staff_share - 0.05).abs() < 1e-9);
    assert_eq!(region.admission.max_body, 1_048_576);
    assert_eq!(region.upstream.connect_timeout, Duration::from_millis(100));
    assert_eq!(region.gate.submit[0].to_string(), "PUT /in*");
    assert!(region.gate.page[0].matches("GET", "/in"));
}

#[test]
fn every_key_of_the_backends_can_be_written() {
    let config = sound(
        r#"
        [region.nord]
        backends = ["App.Example:8080", { address = "10.0.0.1:80", weight = 3, drain = true }]
        school = [{ host = "gym.example" }]
        [region.nord.upstream]
        resolver = "10.0.0.53"
        tls = true
        server_name = "App.Example"
        http = "2"
        [region.nord.balancing]
        policy = "round_robin"
        max_in_flight = 1
        slow_start = "0s"
        consecutive_failures = 1
        success_rate = 1
        success_samples = 1
        silence = "500ms"
        ejection = "1s"
        retry_budget = 0
        [region.nord.priorities]
        pages = 0.1
        logins = 1
        session_cookie = "nc_username"
        [region.nord.affinity]
        cookie = "sessionid"
        [region.nord.health]
        kind = "http"
        path = "/health?deep=1"
        host = "gym.example"
        status = 204
        interval = "200ms"
        timeout = "50ms"
        rise = 1
        fall = 100
        jitter = 0
        "#,
    );
    let region = &config.regions[0];
    assert_eq!(region.backends[0].at.to_string(), "app.example:8080");
    assert_eq!(
        (region.backends[1].weight, region.backends[1].drain),
        (3, true)
    );
    assert_eq!(region.balancing.policy, Policy::RoundRobin);
    assert_eq!(region.balancing.max_in_flight, 1);
    assert_eq!(region.affinity, Affinity::Cookie("sessionid".to_owned()));
    let priorities = Priorities {
        pages: 0.1,
        logins: 1.0,
        session_cookie: Some("nc_username".to_owned()),
    };
    assert_eq!(region.priorities, Some(priorities));
    let check = Check::Http {
        path: "/health?deep=1".to_owned(),
        host: Some("gym.example".to_owned()),
        status: 204,
    };
    assert_eq!(region.health.check, check);
    let tls = region.upstream.tls.as_ref().unwrap();
    assert_eq!(tls.server_name, "app.example");
    assert_eq!((&tls.ca_file, &tls.client), (&None, &None));
    assert_eq!(region.upstream.http, Http::Two);
    assert_eq!(
        region.upstream.resolver,
        Some("10.0.0.53:53".parse().unwrap())
    );
}

#[test]
fn regions_keep_the_order_of_the_file() {
    let text = r#"
        [region.zeven]
        backends = ["10.0.0.1:80"]
        school = [{ host = "z.example" }]
        [region.aurich]
        backends = ["10.0.0.2:80"]
        school = [{ host = "a.example" }]
    "#;
    let names: Vec<_> = sound(text)
        .regions
        .into_iter()
        .map(|region| region.name)
        .collect();
    assert_eq!(names, ["zeven", "aurich"]);
}

#[test]
fn gating_the_page_leaves_the_submits_of_the_platform() {
    let text = format!("{SMALLEST}\ngate.page = [{{ method = \"GET\", path = \"/login\" }}]");
    let gate = sound(&text).regions.remove(0).gate;
    assert_eq!(gate.submit, Platform::Generic.gate().submit);
    assert_eq!(gate.page.len(), 1);
}
