//! Which requests need admission, also when somebody tries to walk around the gate.

use einlass_config::{Platform, RequestMatch, RequestMatchError};

fn post(path: &str) -> RequestMatch {
    RequestMatch::new("POST", path).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_path_matches_exactly() {
    let login = post("/login");
    assert!(login.matches("POST", "/login"));
    assert!(login.matches("POST", "/login?next=/home"));
    for (method, path) in [
        ("GET", "/login"),
        ("post", "/login"),
        ("POST", "/login/"),
        ("POST", "/logins"),
        ("POST", "/"),
    ] {
        assert!(!login.matches(method, path), "{method} {path}");
    }
}

#[test]
fn a_star_at_the_end_matches_whatever_follows() {
    let login = post("/login*");
    for path in ["/login", "/login/", "/login/sso", "/loginx"] {
        assert!(login.matches("POST", path), "{path}");
    }
    assert!(!login.matches("POST", "/log"));
    assert!(post("/*").matches("POST", "/anything"));
    assert!(!post("/sso/*").matches("POST", "/sso"));
}

#[test]
fn a_path_that_a_backend_would_take_for_the_login_is_the_login() {
    let login = post("/accounts/login/");
    for path in [
        "//accounts//login/",
        "/accounts/%6Cogin/",
        "/accounts/%6cogin/",
        "/accounts/./login/",
        "/x/../accounts/login/",
        "/../accounts/login/",
        "/accounts%2Flogin/",
        "/accounts;v=1/login/;jsessionid=2",
        "/accounts/login//",
        "/accounts/login/.",
        "/accounts/login/x/..",
    ] {
        assert!(login.matches("POST", path), "{path}");
    }
    for path in [
        "/accounts/login",
        "/accounts/login/%",
        "/accounts/%zzlogin/",
        "/accounts/login/..",
    ] {
        assert!(!login.matches("POST", path), "{path}");
    }
}

#[test]
fn a_path_is_compared_as_it_is_sent_not_as_it_is_spelt() {
    assert!(post("/anmelden/süd").matches("POST", "/anmelden/s%C3%BCd"));
    assert!(post("/a%20b").matches("POST", "/a%20b"));
    assert!(post("/.well-known/login").matches("POST", "/.well-known/login"));
    assert!(!post("/").matches("POST", "*"));
    assert!(!post("/login").matches("POST", ""));
}

#[test]
fn every_platform_has_its_logins() {
    for (platform, submits) in [
        (Platform::Generic, &["POST /login"][..]),
        (
            Platform::Django,
            &["POST /accounts/login/", "POST /admin/login/"],
        ),
        (
            Platform::Moodle,
            &["POST /login/index.php", "POST /login/index.php/*"],
        ),
        (
            Platform::Nextcloud,
            &["POST /login", "POST /index.php/login"],
        ),
        (
            Platform::IServ,
            &["POST /iserv/auth/login", "POST /iserv/app/login"],
        ),
    ] {
        let gate = platform.gate();
        let written: Vec<_> = gate.submit.iter().map(ToString::to_string).collect();
        assert_eq!(written, submits, "{platform}");
        assert!(gate.page.is_empty());
    }
    assert_eq!(
        Platform::ALL.map(Platform::name),
        ["generic", "django", "moodle", "nextcloud", "iserv"]
    );
}

#[test]
fn what_is_not_a_request_says_why() {
    let refused = |method, path| RequestMatch::new(method, path).unwrap_err();
    for method in ["", "post", "PO ST", "POST,"] {
        assert_eq!(
            refused(method, "/"),
            RequestMatchError::Method(method.to_owned())
        );
    }
    assert_eq!(
        refused("POST", "login"),
        RequestMatchError::Relative("login".to_owned())
    );
    assert_eq!(
        refused("POST", "/a*b"),
        RequestMatchError::Star("/a*b".to_owned())
    );
    assert_eq!(
        refused("POST", "/a**"),
        RequestMatchError::Star("/a**".to_owned())
    );
    assert_eq!(
        refused("POST", "/a?b"),
        RequestMatchError::Query("/a?b".to_owned())
    );
    assert!(RequestMatch::new("M-SEARCH", "/").is_ok());
}
