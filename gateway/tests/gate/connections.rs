//! Browsers that hang up, that speak HTTP/2, that poll on one connection.

use einlass_benches::platform::HashCost;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::common::{Answer, Browser, Setup, eventually, get, platform};
use crate::slots::{GYM, slow};

#[tokio::test]
async fn a_browser_that_hangs_up_does_not_free_its_slot_early() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "hold = \"0s\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    let cookie = browser
        .cookies
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect::<Vec<_>>();
    let mut raw = TcpStream::connect(gateway.edge).await.unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {GYM}\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        cookie.join("; "),
        form.len()
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    assert!(eventually(|| async { platform.in_flight() == 1 }).await);
    drop(raw);
    let counted = gateway
        .metric("einlass_in_flight_logins{pool=\"north\"}")
        .await;
    let working = platform.in_flight();
    // Read in this order: if the platform still works, the gateway must have counted it before.
    assert!(
        working == 0 || counted >= 1.0,
        "slot freed while the backend still hashes"
    );
    let mut second = Browser::new(gateway.edge, GYM);
    let form = second.form().await;
    second.post("/login", &form).await;
    assert!(eventually(|| async { platform.snapshot(false).totals.logged_in >= 1 }).await);
    let gateway = &gateway;
    let idle = || async {
        gateway
            .metric("einlass_in_flight_logins{pool=\"north\"}")
            .await
            == 0.0
    };
    assert!(eventually(idle).await, "the slot comes back");
    assert_eq!(platform.snapshot(false).max_in_flight, 1);
}

#[tokio::test]
async fn cookies_in_several_http2_fields_reach_an_http1_backend_as_one() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 4, &[(GYM, 900)], "")
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    let stream = TcpStream::connect(gateway.edge).await.unwrap();
    let (mut http2, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut fields = vec!["first=1".to_owned()];
    fields.extend(browser.cookies.iter().map(|(n, v)| format!("{n}={v}")));
    fields.push("last=2".to_owned());
    let with_cookies = |mut request: hyper::http::request::Builder| {
        for field in &fields {
            request = request.header("cookie", field);
        }
        request
    };
    let request = with_cookies(hyper::Request::post(format!("http://{GYM}/login")))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))
        .unwrap();
    let answer = Answer::read(http2.send_request(request).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/"),
        "{}",
        answer.text()
    );
    let session = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|v| v.to_str().ok()?.split(';').next())
        .find(|c| c.starts_with(einlass_benches::platform::SESSION_COOKIE))
        .unwrap()
        .to_owned();
    fields.push(session);
    let request = {
        let mut request = hyper::Request::get(format!("http://{GYM}/"));
        for field in &fields {
            request = request.header("cookie", field);
        }
        request.body(Full::default()).unwrap()
    };
    let answer = Answer::read(http2.send_request(request).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "the session cookie was one of the fields"
    );
}

#[tokio::test]
async fn ten_thousand_polls_on_one_connection_never_see_it_closed() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "mode = \"closed\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    browser.post("/login", &form).await;
    let ticket = browser.cookies["einlass_ticket"].clone();
    let stream = TcpStream::connect(gateway.edge).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    for poll in 0..10_000 {
        let mut request = get("/_einlass/turn", GYM);
        let cookie = format!("einlass_ticket={ticket}").parse().unwrap();
        request.headers_mut().insert("cookie", cookie);
        let response = sender.send_request(request).await;
        let answer = Answer::read(response.unwrap_or_else(|e| panic!("poll {poll}: {e}")))
            .await
            .unwrap();
        assert!(answer.text().contains("\"closed\""), "{}", answer.text());
        sender.ready().await.unwrap();
    }
}
