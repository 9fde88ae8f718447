//! What operators order at the desk and are told by it, over real sockets.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::backend::{Backend, FINE};
use common::{
    Answer, Browser, Gateway, Setup, drain, eventually, get, order, platform, post, send, try_send,
};
use einlass_benches::platform::HashCost;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};

const GYM: &str = "gym.example";

async fn two_backends() -> ([Backend; 2], Gateway) {
    let backends = [Backend::start(FINE).await, Backend::start(FINE).await];
    let addresses = backends.each_ref().map(|backend| backend.address);
    let gateway = Setup::default()
        .region("north", &addresses, 4, &[(GYM, 900)], "")
        .not_new(&["north"])
        .start()
        .await;
    (backends, gateway)
}

/// What the desk tells of one backend.
async fn told(gateway: &Gateway, backend: SocketAddr) -> serde_json::Value {
    let answer = send(gateway.desk, get("/api/v1/backends", "desk")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let all = answer.json();
    let mut all = all.as_array().unwrap().iter();
    let of = |told: &&serde_json::Value| told["backend"] == backend.to_string();
    all.find(of).unwrap().clone()
}

#[tokio::test]
async fn a_backend_is_emptied_and_used_again() {
    let ([one, other], gateway) = two_backends().await;
    let answer = drain(&gateway, "north", one.address, true).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = answer.json();
    assert_eq!(
        (&answer["state"], &answer["drain"]),
        (&"draining".into(), &true.into())
    );
    let before = one.count();
    for _ in 0..20 {
        assert_eq!(
            send(gateway.edge, get("/", GYM)).await.status,
            StatusCode::OK
        );
        let login = send(gateway.edge, post("/login", GYM, "user=x")).await;
        assert_eq!(login.status, StatusCode::OK);
    }
    assert_eq!((one.count(), other.count()), (before, 40));
    let told = told(&gateway, one.address).await;
    assert_eq!(
        (&told["pool"], &told["state"]),
        (&"north".into(), &"draining".into())
    );
    assert_eq!(
        (&told["in_flight"], &told["unfinished"]),
        (&0.into(), &0.into())
    );
    assert!(told["idle_seconds"].as_f64().is_some(), "{told}");
    let state = format!(
        "einlass_backend_state{{pool=\"north\",backend=\"{}\",state=\"draining\"}}",
        one.address
    );
    assert!(gateway.metric(&state).await > 0.0);
    let page = send(gateway.desk, get("/", "desk")).await.text();
    assert!(page.contains("<td>draining<td>"), "{page}");

    let answer = drain(&gateway, "north", one.address, false).await.json();
    assert_eq!(
        (&answer["state"], &answer["drain"]),
        (&"up".into(), &false.into())
    );
    let used = async || {
        send(gateway.edge, get("/", GYM)).await;
        one.count() > before
    };
    assert!(eventually(used).await);
}

#[tokio::test]
async fn what_the_desk_tells_is_what_its_description_says() {
    let ([one, _other], gateway) = two_backends().await;
    let answer = send(gateway.desk, get("/api/v1/openapi.json", "desk")).await;
    let description = answer.json();
    let told = told(&gateway, one.address).await;
    let schema = &description["components"]["schemas"]["Backend"];
    let names = |value: &serde_json::Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&schema["properties"]), names(&told));
    let required = schema["required"].as_array().unwrap().len();
    assert_eq!(required, names(&told).len());
    for (path, about) in description["paths"].as_object().unwrap() {
        for method in names(about) {
            let request = Request::builder().method(method.to_uppercase().as_str());
            let request = request.uri(path).header("host", "desk");
            let answer = send(gateway.desk, request.body(Full::default()).unwrap()).await;
            assert!(
                !matches!(answer.status.as_u16(), 404 | 405),
                "{method} {path}"
            );
            let responses = &about[&method]["responses"];
            assert!(
                !responses[answer.status.as_str()].is_null(),
                "{}",
                answer.status
            );
        }
    }
}

/// Who has emptied all of them lets nobody in, and everybody keeps the place.
#[tokio::test]
async fn with_all_backends_drained_the_room_holds() {
    let ([one, other], gateway) = two_backends().await;
    for backend in [&one, &other] {
        drain(&gateway, "north", backend.address, true).await;
    }
    let down = async || gateway.metric("einlass_pool_down{pool=\"north\"}").await > 0.0;
    assert!(eventually(down).await);
    let mut pupil = common::Browser::new(gateway.edge, GYM);
    assert_eq!(
        pupil.post("/login", "user=x").await.location(),
        "/_einlass/wait"
    );
    pupil.until("held").await;
    drain(&gateway, "north", one.address, false).await;
    pupil.until("ready").await;
    assert_eq!(pupil.enter().await.status, StatusCode::OK);
    assert_eq!((one.count(), other.count()), (1, 0));
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_refused_in_words() {
    let ([one, _other], gateway) = two_backends().await;
    let known = one.address.to_string();
    let order_for = |pool: &str, backend: &str| {
        format!("{{\"pool\": \"{pool}\", \"backend\": \"{backend}\", \"drain\": true}}")
    };
    for (body, status, says) in [
        (order_for("south", &known), 404, "there are north"),
        (order_for("north", "127.0.0.1:1"), 404, known.as_str()),
        (order_for("north", "app.example"), 400, "not an address"),
        (
            order_for("north", &known).replace("true", "1"),
            400,
            "a boolean",
        ),
        (
            order_for("north", &known).replace("drain", "drian"),
            400,
            "drian",
        ),
        (r#"{"pool": "north"}"#.to_owned(), 400, "missing field"),
        ("drain".to_owned(), 400, "\"pool\""),
        (String::new(), 400, "\"pool\""),
        (" ".repeat(5_000), 413, "too long"),
    ] {
        let answer = order(&gateway, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text());
        assert_eq!(answer.headers["content-type"], "application/json");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{body}: {error}");
    }
    for (method, path, status) in [
        ("GET", "/api/v1/drain", 405),
        ("POST", "/api/v1/backends", 405),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v2/backends", 404),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("host", "desk")
            .body(Full::default())
            .unwrap();
        let answer = send(gateway.desk, request).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(told(&gateway, one.address).await["drain"], false);
}

/// A page of whatever site in the operator's browser may send forms and texts to any address, and
/// JSON to one whose answer to `OPTIONS` allows it.
#[tokio::test]
async fn no_page_in_a_browser_can_give_orders() {
    let ([one, _other], gateway) = two_backends().await;
    let body = format!(
        "{{\"pool\": \"north\", \"backend\": \"{}\", \"drain\": true}}",
        one.address
    );
    let send_as = async |method: &str, headers: &[(&str, &str)]| -> Answer {
        let mut request = Request::builder().method(method).uri("/api/v1/drain");
        for (name, value) in [("host", "desk")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::from(body.clone()));
        send(gateway.desk, request.body(body).unwrap()).await
    };
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let answer = send_as("POST", &[("content-type", kind)]).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
    assert_eq!(
        send_as("POST", &[]).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let json = ("content-type", "application/json");
    // Also from a page that has taken on the desk's name.
    for origin in ["https://evil.example", "http://desk", "null"] {
        let answer = send_as("POST", &[json, ("origin", origin)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
    }
    let preflight = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let answer = send_as("OPTIONS", &preflight).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    let mut names = answer.headers.keys().map(http::HeaderName::as_str);
    assert!(names.all(|name| !name.starts_with("access-control")));
    assert_eq!(told(&gateway, one.address).await["drain"], false);
    // The same order from a script.
    assert_eq!(send_as("POST", &[json]).await.status, StatusCode::OK);
    assert_eq!(told(&gateway, one.address).await["drain"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_stop_says_so_first_and_serves_until_others_know() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let mut gateway = Setup::default()
        .region("north", platform.backends(), 4, &[(GYM, 900)], "")
        .edge("stop_delay = \"2s\"\n")
        .start()
        .await;
    let told = Instant::now();
    gateway.signal("TERM");
    let unready = async || {
        let ready = send(gateway.desk, get("/readyz", "desk")).await;
        ready.status == StatusCode::SERVICE_UNAVAILABLE && ready.text().starts_with("stopping")
    };
    assert!(eventually(unready).await);
    // Whoever comes meanwhile gets in.
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    let answer = browser.post("/login", &form).await;
    assert_eq!(answer.location(), "/");
    let (_, well) = gateway.exited().await;
    assert!(well);
    assert!(told.elapsed() >= Duration::from_secs(2));
    assert!(try_send(gateway.edge, get("/", GYM)).await.is_err());
}
