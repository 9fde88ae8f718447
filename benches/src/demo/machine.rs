//! The machine: what stands under every figure.

use std::fmt;

/// The shape of a machine, without its name.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    cores: usize,
    memory_gib: Option<u64>,
    model: Option<String>,
}

impl Machine {
    /// This one, as far as it tells.
    pub(super) fn this() -> Self {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_once(':')
                .map(|(_, value)| value.trim().to_owned())
        };
        let kib = field("/proc/meminfo", "MemTotal")
            .and_then(|total| total.split_whitespace().next()?.parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: kib.map(|kib| (kib + (1 << 19)) >> 20),
            model: field("/proc/cpuinfo", "model name"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = if self.cores == 1 { "core" } else { "cores" };
        write!(f, "{} {cores}", self.cores)?;
        if let Some(model) = &self.model {
            write!(f, " ({model})")?;
        }
        match self.memory_gib {
            Some(gib) => write!(f, ", {gib} GiB of memory"),
            None => Ok(()),
        }
    }
}
