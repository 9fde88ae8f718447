//! Running the services, and stopping them without waiting for nothing.
//!
//! The server's own graceful stop sleeps a fixed time, whether anything is in flight or not, and then
//! cuts off what is still running. Here the stop is ours: first the front services are told and waited
//! for, then those behind them, and then the server may exit at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{
    ListenFds, RunArgs, RuntimeOpts, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch,
};
use pingora_core::services::{ServiceReadyNotifier, ServiceWithDependents};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tracing::{error, info, warn};

/// How long the services behind the front may take to write down what they know.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// What the front services get on top of their own drain before they are given up.
const MARGIN: Duration = Duration::from_secs(1);

/// What runs, in the order it stops.
#[derive(Default)]
pub struct Services {
    /// Told to stop first, and given the drain time: the edge.
    pub front: Vec<Box<dyn ServiceWithDependents>>,
    /// Told to stop when the front is done, since it needs them until then: ledger, pacer, desk.
    pub back: Vec<Box<dyn ServiceWithDependents>>,
}

/// What makes the server stop.
#[derive(Clone, Debug, Default)]
pub enum StopOn {
    /// `SIGTERM` or `SIGINT`; a second one cuts the drain short.
    #[default]
    Signals,
    /// A notification, for servers inside another program.
    Notified(Arc<Notify>),
}

/// A server configuration with `threads` per service and none of the surprises: no daemon, no files in
/// the temporary folder, no sleeping at the end.
pub fn server_conf(threads: usize) -> ServerConf {
    ServerConf {
        threads: threads.max(1),
        work_stealing: true,
        daemon: false,
        pid_file: String::new(),
        upgrade_sock: String::new(),
        max_retries: 2,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    }
}

/// How a server stops.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// How long it takes new requests after it was told to stop, and has said so.
    pub delay: Duration,
    /// How long requests in flight may then take to finish.
    pub drain: Duration,
    /// True from when it was told.
    pub told: Arc<AtomicBool>,
}

/// Runs the services until told to stop, and then as `ending` says. Blocks; must not be called inside
/// a runtime.
pub fn serve(conf: ServerConf, services: Services, ending: Ending, stop: StopOn) {
    let (front, front_stop) = Stage::new(ending.drain + MARGIN);
    let (back, back_stop) = Stage::new(LAST_WORDS);
    let mut server = Server::new_with_opt_and_conf(None, conf);
    for (services, stop) in [(services.back, back_stop), (services.front, front_stop)] {
        for inner in services {
            server.add_service(Staged {
                inner,
                stop: stop.clone(),
            });
        }
    }
    server.run(RunArgs {
        shutdown_signal: Box::new(Stop {
            on: stop,
            ending,
            stages: [front, back],
        }),
    });
}

/// Services that stop together.
struct Stage {
    stop: watch::Sender<bool>,
    /// Closed when the last of the services is done.
    done: watch::Sender<()>,
    patience: Duration,
}

/// What one service of a stage holds.
#[derive(Clone)]
struct StageWatch {
    stop: ShutdownWatch,
    _alive: watch::Receiver<()>,
}

impl Stage {
    fn new(patience: Duration) -> (Self, StageWatch) {
        let (stop, stopping) = watch::channel(false);
        let (done, alive) = watch::channel(());
        (
            Self {
                stop,
                done,
                patience,
            },
            StageWatch {
                stop: stopping,
                _alive: alive,
            },
        )
    }

    async fn finish(&self) {
        self.stop.send_replace(true);
        if timeout(self.patience, self.done.closed()).await.is_err() {
            warn!("Some services did not stop in time");
        }
    }
}

/// A service that is told to stop by its stage, and by nobody else.
struct Staged {
    inner: Box<dyn ServiceWithDependents>,
    stop: StageWatch,
}

#[async_trait]
impl ServiceWithDependents for Staged {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready_notifier: ServiceReadyNotifier,
    ) {
        let stop = self.stop.stop.clone();
        self.inner
            .start_service(fds, stop, listeners_per_fd, ready_notifier)
            .await;
        // The server drops this service now, and with it what tells the stage that it lives.
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn threads(&self) -> Option<usize> {
        self.inner.threads()
    }

    fn runtime_opts_override(&self, global: &RuntimeOpts) -> Option<RuntimeOpts> {
        self.inner.runtime_opts_override(global)
    }

    fn on_startup_delay(&self, time_waited: Duration) {
        self.inner.on_startup_delay(time_waited);
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.inner.listen_addresses()
    }
}

/// Waits for the word, then for the stages. When the server hears of it, all is done.
struct Stop {
    on: StopOn,
    ending: Ending,
    stages: [Stage; 2],
}

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        self.on.heard().await;
        self.ending.told.store(true, Ordering::Release);
        let delay = self.ending.delay;
        info!(?delay, "Stopping: requests in flight may finish");
        let finishing = async {
            tokio::time::sleep(delay).await;
            for stage in &self.stages {
                stage.finish().await;
            }
        };
        tokio::select! {
            () = finishing => {}
            () = self.on.heard() => warn!("Told to stop again: not waiting any longer"),
        }
        ShutdownSignal::FastShutdown
    }
}

impl StopOn {
    async fn heard(&self) {
        match self {
            Self::Notified(notify) => notify.notified().await,
            Self::Signals => {
                let signals = signal(SignalKind::terminate())
                    .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
                match signals {
                    Ok((mut terminate, mut interrupt)) => {
                        tokio::select! {
                            _ = terminate.recv() => {}
                            _ = interrupt.recv() => {}
                        }
                    }
                    Err(error) => {
                        error!(%error, "Cannot watch for signals: this process stops only by SIGKILL");
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }
}
