//! `demo`: a small school platform, the gateway in front of it, and a crowd, all on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
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
    Compare(Document),
    /// Small and large schools behind one gateway: do they wait equally long? Takes about four minutes
    Fairness(Document),
    /// One region in trouble: does another one notice? Takes about six minutes
    Isolation(Document),
    /// Fifty thousand wait at once: what does each cost the gateway? Takes about two minutes
    Memory(Document),
    /// The pacer against the best fixed setting, and while workers go and come back; takes about five minutes
    Capacity(Document),
    /// Every scenario with the room and with other ways to let logins in, in virtual time; takes some minutes
    Ways(Document),
    /// One of four servers at half the speed, under each policy; takes about three minutes
    Balance(Document),
    /// A gibibyte each way, a thousand listeners, a WebSocket, while a crowd logs in; takes about five minutes
    Streams(Document),
}

#[derive(Args)]
struct Document {
    /// Where to write the report as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match &arguments.command {
        None => demo::show(arguments.once).await,
        Some(Command::Compare(document)) => compare(document).await,
        Some(Command::Fairness(document)) => fairness(document).await,
        Some(Command::Isolation(document)) => isolation(document).await,
        Some(Command::Memory(document)) => memory(document).await,
        Some(Command::Capacity(document)) => capacity(document).await,
        Some(Command::Ways(document)) => ways(document),
        Some(Command::Balance(document)) => balance(document).await,
        Some(Command::Streams(document)) => streams(document).await,
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

async fn compare(document: &Document) -> Result<Ended, DemoError> {
    let Some(campaign) = demo::compare().await? else {
        return Ok(Ended::Early);
    };
    println!("\n{}", campaign.text());
    document.write(&campaign.markdown("make compare"))?;
    Ok(judge(&campaign.broken_promises()))
}

async fn fairness(document: &Document) -> Result<Ended, DemoError> {
    let Some(campaign) = demo::fairness().await? else {
        return Ok(Ended::Early);
    };
    println!("\n{}", campaign.text());
    document.write(&campaign.markdown("make fairness"))?;
    Ok(judge(&campaign.broken_promises()))
}

async fn isolation(document: &Document) -> Result<Ended, DemoError> {
    let Some(campaign) = demo::isolation().await? else {
        return Ok(Ended::Early);
    };
    println!("\n{}", campaign.text());
    document.write(&campaign.markdown("make isolation"))?;
    Ok(judge(&campaign.broken_promises()))
}

async fn memory(document: &Document) -> Result<Ended, DemoError> {
    let Some(campaign) = demo::memory().await? else {
        return Ok(Ended::Early);
    };
    println!("\n{}", campaign.text());
    document.write(&campaign.markdown("make memory"))?;
    Ok(judge(&campaign.broken_promises()))
}

async fn capacity(document: &Document) -> Result<Ended, DemoError> {
    let Some(campaign) = demo::capacity().await? else {
        return Ok(Ended::Early);
    };
    println!("\n{}", campaign.text());
    document.write(&campaign.markdown("make capacity"))?;
    Ok(judge(&campaign.broken_promises()))
}

fn ways(document: &Document) -> Result<Ended, DemoError> {
    let ways = demo::ways()?;
    println!("{}", ways.text());
    document.write(&ways.markdown("make ways"))?;
    Ok(judge(&ways.broken_promises()))
}

async fn balance(document: &Document) -> Result<Ended, DemoError> {
    let Some(campaign) = demo::balance().await? else {
        return Ok(Ended::Early);
    };
    println!("\n{}", campaign.text());
    document.write(&campaign.markdown("make balance"))?;
    Ok(judge(&campaign.broken_promises()))
}

async fn streams(document: &Document) -> Result<Ended, DemoError> {
    let Some(campaign) = demo::streams().await? else {
        return Ok(Ended::Early);
    };
    println!("\n{}", campaign.text());
    document.write(&campaign.markdown("make streams"))?;
    Ok(judge(&campaign.broken_promises()))
}

impl Document {
    fn write(&self, text: &str) -> std::io::Result<()> {
        match &self.markdown {
            Some(file) => std::fs::write(file, text),
            None => Ok(()),
        }
    }
}

fn judge(broken: &[String]) -> Ended {
    if broken.is_empty() {
        return Ended::Well;
    }
    println!(
        "With the gateway this should not have happened:\n  {}",
        broken.join("\n  ")
    );
    Ended::Badly
}
