//! The caller's routing preferences: the `provider` object of the dialect, typed. What they mean for a
//! plan is decided elsewhere.
//!
//! A field nobody knows is refused: a misspelt constraint must not silently become none.

use crate::json::{Kind, Scanner};
use crate::pico;

use super::BadRequest;
use super::read::{boolean, must_be, names, present, text};

/// Most names in one of the lists: more than any catalog has providers for one model.
pub const MAX_NAMES: usize = 64;

/// The `provider` object.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderPreferences {
    /// Providers to try first, in this order.
    pub order: Vec<String>,
    /// The only providers allowed; an empty list allows none.
    pub only: Option<Vec<String>>,
    /// Providers not to use.
    pub ignore: Vec<String>,
    /// Whether providers outside `order` may be tried; true unless the caller says no.
    pub allow_fallbacks: bool,
    /// Whether an endpoint must support every parameter in the body; false unless asked.
    pub require_parameters: bool,
    /// Whether the provider may keep the data for training.
    pub data_collection: Option<DataCollection>,
    /// Only endpoints with zero data retention; false unless asked.
    pub zdr: bool,
    /// The quantizations allowed; empty allows any.
    pub quantizations: Vec<String>,
    /// What to sort by, instead of balancing.
    pub sort: Option<Sort>,
    /// Throughput below which an endpoint is deprioritised, in tokens per second.
    pub preferred_min_throughput: Option<Percentiles>,
    /// Latency above which an endpoint is deprioritised, in seconds.
    pub preferred_max_latency: Option<Percentiles>,
    /// The most the call may cost; hard.
    pub max_price: Option<MaxPrice>,
}

/// May the provider keep the data?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataCollection {
    /// Any provider will do.
    Allow,
    /// Only providers that do not keep the data.
    Deny,
}

/// An explicit order of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// What to sort by.
    pub by: SortBy,
    /// Within what to sort.
    pub partition: Partition,
}

/// What endpoints are sorted by, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// The cheapest.
    Price,
    /// The most tokens per second.
    Throughput,
    /// The shortest time to the first token.
    Latency,
}

/// Whether the models of a request are sorted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Partition {
    /// Each model's endpoints are sorted among themselves (`"model"`).
    #[default]
    Model,
    /// All models' endpoints are sorted together (`"none"`).
    None,
}

/// A wish for one or more percentiles; a bare number is the median, which alone is looked at so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<f64>,
    /// The 75th percentile.
    pub p75: Option<f64>,
    /// The 90th percentile.
    pub p90: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

/// The dearest prices allowed, in pico-USD (10⁻¹² USD). What lies between two is rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MaxPrice {
    /// Per prompt token; written as USD per million tokens.
    pub prompt_pico_usd: Option<u64>,
    /// Per generated token; written as USD per million tokens.
    pub completion_pico_usd: Option<u64>,
    /// Per request; written in USD.
    pub request_pico_usd: Option<u64>,
    /// Per image; written in USD.
    pub image_pico_usd: Option<u64>,
}

impl Default for ProviderPreferences {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            only: None,
            ignore: Vec::new(),
            allow_fallbacks: true,
            require_parameters: false,
            data_collection: None,
            zdr: false,
            quantizations: Vec::new(),
            sort: None,
            preferred_min_throughput: None,
            preferred_max_latency: None,
            max_price: None,
        }
    }
}

/// Reads the `provider` object; `None` for `null`.
pub(super) fn read(scan: &mut Scanner<'_>) -> Result<Option<ProviderPreferences>, BadRequest> {
    if !present(scan, "provider", Kind::Object, "an object")? {
        return Ok(None);
    }
    let mut found = ProviderPreferences::default();
    let mut seen = Vec::new();
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        let key = key.name();
        if seen.contains(&key) {
            return Err(must_be("provider", "an object whose fields are sent once"));
        }
        read_field(scan, &key, &mut found)?;
        seen.push(key);
    }
    Ok(Some(found))
}

fn read_field(
    scan: &mut Scanner<'_>,
    key: &str,
    to: &mut ProviderPreferences,
) -> Result<(), BadRequest> {
    let list = |scan: &mut Scanner<'_>, param| names(scan, param, MAX_NAMES);
    match key {
        "order" => to.order = list(scan, "provider.order")?.unwrap_or_default(),
        "only" => to.only = list(scan, "provider.only")?,
        "ignore" => to.ignore = list(scan, "provider.ignore")?.unwrap_or_default(),
        "allow_fallbacks" => {
            to.allow_fallbacks = boolean(scan, "provider.allow_fallbacks")?.unwrap_or(true);
        }
        "require_parameters" => {
            to.require_parameters = boolean(scan, "provider.require_parameters")?.unwrap_or(false);
        }
        "data_collection" => to.data_collection = data_collection(scan)?,
        "zdr" => to.zdr = boolean(scan, "provider.zdr")?.unwrap_or(false),
        "quantizations" => {
            to.quantizations = list(scan, "provider.quantizations")?.unwrap_or_default();
        }
        "sort" => to.sort = sort(scan)?,
        "preferred_min_throughput" => {
            to.preferred_min_throughput = percentiles(scan, "provider.preferred_min_throughput")?;
        }
        "preferred_max_latency" => {
            to.preferred_max_latency = percentiles(scan, "provider.preferred_max_latency")?;
        }
        "max_price" => to.max_price = max_price(scan)?,
        _ => return Err(must_be("provider", KNOWN_FIELDS)),
    }
    Ok(())
}

const KNOWN_FIELDS: &str = "an object of order, only, ignore, allow_fallbacks, require_parameters, \
     data_collection, zdr, quantizations, sort, preferred_min_throughput, preferred_max_latency and \
     max_price; it holds a field with another name";

fn data_collection(scan: &mut Scanner<'_>) -> Result<Option<DataCollection>, BadRequest> {
    let param = "provider.data_collection";
    match text(scan, param)?.as_deref() {
        None => Ok(None),
        Some("allow") => Ok(Some(DataCollection::Allow)),
        Some("deny") => Ok(Some(DataCollection::Deny)),
        Some(_) => Err(must_be(param, "\"allow\" or \"deny\"")),
    }
}

fn sort(scan: &mut Scanner<'_>) -> Result<Option<Sort>, BadRequest> {
    let param = "provider.sort";
    match scan.kind()? {
        Kind::Null | Kind::String => {
            let by = sort_by(scan, param)?;
            return Ok(by.map(|by| Sort { by, partition: Partition::default() }));
        }
        Kind::Object => scan.enter_object()?,
        _ => return Err(must_be(param, "a string or an object of `by` and `partition`")),
    }
    let (mut by, mut partition) = (None, Partition::default());
    while let Some(key) = scan.next_key()? {
        match &*key.name() {
            "by" => by = sort_by(scan, "provider.sort.by")?,
            "partition" => partition = read_partition(scan)?,
            _ => return Err(must_be(param, "a string or an object of `by` and `partition`")),
        }
    }
    Ok(by.map(|by| Sort { by, partition }))
}

fn sort_by(scan: &mut Scanner<'_>, param: &str) -> Result<Option<SortBy>, BadRequest> {
    match text(scan, param)?.as_deref() {
        None => Ok(None),
        Some("price") => Ok(Some(SortBy::Price)),
        Some("throughput") => Ok(Some(SortBy::Throughput)),
        Some("latency") => Ok(Some(SortBy::Latency)),
        Some(_) => Err(must_be(param, "\"price\", \"throughput\" or \"latency\"")),
    }
}

fn read_partition(scan: &mut Scanner<'_>) -> Result<Partition, BadRequest> {
    let param = "provider.sort.partition";
    match text(scan, param)?.as_deref() {
        None | Some("model") => Ok(Partition::Model),
        Some("none") => Ok(Partition::None),
        Some(_) => Err(must_be(param, "\"model\" or \"none\"")),
    }
}

fn percentiles(scan: &mut Scanner<'_>, param: &str) -> Result<Option<Percentiles>, BadRequest> {
    let expected = "a number above zero, or an object of p50, p75, p90 and p99";
    match scan.kind()? {
        Kind::Null | Kind::Number => {
            let median = positive(scan, param)?;
            return Ok(median.map(|p50| Percentiles { p50: Some(p50), ..Percentiles::default() }));
        }
        Kind::Object => scan.enter_object()?,
        _ => return Err(must_be(param, expected)),
    }
    let mut found = Percentiles::default();
    while let Some(key) = scan.next_key()? {
        let place = match &*key.name() {
            "p50" => &mut found.p50,
            "p75" => &mut found.p75,
            "p90" => &mut found.p90,
            "p99" => &mut found.p99,
            _ => return Err(must_be(param, expected)),
        };
        *place = positive(scan, param)?;
    }
    Ok(Some(found))
}

fn positive(scan: &mut Scanner<'_>, param: &str) -> Result<Option<f64>, BadRequest> {
    let expected = "a number above zero";
    if !present(scan, param, Kind::Number, expected)? {
        return Ok(None);
    }
    match scan.number()?.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(Some(number)),
        _ => Err(must_be(param, expected)),
    }
}

fn max_price(scan: &mut Scanner<'_>) -> Result<Option<MaxPrice>, BadRequest> {
    let param = "provider.max_price";
    let expected = "an object of prompt, completion, request and image";
    if !present(scan, param, Kind::Object, expected)? {
        return Ok(None);
    }
    let mut found = MaxPrice::default();
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        // USD per million tokens is 10^6 pico-USD per token; USD is 10^12 pico-USD.
        let (place, digits) = match &*key.name() {
            "prompt" => (&mut found.prompt_pico_usd, 6),
            "completion" => (&mut found.completion_pico_usd, 6),
            "request" => (&mut found.request_pico_usd, 12),
            "image" => (&mut found.image_pico_usd, 12),
            _ => return Err(must_be(param, expected)),
        };
        *place = price(scan, param, digits)?;
    }
    Ok(Some(found))
}

/// A number, or a string that holds one.
fn price(scan: &mut Scanner<'_>, param: &str, digits: u32) -> Result<Option<u64>, BadRequest> {
    let expected = "an object of prices: numbers, or strings that hold one, zero or more";
    let found = match scan.kind()? {
        Kind::Null => {
            scan.null()?;
            return Ok(None);
        }
        Kind::Number => pico::parse_scaled(scan.number()?, digits),
        Kind::String => pico::parse_scaled(&scan.string()?.name(), digits),
        _ => None,
    };
    found.map(Some).ok_or_else(|| must_be(param, expected))
}
