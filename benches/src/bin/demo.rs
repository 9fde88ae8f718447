//! `demo`: a small school platform, the gateway in front of it, and a crowd, all on this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use einlass_benches::demo::{self, DemoError, Ended};

/// As shells say that a program was interrupted.
const INTERRUPTED: u8 = 130;

/// Watch a crowd being let in. The gateway must have been built beside this program.
#[derive(Parser)]
struct Arguments {
    /// End when the crowd is in, also on a terminal
    #[arg(long)]
    once: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The same crowd without the gateway and with it, side by side; takes about five minutes
    Compare {
        /// Where to write the comparison as Markdown
        #[arg(long, value_name = "FILE")]
        markdown: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match &arguments.command {
        None => demo::show(arguments.once).await,
        Some(Command::Compare { markdown }) => compare(markdown.as_deref()).await,
    };
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Badly) => ExitCode::FAILURE,
        Ok(Ended::Early) => INTERRUPTED.into(),
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn compare(markdown: Option<&Path>) -> Result<Ended, DemoError> {
    let Some(campaign) = demo::compare().await? else {
        return Ok(Ended::Early);
    };
    println!("\n{}", campaign.text());
    if let Some(file) = markdown {
        std::fs::write(file, campaign.markdown("make compare"))?;
    }
    let broken = campaign.broken_promises();
    if broken.is_empty() {
        return Ok(Ended::Well);
    }
    println!(
        "With the gateway this should not have happened:\n  {}",
        broken.join("\n  ")
    );
    Ok(Ended::Badly)
}
