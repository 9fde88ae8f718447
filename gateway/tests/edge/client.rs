//! Clients: what they ask over HTTP/1.1 and HTTP/2, and how they see that they were closed.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::server::PATIENCE;

/// One HTTP/1.1 request on a connection that stays open: status and headers, and the body.
pub(crate) async fn get(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    path: &str,
) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
    io.write_all(request.as_bytes())
        .await
        .expect("request written");
    answer(io).await
}

pub(crate) async fn answer(io: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let (_, length) = head.split_once("content-length: ").expect("a length");
            let length: usize = length
                .lines()
                .next()
                .and_then(|length| length.parse().ok())
                .expect("a number");
            if body.len() >= length {
                return (head, body.to_owned());
            }
        }
        let count = timeout(PATIENCE, io.read_buf(&mut read))
            .await
            .expect("answered");
        assert_ne!(count.expect("readable"), 0, "closed after {text:?}");
    }
}

/// Waits for the other side to close, and tells what it said before.
pub(crate) async fn closed(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is as good as an end: it only means that something of ours lay unread.
    let _ = timeout(PATIENCE, io.read_to_end(&mut said))
        .await
        .expect("closed in time");
    said
}

pub(crate) type Http2 = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

pub(crate) type Driver = tokio::task::JoinHandle<()>;

pub(crate) async fn http2(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> (Http2, Driver) {
    let executor = TokioExecutor::new();
    let (client, connection) = hyper::client::conn::http2::handshake(executor, TokioIo::new(io))
        .await
        .expect("preface");
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    (client, driver)
}

pub(crate) async fn get2(client: &mut Http2, path: &str) -> (u16, String) {
    let uri = format!("http://a.example{path}");
    let request = hyper::Request::get(uri)
        .body(Empty::new())
        .expect("request");
    let answer = timeout(PATIENCE, client.send_request(request))
        .await
        .expect("answered");
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}
