//! What of a prober can change while it runs: the file of `--config`, flags and variables on top. All else that a
//! prober is told stands in flags alone, and changes by a restart. The changes are carried out by `reload`.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_core::money::PicoUsd;
use trunkline_runtime::telemetry::check_filter;
use trunkline_spec::{Problems, load};

use crate::config::{CLUSTER_DAILY, Cli, ENDPOINT_DAILY, ProberConfig};

/// Which log lines are written where nobody says.
const LOG: &str = "info";
/// The longest file, in bytes; one that says everything has some hundred, so a wrong path shows.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The file of `--config`. All of it takes effect at once on SIGHUP.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Which log lines are written, such as `info` or `info,h2=warn`.
    pub log: Option<String>,
    /// `host:port` of places that are never down, for the prober's test of its own network.
    pub controls: Option<Vec<String>>,
    /// What the probes of one endpoint may cost in a day, in US dollars.
    pub usd_per_endpoint_day: Option<f64>,
    /// What all probes of the cluster may cost in a day, in US dollars.
    pub usd_per_day: Option<f64>,
}

/// What can change while a prober runs, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Which log lines are written.
    pub log: String,
    /// `host:port` of places that are never down.
    pub controls: Vec<String>,
    /// What the probes of one endpoint may cost in a day.
    pub endpoint_daily: PicoUsd,
    /// What all probes of the cluster may cost in a day.
    pub cluster_daily: PicoUsd,
}

impl Tuning {
    /// Reads the file, if one is named: flag over variable over file over default.
    ///
    /// # Errors
    /// Everything wrong with it, with lines.
    pub fn read(cli: &Cli) -> Result<Self, Problems> {
        let Some(path) = &cli.config else { return Self::of(cli, ConfigFile::default()) };
        let name = path.display().to_string();
        let loaded = load::<ConfigFile>(&text(path)?).map_err(|found| found.in_file(&name))?;
        Self::of(cli, loaded.document.clone())
            .map_err(|problems| loaded.locate(problems).in_file(&name))
    }

    fn of(cli: &Cli, file: ConfigFile) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut usd = |key: &str, number: Option<f64>, otherwise| {
            let Some(number) = number else { return otherwise };
            PicoUsd::from_usd_f64(number).unwrap_or_else(|| {
                problems.add(key, format!("{number} is not an amount of dollars"));
                otherwise
            })
        };
        let endpoint = usd("usd_per_endpoint_day", file.usd_per_endpoint_day, ENDPOINT_DAILY);
        let cluster = usd("usd_per_day", file.usd_per_day, CLUSTER_DAILY);
        let tuning = Self {
            log: cli.log.clone().or(file.log).unwrap_or_else(|| LOG.to_owned()),
            controls: cli.controls.clone().or(file.controls).unwrap_or_default(),
            endpoint_daily: cli.usd_per_endpoint_day.unwrap_or(endpoint),
            cluster_daily: cli.usd_per_day.unwrap_or(cluster),
        };
        if let Err(error) = check_filter(&tuning.log) {
            problems.add("log", error.to_string());
        }
        problems.or(tuning)
    }

    /// Puts it in place of what a prober would start with.
    pub fn put_into(&self, config: &mut ProberConfig) {
        self.controls.clone_into(&mut config.controls);
        config.endpoint_daily = self.endpoint_daily;
        config.cluster_daily = self.cluster_daily;
    }

    /// The keys of the file in which it differs from another.
    pub fn differs(&self, other: &Self) -> Vec<&'static str> {
        // Without `..`, so that nothing is forgotten.
        let Self { log, controls, endpoint_daily, cluster_daily } = self;
        let keys = [
            ("log", *log != other.log),
            ("controls", *controls != other.controls),
            ("usd_per_endpoint_day", *endpoint_daily != other.endpoint_daily),
            ("usd_per_day", *cluster_daily != other.cluster_daily),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

fn text(path: &Path) -> Result<String, Problems> {
    let name = path.display();
    let failed = |error| Problems::one("--config", format!("`{name}` cannot be read: {error}"));
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(Problems::one("--config", format!("`{name}` is too long for a prober's file")));
    }
    std::fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn of(flags: &[&str], file: &str) -> Result<Tuning, String> {
        let usual = ["health-prober", "--id", "p", "--zone", "a", "--etcd-endpoints", "http://e:1"];
        let cli = Cli::try_parse_from(usual.iter().chain(flags)).unwrap();
        let loaded = load::<ConfigFile>(file).map_err(|problems| problems.to_string())?;
        let found = Tuning::of(&cli, loaded.document.clone());
        found.map_err(|problems| loaded.locate(problems).to_string())
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let default = of(&[], "{}").unwrap();
        assert_eq!((default.log.as_str(), default.cluster_daily), ("info", CLUSTER_DAILY));
        let written = of(&["--usd-per-day", "3"], "{usd_per_day: 2, log: 'warn,h2=off'}").unwrap();
        assert_eq!(
            (written.log.as_str(), written.cluster_daily),
            ("warn,h2=off", PicoUsd::from_usd(3))
        );
        assert_eq!(written.differs(&default), ["log", "usd_per_day"]);
        assert_eq!(written.differs(&written), [""; 0]);
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        for (file, part) in [
            ("log: info,=?=\n", "line 1:6: log: log filter"),
            ("controls: []\nusd_per_day: -1\n", "line 2:14: usd_per_day: -1 is not an amount"),
            ("usd_per_dya: 1\n", "did you mean `usd_per_day`?"),
        ] {
            let found = of(&[], file).unwrap_err();
            assert!(found.contains(part), "{file}\n{found}");
        }
    }
}
