//! What is seen while the crowd waits: a bar per room on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::grounds::Site;
use crate::rush::Live;

const ON_A_TERMINAL: Duration = Duration::from_millis(200);
const IN_A_LOG: Duration = Duration::from_secs(5);

/// What one pool's part of the crowd does.
pub(super) struct Part<'a> {
    /// The pool.
    pub(super) site: &'a Site,
    /// How many come.
    pub(super) pupils: u32,
    /// What they have done so far.
    pub(super) live: Arc<Live>,
}

impl Part<'_> {
    fn news(&self) -> String {
        format!(
            "{:3} wait  {:3} in  {}/{} in flight{}",
            self.live.waiting(),
            self.live.got_in(),
            self.site.platform.in_flight(),
            self.site.cap,
            match self.live.errors() {
                0 => String::new(),
                errors => format!("  {errors} errors"),
            }
        )
    }
}

/// Shows the parts until it is dropped.
pub(super) async fn show(parts: &[Part<'_>]) {
    if std::io::stderr().is_terminal() {
        bars(parts).await;
    } else {
        lines(parts).await;
    }
}

async fn bars(parts: &[Part<'_>]) {
    let width = parts.iter().map(|part| part.site.name.len()).max();
    let template = format!("  {{prefix:{}}} [{{bar:30}}] {{msg}}", width.unwrap_or(0));
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    let all = MultiProgress::new();
    let bars: Vec<ProgressBar> = parts
        .iter()
        .map(|part| {
            // Dressed before it is shown.
            let bar = ProgressBar::new(part.pupils.into()).with_style(style.clone());
            all.add(bar.with_prefix(part.site.name.clone()))
        })
        .collect();
    loop {
        for (part, bar) in parts.iter().zip(&bars) {
            bar.set_position(part.live.finished());
            bar.set_message(part.news());
        }
        sleep(ON_A_TERMINAL).await;
    }
}

async fn lines(parts: &[Part<'_>]) {
    let begun = Instant::now();
    loop {
        sleep(IN_A_LOG).await;
        let news: Vec<String> = parts
            .iter()
            .map(|part| format!("{} {}", part.site.name, part.news().trim_start()))
            .collect();
        eprintln!("{:4} s  {}", begun.elapsed().as_secs(), news.join(" | "));
    }
}
