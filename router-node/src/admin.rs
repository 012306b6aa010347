//! The admin API.
use std::sync::Arc;
use trunkline_store::port::Store;
use crate::pipeline::Router;
/// Stub.
pub fn routes(_: Arc<Router>, _: Arc<dyn Store>) -> tonic::service::Routes { tonic::service::Routes::default() }
