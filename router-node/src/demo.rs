//! `router-node demo`: a scripted tour.

use trunkline_runtime::BoxError;

use crate::config::DemoArgs;

/// Runs the tour.
///
/// # Errors
/// When anything did not go as promised.
pub async fn run(_args: DemoArgs) -> Result<(), BoxError> {
    Ok(())
}
