//! The `einlass` command.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lets everyone in when everyone comes at once: a login gateway for school platforms.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the gateway. SIGTERM stops it once requests in flight are done.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Reads the configuration and says everything that is wrong with it.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Plays a morning in virtual time: what would happen at eight with this configuration.
    Simulate(einlass::simulate::Arguments),
    /// Prints a link with which a school's staff wait in a line of their own.
    StaffPass(einlass::staff_pass::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Run { config } => {
            log();
            match einlass::run::run(&config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Check { config } => match einlass_config::load(&config) {
            Ok(config) => {
                let pools = config.pools();
                let schools: usize = pools.iter().map(|pool| pool.schools.len()).sum();
                let many = |count: usize, what: &str| {
                    let ending = if count == 1 { "" } else { "s" };
                    format!("{count} {what}{ending}")
                };
                let (pools, schools) = (many(pools.len(), "pool"), many(schools, "school"));
                println!("ok: {pools}, {schools}");
                ExitCode::SUCCESS
            }
            Err(mistakes) => {
                eprintln!("{mistakes}");
                ExitCode::FAILURE
            }
        },
        Command::StaffPass(arguments) => match einlass::staff_pass::make(&arguments) {
            Ok(link) => {
                eprintln!("for the staff of {}, until {}", link.host, link.expires);
                println!("{}", link.address);
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Command::Simulate(arguments) => match einlass::simulate::run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// To standard error: text for people, JSON for collectors. `EINLASS_LOG` sets the levels.
///
/// Below `info` only our own code speaks, whatever is set: what libraries write there holds headers
/// and bodies, and with them names, passwords and addresses.
fn log() {
    let levels = EnvFilter::try_from_env("EINLASS_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,pingora_core=warn,pingora_proxy=warn"));
    let ours = filter_fn(|event| {
        *event.level() <= LevelFilter::INFO || event.target().starts_with("einlass")
    });
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let text = if std::io::stderr().is_terminal() {
        text.boxed()
    } else {
        text.json().boxed()
    };
    tracing_subscriber::registry()
        .with(text.with_filter(levels).with_filter(ours))
        .init();
}
