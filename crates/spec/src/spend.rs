//! What the cluster has spent on a key's account, as the store keeps it: JSON for people to read. All routers add
//! to the one record of a key.

use serde::{Deserialize, Serialize};
use trunkline_core::money::PicoUsd;
use trunkline_core::policy::Spent;

use crate::observation::RecordError;

/// The longest record read, in bytes; ours have some 150.
const MAX_RECORD_BYTES: usize = 4_096;

/// Amounts in 10⁻¹² USD, in the windows that held a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SpendRecord {
    at_ms: u64,
    day_pico_usd: u64,
    week_pico_usd: u64,
    month_pico_usd: u64,
    lifetime_pico_usd: u64,
}

/// The bytes of a record.
pub fn encode(spent: &Spent) -> Vec<u8> {
    let record = SpendRecord {
        at_ms: spent.at_ms,
        day_pico_usd: spent.day.0,
        week_pico_usd: spent.week.0,
        month_pico_usd: spent.month.0,
        lifetime_pico_usd: spent.lifetime.0,
    };
    // Numbers always serialise.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// Reads a record. What a newer release added is passed over.
///
/// # Errors
/// [`RecordError::Json`] for anything else than such JSON, [`RecordError::Range`] for far too much of it.
pub fn decode(bytes: &[u8]) -> Result<Spent, RecordError> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(RecordError::Range { field: "the record's length" });
    }
    let record: SpendRecord =
        serde_json::from_slice(bytes).map_err(|e| RecordError::Json(e.to_string()))?;
    Ok(Spent {
        at_ms: record.at_ms,
        day: PicoUsd(record.day_pico_usd),
        week: PicoUsd(record.week_pico_usd),
        month: PicoUsd(record.month_pico_usd),
        lifetime: PicoUsd(record.lifetime_pico_usd),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_others_are_not() {
        let spent = Spent::default().plus(PicoUsd(7), 1_795_651_200_000);
        assert_eq!(decode(&encode(&spent)).unwrap(), spent);
        assert!(decode(b"null").is_err());
        assert!(decode(&vec![b' '; MAX_RECORD_BYTES + 1]).is_err());
    }
}
