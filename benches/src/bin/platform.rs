//! `platform`: starts school platforms, one per region, until it is stopped.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use einlass_benches::platform::{HashCost, Platform, PlatformError, PlatformOptions};

/// School platforms with real password hashing, to stand behind a gateway.
///
/// The password of every user is "demo-password".
#[derive(Parser)]
struct Arguments {
    /// A region: "NAME key=value …" with listen=ADDR[,ADDR…], control=ADDR, workers=N, hash-millis=N, queue-limit=N,
    /// places=N, csrf-seconds=N. Repeat it for more regions; they share nothing but the machine
    #[arg(long = "pool", value_name = "SPEC", required = true)]
    pools: Vec<Pool>,
    /// Time of one password hash on an idle core, where a region says nothing else
    #[arg(long, default_value_t = 250)]
    hash_millis: u64,
    /// Hash with this memory instead of calibrating, in KiB
    #[arg(long, requires = "passes")]
    memory_kib: Option<u32>,
    /// Passes over the memory
    #[arg(long, requires = "memory_kib")]
    passes: Option<u32>,
}

#[derive(Clone)]
struct Pool {
    options: PlatformOptions,
    hash_millis: Option<u64>,
}

impl FromStr for Pool {
    type Err = String;

    fn from_str(spec: &str) -> Result<Self, String> {
        let mut words = spec.split_whitespace();
        let name = words
            .next()
            .filter(|name| !name.contains('='))
            .ok_or("begins with the region's name")?;
        let mut options = PlatformOptions {
            name: name.to_owned(),
            ..PlatformOptions::default()
        };
        let mut hash_millis = None;
        for word in words {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word:?} is not key=value"))?;
            match key {
                "listen" => {
                    let addresses: Result<_, _> =
                        value.split(',').map(parse::<SocketAddr>).collect();
                    options.listen = addresses?;
                }
                "control" => options.control = Some(parse(value)?),
                "workers" => options.workers = parse(value)?,
                "queue-limit" => options.queue_limit = Some(parse(value)?),
                "places" => options.places = Some(parse(value)?),
                "csrf-seconds" => options.csrf_lifetime = Duration::from_secs(parse(value)?),
                "hash-millis" => hash_millis = Some(parse(value)?),
                _ => return Err(format!("unknown key {key:?}")),
            }
        }
        Ok(Self {
            options,
            hash_millis,
        })
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{value:?}: {error}"))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("platform: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), PlatformError> {
    let mut running = Vec::new();
    for Pool {
        options,
        hash_millis,
    } in arguments.pools
    {
        let cost = match (arguments.memory_kib, arguments.passes) {
            (Some(memory_kib), Some(passes)) => HashCost { memory_kib, passes },
            _ => HashCost::about(Duration::from_millis(
                hash_millis.unwrap_or(arguments.hash_millis),
            ))?,
        };
        let platform = Platform::start(PlatformOptions { cost, ..options }).await?;
        let seen = platform.snapshot(false);
        let backends: Vec<String> = platform
            .backends()
            .iter()
            .map(ToString::to_string)
            .collect();
        println!(
            "{}: {} on {}{}, {} workers x {:.1} ms (argon2id m={} KiB t={}): {:.1} logins/s on idle cores",
            seen.name,
            if backends.len() == 1 {
                "backend"
            } else {
                "backends"
            },
            backends.join(", "),
            platform
                .control()
                .map_or_else(String::new, |control| format!(", control on {control}")),
            seen.workers,
            seen.hash_millis,
            cost.memory_kib,
            cost.passes,
            seen.workers as f64 * 1000.0 / seen.hash_millis,
        );
        running.push(platform);
    }
    stop_signal().await;
    drop(running);
    Ok(())
}

/// Ctrl-C or SIGTERM.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
