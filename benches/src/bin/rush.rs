//! `rush`: sends a crowd of pupils to a gateway, or straight to a platform, on this machine.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use einlass_benches::platform::PASSWORD;
use einlass_benches::rush::{self, Connections, Live, Patience, Plan, RushError, School, Shape};
use indicatif::{ProgressBar, ProgressStyle};

/// A crowd of pupils who log in like browsers do, all at once. Goes to this machine only.
#[derive(Parser)]
struct Arguments {
    /// Address of the gateway, or of a platform for the comparison without one; repeat it for several
    #[arg(long = "to", value_name = "ADDR", required = true)]
    targets: Vec<SocketAddr>,
    /// Control address of a platform behind, whose own record becomes part of the report; repeat it for several
    #[arg(long = "platform", value_name = "ADDR")]
    platforms: Vec<SocketAddr>,
    /// How many pupils come
    #[arg(long, default_value_t = 1000)]
    pupils: u32,
    /// A school as HOST=PUPILS or HOST=PUPILS:SHARE (its part of the crowd, if not by its pupils); repeat it
    #[arg(long = "school", value_name = "HOST=PUPILS", value_parser = school)]
    schools: Vec<School>,
    /// Schools from a CSV file with a header line: host, pupils and, if wanted, share
    #[arg(long, value_name = "FILE", conflicts_with = "schools")]
    schools_file: Option<PathBuf>,
    /// Invent so many schools of 300 to 1,500 pupils
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with_all = ["schools", "schools_file"])]
    invent_schools: usize,
    /// Within which time they open the login page
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    arrive_over: Duration,
    /// Along which curve
    #[arg(long, value_enum, default_value_t = Curve::Eight)]
    shape: Curve,
    /// Time to type the login, from this …
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    think_min: Duration,
    /// … to this
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    think_max: Duration,
    /// Fraction that loses patience
    #[arg(long, default_value_t = 0.0)]
    give_up: f64,
    /// Mean patience of those
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = duration)]
    patience: Duration,
    /// Fraction that types a wrong password first
    #[arg(long, default_value_t = 0.0)]
    mistype: f64,
    /// Fraction that closes the tab when told to wait
    #[arg(long, default_value_t = 0.0)]
    no_show: f64,
    /// Pages visited once in
    #[arg(long, default_value_t = 2)]
    pages: u32,
    /// Reloads after errors, before somebody counts as failed
    #[arg(long, default_value_t = 3)]
    reloads: u32,
    /// When connections are closed
    #[arg(long, value_enum, default_value_t = Policy::Keepalive)]
    connections: Policy,
    /// Longest time for one request
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    request_timeout: Duration,
    /// Every request goes to any of the targets
    #[arg(long = "move")]
    move_between: bool,
    /// The rush ends after this time at the latest
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    deadline: Duration,
    /// The password of all pupils
    #[arg(long, default_value = PASSWORD, hide_default_value = true)]
    password: String,
    /// The same seed makes the same pupils
    #[arg(long, default_value_t = 8)]
    seed: u64,
    /// Name of the run in reports
    #[arg(long, default_value = "rush")]
    name: String,
    /// Where to write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Curve {
    /// The same rate from first to last
    Burst,
    /// A growing rate
    Ramp,
    /// The school bell: 70 % in the first fifth
    Eight,
}

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    /// After every answer
    PerRequest,
    /// After two idle seconds
    Keepalive,
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        unit => return Err(format!("unknown unit {unit:?}: ms, s or m")),
    };
    let number: f64 = digits
        .parse()
        .map_err(|error| format!("{digits:?}: {error}"))?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

fn school(text: &str) -> Result<School, String> {
    let (host, numbers) = text.split_once('=').ok_or("not HOST=PUPILS")?;
    let (pupils, share) = numbers
        .split_once(':')
        .map_or((numbers, None), |(pupils, share)| (pupils, Some(share)));
    let mut school = School::new(
        host,
        pupils
            .parse()
            .map_err(|error| format!("{pupils:?}: {error}"))?,
    );
    if let Some(share) = share {
        school.share = share
            .parse()
            .map_err(|error| format!("{share:?}: {error}"))?;
    }
    Ok(school)
}

impl Arguments {
    fn plan(&self) -> Result<Plan, RushError> {
        let schools = match &self.schools_file {
            Some(file) => rush::from_csv(file)?,
            None if self.schools.is_empty() => rush::generated(self.invent_schools, self.seed),
            None => self.schools.clone(),
        };
        let shape = match self.shape {
            Curve::Burst => Shape::Burst,
            Curve::Ramp => Shape::Ramp,
            Curve::Eight => Shape::Eight,
        };
        let connections = match self.connections {
            Policy::PerRequest => Connections::PerRequest,
            Policy::Keepalive => Connections::KeepAlive(Duration::from_secs(2)),
        };
        Ok(Plan {
            name: self.name.clone(),
            targets: self.targets.clone(),
            schools,
            pupils: self.pupils,
            arrive_over: self.arrive_over,
            shape,
            think: (self.think_min, self.think_max),
            give_up: self.give_up,
            patience: Patience::Exponential(self.patience),
            mistype: self.mistype,
            no_show: self.no_show,
            pages: self.pages,
            reloads: self.reloads,
            connections,
            request_timeout: self.request_timeout,
            move_between: self.move_between,
            deadline: self.deadline,
            password: self.password.clone(),
            seed: self.seed,
            platforms: self.platforms.clone(),
            ..Plan::default()
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rush: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let plan = arguments.plan()?;
    let progress = tokio::spawn(show(Arc::clone(&plan.live), plan.pupils));
    let report = rush::run(plan).await;
    progress.abort();
    // Aborting drops the bar, which clears its line.
    let _ = progress.await;
    let report = report?;
    print!("{report}");
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

/// A bar on a terminal, a line per second elsewhere.
async fn show(live: Arc<Live>, pupils: u32) {
    let begun = Instant::now();
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{elapsed_precise} [{wide_bar}] {msg}");
        let bar = ProgressBar::new(pupils.into());
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let mut said = String::new();
    loop {
        let news = format!(
            "{} came, {} wait, {} in, {} gave up, {} failed, {} errors",
            live.started(),
            live.waiting(),
            live.got_in(),
            live.gave_up() + live.no_show(),
            live.failed(),
            live.errors(),
        );
        if let Some(bar) = &bar {
            bar.set_position(live.finished());
            bar.set_message(news);
            tokio::time::sleep(Duration::from_millis(100)).await;
        } else {
            if news != said {
                eprintln!("{:4} s  {news}", begun.elapsed().as_secs());
                said = news;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
