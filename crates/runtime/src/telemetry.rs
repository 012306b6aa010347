//! Sets up logs and the metrics recorder of a process. It names no metric and chooses no label:
//! the programs' own `telemetry.rs` do.

use std::io::{self, IsTerminal};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::log_sink::{LineGuard, LineWriter};
use crate::{BoxError, panics};

/// Log bytes that may wait for a slow terminal or pipe: some ten thousand lines.
const LOG_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// How often histograms are folded and stale series dropped. Without it they grow until scraped.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// [`LogFormat::Text`] on a terminal, [`LogFormat::Json`] elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter is not understood.
    #[error("log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The log is gone.
    #[error("log filter: {0}")]
    Gone(#[from] reload::Error),
    /// The log thread could not be started.
    #[error("log thread: {0}")]
    Thread(#[from] io::Error),
    /// Logs or metrics are set up already in this process.
    #[error("{0} are set up already")]
    Twice(&'static str),
    /// A histogram was given without bucket bounds.
    #[error("buckets of {metric}: {source}")]
    Buckets {
        /// The histogram's name.
        metric: String,
        /// What the recorder said.
        source: BuildError,
    },
}

/// The log of a process. Keep it until the end of `main`: dropping it writes the last lines.
#[derive(Debug)]
pub struct Logs {
    lines: LineWriter,
    filter: LogFilter,
    _guard: LineGuard,
}

/// Which lines are written, for as long as the process runs. Clones change the same.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Takes other directives, as [`init_logs`] does.
    ///
    /// # Errors
    /// Directives that cannot be parsed; then the old ones stay.
    pub fn set(&self, directives: &str) -> Result<(), TelemetryError> {
        let filter = parsed(directives)?;
        Ok(self.0.reload(filter)?)
    }
}

/// Whether lines of level info are written at present: for those that are formatted without `tracing`. It costs
/// one look at a number.
#[must_use]
pub fn info_is_logged() -> bool {
    LevelFilter::current() >= LevelFilter::INFO
}

impl Logs {
    /// Where the log goes, for lines that are formatted already: a handle, cheap to clone.
    #[must_use]
    pub fn lines(&self) -> LineWriter {
        self.lines.clone()
    }

    /// Changes which lines are written.
    #[must_use]
    pub fn filter(&self) -> LogFilter {
        self.filter.clone()
    }
}

/// Sends what `tracing` reports to standard error, through a thread and a bounded buffer; and with it what may be
/// told of panics.
///
/// `filter` is a list of directives such as `info` or `info,h2=warn`.
///
/// # Errors
/// A filter that cannot be parsed, a thread that cannot be started, a second call in one process.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<Logs, TelemetryError> {
    let (filter, handle) = reload::Layer::new(parsed(filter)?);
    let terminal = io::stderr().is_terminal();
    let (lines, guard) = LineWriter::start("log", io::stderr(), LOG_BUFFER_BYTES)?;
    let text = fmt::layer().with_writer(lines.clone()).with_ansi(terminal);
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let layer =
        if json { text.with_ansi(false).json().flatten_event(true).boxed() } else { text.boxed() };
    let set = tracing_subscriber::registry().with(filter).with(layer).try_init();
    set.map_err(|_| TelemetryError::Twice("logs"))?;
    panics::to_log(lines.clone());
    Ok(Logs { lines, filter: LogFilter(handle), _guard: guard })
}

/// Whether a filter can be parsed.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(directives: &str) -> Result<(), TelemetryError> {
    parsed(directives).map(|_| ())
}

fn parsed(directives: &str) -> Result<EnvFilter, TelemetryError> {
    Ok(EnvFilter::builder().parse(directives)?)
}

/// Installs the process-wide metrics recorder. `buckets` gives each histogram its upper bounds;
/// a histogram without bounds becomes a summary.
///
/// # Errors
/// Empty bounds, a second call in one process.
pub fn init_metrics(buckets: &[(&str, &[f64])]) -> Result<MetricsHandle, TelemetryError> {
    let recorder = builder(buckets)?.build_recorder();
    let handle = MetricsHandle(recorder.handle());
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Twice("metrics"))?;
    Ok(handle)
}

fn builder(buckets: &[(&str, &[f64])]) -> Result<PrometheusBuilder, TelemetryError> {
    let mut builder = PrometheusBuilder::new();
    for (metric, bounds) in buckets {
        let matcher = Matcher::Full((*metric).to_owned());
        builder = builder
            .set_buckets_for_metric(matcher, bounds)
            .map_err(|source| TelemetryError::Buckets { metric: (*metric).to_owned(), source })?;
    }
    Ok(builder)
}

/// Reads the process-wide metrics. Clones read the same.
#[derive(Clone, Debug)]
pub struct MetricsHandle(PrometheusHandle);

impl MetricsHandle {
    /// All series in Prometheus' text format. It takes milliseconds when there are thousands.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what was recorded since the last time. Call it every few seconds, or let
    /// [`MetricsHandle::keep_up`] do it.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }

    /// Does the upkeep every five seconds for as long as the process lives: start it as a companion
    /// ([`crate::Tasks::spawn_companion`]).
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn keep_up(self) -> Result<(), BoxError> {
        let mut ticks = tokio::time::interval(UPKEEP_PERIOD);
        loop {
            ticks.tick().await;
            self.upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics::{Key, Label, Level, Metadata, Recorder};

    use super::*;

    const META: Metadata<'static> = Metadata::new("test", Level::INFO, None);

    #[test]
    fn histograms_have_their_own_buckets() {
        let recorder = builder(&[("wait_seconds", &[0.1, 1.0])]).unwrap().build_recorder();
        let handle = MetricsHandle(recorder.handle());
        let histogram = recorder.register_histogram(&Key::from_name("wait_seconds"), &META);
        histogram.record(0.5);
        let key = Key::from_parts("calls_total", vec![Label::new("kind", "good")]);
        recorder.register_counter(&key, &META).increment(3);
        handle.upkeep();
        let text = handle.render();
        assert!(text.contains("calls_total{kind=\"good\"} 3"), "{text}");
        assert!(text.contains("wait_seconds_bucket{le=\"0.1\"} 0"), "{text}");
        assert!(text.contains("wait_seconds_bucket{le=\"1\"} 1"), "{text}");
    }

    #[test]
    fn empty_bounds_are_refused_by_name() {
        let error = builder(&[("wait_seconds", &[])]).unwrap_err();
        assert!(error.to_string().starts_with("buckets of wait_seconds"), "{error}");
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        let error = init_logs(LogFormat::Json, "info,=?=").unwrap_err();
        assert!(matches!(error, TelemetryError::Filter(_)), "{error}");
    }
}
