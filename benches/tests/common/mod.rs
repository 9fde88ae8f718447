//! A plain HTTP client: one connection per request, whole answers as text.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Long enough for anything here, short enough not to hang.
pub(crate) const BOUND: Duration = Duration::from_secs(9);

/// Sends a request and returns the connection without reading the answer.
pub(crate) async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    cookies: &str,
    body: &str,
) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: gym.example\r\nConnection: close\r\nCookie: {cookies}\r\nX-Rush-Pupil: 7\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Sends a request and returns the whole answer, head included.
pub(crate) async fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    cookies: &str,
    body: &str,
) -> String {
    let mut answer = String::new();
    send(to, method, path, cookies, body)
        .await
        .read_to_string(&mut answer)
        .await
        .unwrap();
    answer
}

/// The value of a cookie that an answer sets.
pub(crate) fn cookie(answer: &str, name: &str) -> Option<String> {
    let field = answer
        .lines()
        .find_map(|line| line.strip_prefix(&format!("set-cookie: {name}=")))?;
    Some(field.split(';').next()?.to_owned())
}

/// Waits until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(BOUND, wait)
        .await
        .expect("the condition never held");
}
