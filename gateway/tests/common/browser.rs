//! A browser at one school.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::PATIENCE;
use super::http::{Answer, get, post, send};

/// A browser at one school: keeps its cookies.
#[derive(Clone)]
pub struct Browser {
    pub address: SocketAddr,
    pub host: String,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let request = get(path, &self.host);
        self.send(request).await
    }

    pub async fn post(&mut self, path: &str, form: &str) -> Answer {
        let request = post(path, &self.host, form.to_owned());
        self.send(request).await
    }

    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Answer {
        if !self.cookies.is_empty() {
            let value = self.cookie_pairs().join("; ").parse().unwrap();
            request.headers_mut().insert("cookie", value);
        }
        let answer = send(self.address, request).await;
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Its cookies as it sends them: `name=value`.
    pub fn cookie_pairs(&self) -> Vec<String> {
        let pairs = self.cookies.iter();
        pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    /// Sends a form and leaves the answer to whoever holds the connection: dropped, the browser has hung up.
    pub async fn post_unheard(&self, path: &str, form: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.host,
            self.cookie_pairs().join("; "),
            form.len(),
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Opens the demo platform's login page and returns a form that logs in.
    pub async fn form(&mut self) -> String {
        let page = self.get("/login").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        Self::fill(&page, "demo-password")
    }

    /// Fills in the form of a page.
    pub fn fill(page: &Answer, password: &str) -> String {
        let text = page.text();
        let after = text.split("name=\"csrf\"").nth(1).expect("a CSRF field");
        let csrf = after.split('"').nth(1).unwrap();
        format!("username=pupil001&password={password}&csrf={csrf}")
    }

    pub async fn turn(&mut self) -> serde_json::Value {
        self.get("/_einlass/turn").await.json()
    }

    /// Polls until the state is the one wanted.
    pub async fn until(&mut self, state: &str) -> serde_json::Value {
        let started = Instant::now();
        loop {
            let turn = self.turn().await;
            if turn["state"] == state {
                return turn;
            }
            assert!(started.elapsed() < PATIENCE, "{turn}, not {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Goes in, through the redirect that repeats the form where the login was.
    pub async fn enter(&mut self) -> Answer {
        let answer = self.post("/_einlass/enter", "einlass=enter").await;
        if answer.status != StatusCode::TEMPORARY_REDIRECT {
            return answer;
        }
        let path = answer.location().to_owned();
        self.post(&path, "einlass=enter").await
    }

    pub fn logged_in(&self) -> bool {
        self.cookies
            .contains_key(einlass_benches::platform::SESSION_COOKIE)
    }
}
