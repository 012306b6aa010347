//! Routing preferences → the `provider` object of the JSON dialect. Checks
//! only that each can be written; whether it makes sense is the router's word.

use trunkline_proto::inference::v1::{
    DataCollection, MaxPrice, PercentileThresholds, ProviderPreferences, ProviderSort, SortBy,
    SortPartition,
};

use super::BadField;
use super::object::Object;

/// Appends the `provider` object.
pub(super) fn write(given: &ProviderPreferences, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, given.extra.as_ref());
    object.put_list("order", &given.order)?;
    object.put_list("only", &given.only)?;
    object.put_list("ignore", &given.ignore)?;
    object.put_if_set("allow_fallbacks", &given.allow_fallbacks)?;
    object.put_if_set("require_parameters", &given.require_parameters)?;
    object.put_if_set("data_collection", &data_collection(given.data_collection)?)?;
    object.put_if_set("zdr", &given.zdr)?;
    object.put_list("quantizations", &given.quantizations)?;
    if let Some(sort) = &given.sort {
        write_sort(sort, object.key("sort")).map_err(|bad| bad.within("sort"))?;
    }
    let thresholds = [
        ("preferred_min_throughput", &given.preferred_min_throughput),
        ("preferred_max_latency", &given.preferred_max_latency),
    ];
    for (name, given) in thresholds {
        if let Some(given) = given {
            write_thresholds(given, object.key(name)).map_err(|bad| bad.within(name))?;
        }
    }
    if let Some(price) = &given.max_price {
        write_price(price, object.key("max_price")).map_err(|bad| bad.within("max_price"))?;
    }
    object.end()
}

fn data_collection(given: i32) -> Result<Option<&'static str>, BadField> {
    match DataCollection::try_from(given) {
        Ok(DataCollection::Unspecified) => Ok(None),
        Ok(DataCollection::Allow) => Ok(Some("allow")),
        Ok(DataCollection::Deny) => Ok(Some("deny")),
        Err(_) => Err(BadField::new("data_collection", "is not a known value")),
    }
}

fn write_sort(sort: &ProviderSort, out: &mut Vec<u8>) -> Result<(), BadField> {
    let by = match SortBy::try_from(sort.by) {
        Ok(SortBy::Price) => "price",
        Ok(SortBy::Throughput) => "throughput",
        Ok(SortBy::Latency) => "latency",
        Ok(SortBy::Unspecified) => return Err(BadField::new("by", "is required")),
        Err(_) => return Err(BadField::new("by", "is not a known value")),
    };
    let partition = match SortPartition::try_from(sort.partition) {
        Ok(SortPartition::Unspecified) => None,
        Ok(SortPartition::Model) => Some("model"),
        Ok(SortPartition::None) => Some("none"),
        Err(_) => return Err(BadField::new("partition", "is not a known value")),
    };
    let mut object = Object::begin(out, None);
    object.put_text("by", by);
    object.put_if_set("partition", &partition)?;
    object.end()
}

fn write_thresholds(given: &PercentileThresholds, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, None);
    object.put_number("p50", given.p50)?;
    object.put_number("p75", given.p75)?;
    object.put_number("p90", given.p90)?;
    object.put_number("p99", given.p99)?;
    object.end()
}

fn write_price(given: &MaxPrice, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, None);
    object.put_number("prompt", given.prompt)?;
    object.put_number("completion", given.completion)?;
    object.put_number("request", given.request)?;
    object.put_number("image", given.image)?;
    object.end()
}
