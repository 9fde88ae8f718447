//! `compare`: two reports of `rush` side by side.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use einlass_benches::compare::Comparison;
use einlass_benches::rush::Report;

/// Compares a rush straight at the platform with one through the gateway.
#[derive(Parser)]
struct Arguments {
    /// Report of the rush without the gateway (JSON)
    straight: PathBuf,
    /// Report of the rush through it
    through: PathBuf,
    /// Where to write the comparison as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Where to write it as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let comparison =
        Comparison::between(&report(&arguments.straight)?, &report(&arguments.through)?);
    print!("{}", comparison.text());
    if let Some(file) = &arguments.markdown {
        std::fs::write(file, comparison.markdown())?;
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&comparison)?)?;
    }
    Ok(())
}

fn report(file: &Path) -> Result<Report, Box<dyn Error>> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?)
}
