//! What a gateway is started with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use einlass_admission::state::{RoomState, State};
use einlass_admission::{Bands, Memory, Serving};
use tempfile::TempDir;

use super::free_address;
use super::gateway::{Gateway, Home, Surroundings};

/// A configuration in the making.
#[derive(Clone, Default)]
pub struct Setup {
    regions: String,
    edge: String,
    around: Surroundings,
    /// Rooms that an earlier run has left empty.
    left: BTreeMap<String, RoomState>,
}

impl Setup {
    /// A region whose pool may have `in_flight` logins in flight. `more` goes into its admission table.
    #[must_use]
    pub fn region(
        mut self,
        name: &str,
        backends: &[SocketAddr],
        in_flight: usize,
        schools: &[(&str, u32)],
        more: &str,
    ) -> Self {
        let backends: Vec<String> = backends.iter().map(|b| format!("\"{b}\"")).collect();
        // Most tests count on a cap that they know.
        let fixed = if more.contains("mode =") {
            ""
        } else {
            "mode = \"fixed\"\n"
        };
        write!(
            self.regions,
            "[region.{name}]\nbackends = [{}]\n[region.{name}.admission]\n\
             in_flight = {{ min = 1, max = {in_flight} }}\n{fixed}{more}\n",
            backends.join(", "),
        )
        .unwrap();
        for (host, pupils) in schools {
            self = self.school(name, host, *pupils);
        }
        self
    }

    /// One more school of a region.
    #[must_use]
    pub fn school(mut self, region: &str, host: &str, pupils: u32) -> Self {
        write!(
            self.regions,
            "[[region.{region}.school]]\nhost = \"{host}\"\npupils = {pupils}\n"
        )
        .unwrap();
        self
    }

    /// More for the edge's table.
    #[must_use]
    pub fn edge(mut self, text: &str) -> Self {
        self.edge.push_str(text);
        self
    }

    /// What is logged, as in `EINLASS_LOG`.
    #[must_use]
    pub fn log(mut self, levels: &str) -> Self {
        self.around.log = Some(levels.to_owned());
        self
    }

    /// A wrong clock: how far it is ahead, as `faketime` understands it.
    #[must_use]
    pub fn clock(mut self, ahead: Option<&str>) -> Self {
        self.around.clock = ahead.map(str::to_owned);
        self
    }

    /// How many files it may have open, and how many more it may ask for: `"SOFT:HARD"`.
    #[must_use]
    pub fn open_files(mut self, limits: &'static str) -> Self {
        self.around.open_files = Some(limits);
        self
    }

    /// More tables.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.regions.push_str(text);
        self
    }

    /// What kind of platform the regions run.
    #[must_use]
    pub fn platform(mut self, name: &str) -> Self {
        let with = format!("platform = \"{name}\"\nbackends = ");
        self.regions = self.regions.replace("backends = ", &with);
        self
    }

    /// A gateway that has run before, and nobody was in these regions' rooms when it stopped. A new one listens for
    /// the first five seconds where the line begins, if somebody asks, and calls nobody.
    #[must_use]
    pub fn not_new(mut self, regions: &[&str]) -> Self {
        let empty = RoomState {
            serving: Serving::START,
            last: BTreeMap::new(),
            used: BTreeMap::new(),
            pacer: Memory::default(),
            forecast: Bands::default(),
        };
        let left = regions
            .iter()
            .map(|name| ((*name).to_owned(), empty.clone()));
        self.left.extend(left);
        self
    }

    /// A gateway of a fleet: the rooms in this Redis, the keys those of the first gateway.
    pub async fn start_beside(self, first: &Gateway) -> Gateway {
        self.start_with(Some(first)).await
    }

    pub async fn start(self) -> Gateway {
        self.start_with(None).await
    }

    /// Starts a gateway that refuses to; what it says.
    pub fn refused(self) -> String {
        let home = self.written();
        let output = Command::new(env!("CARGO_BIN_EXE_einlass"))
            .args(["run", "--config"])
            .arg(&home.config)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    async fn start_with(self, beside: Option<&Gateway>) -> Gateway {
        let home = self.written();
        if let Some(first) = beside {
            let state = |dir: &TempDir| dir.path().join("state");
            std::fs::create_dir_all(state(&home.dir)).unwrap();
            std::fs::copy(
                state(&first.dir).join("keys"),
                state(&home.dir).join("keys"),
            )
            .unwrap();
        }
        Gateway::start(home, self.around).await
    }

    /// A folder with the configuration, and with what an earlier run has left.
    fn written(&self) -> Home {
        let dir = TempDir::new().unwrap();
        if !self.left.is_empty() {
            let state = dir.path().join("state");
            std::fs::create_dir(&state).unwrap();
            let left = State::new(self.left.clone());
            left.save(&state.join("rooms.json")).unwrap();
        }
        let config = dir.path().join("einlass.toml");
        let (edge, desk) = (free_address(), free_address());
        let text = format!(
            "[edge]\nlisten = [\"{edge}\"]\n{}\n[desk]\nlisten = \"{desk}\"\n\
             [state]\ndirectory = \"state\"\n{}",
            self.edge, self.regions
        );
        std::fs::write(&config, text).unwrap();
        Home {
            dir,
            config,
            edge,
            desk,
        }
    }
}
