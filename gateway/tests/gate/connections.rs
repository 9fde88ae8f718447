//! Browsers that hang up, that speak HTTP/2, that poll on one connection.

use einlass_benches::platform::SESSION_COOKIE;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::common::school::{CLOSED, GYM, NOBODY_IS_HELD, OneSchool};
use crate::common::{Answer, eventually, get};

#[tokio::test]
async fn a_browser_that_hangs_up_does_not_free_its_slot_early() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    let (browser, form) = school.pupil().await;
    school.platform.set_workers(0);
    let unheard = browser.post_unheard("/login", &form).await;
    assert!(eventually(async || school.platform.in_flight() == 1).await);

    drop(unheard);

    let (mut second, form) = school.pupil().await;
    let sent = second.post("/login", &form).await;
    assert_eq!(sent.see_other(), Ok("/_einlass/wait"));
    assert_eq!(
        school.number("in_flight_logins").await,
        1.0,
        "slot freed while the backend still hashes"
    );
    school.work_on();
    assert!(eventually(async || school.platform.snapshot(false).totals.logged_in >= 1).await);
    let idle = async || school.number("in_flight_logins").await == 0.0;
    assert!(eventually(idle).await, "the slot comes back");
    assert_eq!(school.platform.snapshot(false).max_in_flight, 1);
}

#[tokio::test]
async fn cookies_in_several_http2_fields_reach_an_http1_backend_as_one() {
    let school = OneSchool::start(4, "").await;
    let (browser, form) = school.pupil().await;
    let stream = TcpStream::connect(school.gateway.edge).await.unwrap();
    let (mut http2, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut send = async |mut request: Request<Full<Bytes>>, fields: &[String]| {
        for field in fields {
            let headers = request.headers_mut();
            headers.append("cookie", field.parse().unwrap());
        }
        let answer = http2.send_request(request).await.unwrap();
        Answer::read(answer).await.unwrap()
    };
    let mut fields = vec!["first=1".to_owned()];
    fields.extend(browser.cookie_pairs());
    fields.push("last=2".to_owned());

    let login = Request::post(format!("http://{GYM}/login"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))
        .unwrap();
    let answer = send(login, &fields).await;

    assert_eq!(answer.see_other(), Ok("/"), "{}", answer.text());
    let session = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|v| v.to_str().ok()?.split(';').next())
        .find(|c| c.starts_with(SESSION_COOKIE))
        .unwrap()
        .to_owned();
    fields.push(session);
    let page = Request::get(format!("http://{GYM}/"));
    let answer = send(page.body(Full::default()).unwrap(), &fields).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "the session cookie was one of the fields"
    );
}

#[tokio::test]
async fn ten_thousand_polls_on_one_connection_never_see_it_closed() {
    let school = OneSchool::start(1, CLOSED).await;
    let (mut browser, form) = school.pupil().await;
    browser.post("/login", &form).await;
    let ticket = &browser.cookies["einlass_ticket"];
    let stream = TcpStream::connect(school.gateway.edge).await.unwrap();
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
