//! A backend whose mood changes while it runs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// A page that takes long wherever it is made.
pub const DEAR: &str = "/report";
const DEARLY: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(20);

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers after so long, and with what it is called.
    Fine(Duration),
    /// The same for logins; everything else takes a moment.
    Logins(Duration),
    /// Says just this to logins and closes; everything else is answered after a moment.
    SaysToLogins(&'static [u8]),
    /// Says just this and closes.
    Says(&'static [u8]),
    /// Accepts and never answers.
    Silent,
    /// Answers, but its health page says 500.
    Ill,
}

/// A backend of bare sockets.
pub struct Fickle {
    pub address: SocketAddr,
    mood: watch::Sender<Mood>,
    counts: Arc<Counts>,
    keeps: Arc<AtomicBool>,
    accepting: Mutex<Option<JoinHandle<()>>>,
    listener: Mutex<Option<Arc<TcpListener>>>,
}

#[derive(Default)]
pub struct Counts {
    requests: AtomicUsize,
    posts: AtomicUsize,
    dear: AtomicUsize,
    at_work: AtomicUsize,
    connections: AtomicUsize,
}

/// Counts as long as somebody is at work.
struct AtWork<'a>(&'a Counts);

impl<'a> AtWork<'a> {
    fn begin(counts: &'a Counts) -> Self {
        counts.at_work.fetch_add(1, Ordering::SeqCst);
        Self(counts)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fickle {
    pub async fn start(mood: Mood) -> Self {
        Self::with_workers(mood, 10_000).await
    }

    /// Works on so many requests at a time.
    pub async fn with_workers(mood: Mood, workers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, mood, workers)
    }

    pub fn on(listener: TcpListener, mood: Mood, workers: usize) -> Self {
        let fickle = Self {
            address: listener.local_addr().unwrap(),
            mood: watch::Sender::new(mood),
            counts: Arc::default(),
            keeps: Arc::default(),
            accepting: Mutex::default(),
            listener: Mutex::default(),
        };
        fickle.accept(Arc::new(listener), workers);
        fickle
    }

    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Whether its connections stay after a request.
    pub fn keep(&self, keeps: bool) {
        self.keeps.store(keeps, Ordering::SeqCst);
    }

    /// Its port refuses from now on.
    pub fn stop(&self) {
        drop(self.deafen());
    }

    /// Accepts nobody from now on, and its port stays as long as what this returns does.
    fn deafen(&self) -> Option<Arc<TcpListener>> {
        if let Some(accepting) = self.accepting.lock().unwrap().take() {
            accepting.abort();
        }
        self.listener.lock().unwrap().take()
    }

    /// Swallows connections: the queue of its port is full, and further connects hang until this ends.
    pub async fn swallow(&self) -> Swallows {
        let listener = self.deafen().unwrap();
        let queue = fill(self.address).await;
        Swallows { listener, queue }
    }

    /// Accepts again after that.
    pub fn accept_again(&self, swallows: Swallows) {
        drop(swallows.queue);
        self.accept(swallows.listener, 10_000);
    }

    pub async fn start_again(&self) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        // The old listener goes when its task has ended.
        let mut bound = socket.bind(self.address);
        for _ in 0..100 {
            if bound.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            bound = socket.bind(self.address);
        }
        bound.unwrap();
        self.accept(Arc::new(socket.listen(1_024).unwrap()), 10_000);
    }

    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    pub fn posts(&self) -> usize {
        self.counts.posts.load(Ordering::SeqCst)
    }

    /// Dear pages it has made.
    pub fn dear(&self) -> usize {
        self.counts.dear.load(Ordering::SeqCst)
    }

    /// Requests that it is at work on.
    pub fn at_work(&self) -> usize {
        self.counts.at_work.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    fn accept(&self, listener: Arc<TcpListener>, workers: usize) {
        *self.listener.lock().unwrap() = Some(Arc::clone(&listener));
        let workers = Arc::new(Semaphore::new(workers));
        let (mood, counts) = (self.mood.subscribe(), Arc::clone(&self.counts));
        let keeps = Arc::clone(&self.keeps);
        let name = self.address.to_string();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counts.connections.fetch_add(1, Ordering::SeqCst);
                let work = serve(
                    stream,
                    name.clone(),
                    mood.clone(),
                    Arc::clone(&counts),
                    Arc::clone(&workers),
                    Arc::clone(&keeps),
                );
                tokio::spawn(work);
            }
        });
        *self.accepting.lock().unwrap() = Some(accepting);
    }
}

/// A backend that swallows connections.
pub struct Swallows {
    listener: Arc<TcpListener>,
    queue: Vec<TcpStream>,
}

/// Connects until the queue of a port at which nobody accepts is full.
pub async fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let mut queue = Vec::new();
    loop {
        let connect = TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(300), connect).await {
            Ok(stream) => queue.push(stream.unwrap()),
            Err(_) => return queue,
        }
    }
}

/// A listener whose queue is soon full.
pub fn short_queue() -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(8).unwrap()
}

impl Drop for Fickle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One request on a connection, or one after the other.
async fn serve(
    mut stream: TcpStream,
    name: String,
    mood: watch::Receiver<Mood>,
    counts: Arc<Counts>,
    workers: Arc<Semaphore>,
    keeps: Arc<AtomicBool>,
) {
    while one(&mut stream, &name, &mood, &counts, &workers, &keeps).await {}
    // Closing with something unread would reset the connection.
    let _ = stream.shutdown().await;
}

/// One request; whether there may be another.
async fn one(
    stream: &mut TcpStream,
    name: &str,
    mood: &watch::Receiver<Mood>,
    counts: &Counts,
    workers: &Semaphore,
    keeps: &AtomicBool,
) -> bool {
    let Some(head) = read(stream).await else {
        return false;
    };
    let keeps = keeps.load(Ordering::SeqCst);
    if !head.starts_with("GET /health") {
        counts.requests.fetch_add(1, Ordering::SeqCst);
        let post = usize::from(head.starts_with("POST"));
        counts.posts.fetch_add(post, Ordering::SeqCst);
    }
    let dear = head.starts_with(&format!("GET {DEAR} "));
    let now = match *mood.borrow() {
        Mood::SaysToLogins(text) if head.starts_with("POST") => Mood::Says(text),
        Mood::SaysToLogins(_) => Mood::Fine(MOMENT),
        mood => mood,
    };
    let _ = match now {
        Mood::Fine(_) | Mood::Logins(_) => {
            let after = match now {
                _ if dear => DEARLY,
                Mood::Logins(_) if !head.starts_with("POST") => MOMENT,
                Mood::Fine(after) | Mood::Logins(after) => after,
                _ => MOMENT,
            };
            let at_work = AtWork::begin(counts);
            let worker = workers.acquire().await;
            tokio::time::sleep(after).await;
            drop((worker, at_work));
            counts.dear.fetch_add(usize::from(dear), Ordering::SeqCst);
            let mut answer = page(200, name);
            if keeps {
                answer = answer.replace("Connection: close\r\n", "");
            }
            let _ = stream.write_all(answer.as_bytes()).await;
            return keeps;
        }
        Mood::Says(text) => stream.write_all(text).await,
        Mood::Silent => {
            let mut nothing = [0; 64];
            while stream.read(&mut nothing).await.unwrap_or(0) > 0 {}
            Ok(())
        }
        Mood::Ill | Mood::SaysToLogins(_) => {
            let status = if head.starts_with("GET /health") {
                500
            } else {
                200
            };
            stream.write_all(page(status, name).as_bytes()).await
        }
    };
    false
}

/// The head of a request, its body read.
pub async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let fits = name.eq_ignore_ascii_case("content-length");
            fits.then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(head.to_owned());
        }
    }
}

pub fn page(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
