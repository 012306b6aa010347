//! The admin API.
use crate::pipeline::Router;
use std::sync::Arc;
use trunkline_store::port::Store;
/// Stub.
pub fn routes(_: Arc<Router>, _: Arc<dyn Store>) -> tonic::service::Routes {
    tonic::service::Routes::default()
}
