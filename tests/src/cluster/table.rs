//! What one router's admin API shows of its table, as an operator would see it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use trunkline_proto::admin::v1::admin_service_client::AdminServiceClient;
use trunkline_proto::admin::v1::{
    EndpointStatus, GetStatusRequest, ListEndpointsRequest, RouterStatus,
};

use crate::router::{KEY, Router};

/// The table of one router.
#[derive(Clone)]
pub struct Table {
    client: AdminServiceClient<Channel>,
}

impl Table {
    /// The table of a router.
    #[must_use]
    pub fn of(router: &Router) -> Self {
        Self::at(router.admin)
    }

    /// The table of the router whose admin API is there. Nothing is connected yet.
    ///
    /// # Panics
    /// Never: an address makes a URL.
    #[must_use]
    pub fn at(admin: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{admin}")).expect("an address");
        Self { client: AdminServiceClient::new(endpoint.connect_lazy()) }
    }

    /// The row of a provider's first endpoint. It comes from the view that calls are served from.
    ///
    /// # Panics
    /// When there is none.
    pub async fn row(&self, provider: &str) -> EndpointStatus {
        let (_, row) = self.look(provider).await;
        row.expect("a provider in the catalog")
    }

    /// The revision that is applied.
    ///
    /// # Panics
    /// When the router does not answer.
    pub async fn revision(&self) -> u64 {
        // No provider has this name: only the revision is wanted.
        self.look("-").await.0
    }

    async fn look(&self, provider: &str) -> (u64, Option<EndpointStatus>) {
        let asked = ListEndpointsRequest {
            page_size: 1,
            provider: provider.to_owned(),
            ..ListEndpointsRequest::default()
        };
        let mut client = self.client.clone();
        let answer = client.list_endpoints(signed(asked)).await.expect("a router that answers");
        let answer = answer.into_inner();
        let row = answer.endpoints.into_iter().next().and_then(|entry| entry.status);
        (u64::try_from(answer.revision).unwrap_or_default(), row)
    }

    /// What the router says of itself: its revision, and its table's digest.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn status(&self) -> RouterStatus {
        // One endpoint is enough: the digest is that of the whole table anyway.
        let asked = GetStatusRequest { target: "provider/-".to_owned() };
        let mut client = self.client.clone();
        let answer = client.get_status(signed(asked)).await.expect("a router that answers");
        let answer = answer.into_inner();
        let own = |router: &RouterStatus| router.router_id == answer.answered_by;
        answer.routers.into_iter().find(own).expect("a router knows itself")
    }
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let key = MetadataValue::try_from(format!("Bearer {KEY}")).expect("a key is visible text");
    request.metadata_mut().insert("authorization", key);
    request
}

/// All digests that were seen, by revision.
#[derive(Debug, Default)]
pub struct Digests(BTreeMap<i64, String>);

impl Digests {
    /// Takes one in and returns it.
    ///
    /// # Panics
    /// When another was seen at the same revision.
    pub fn note(&mut self, status: &RouterStatus) -> String {
        let seen = self.0.entry(status.applied_revision).or_insert(status.table_digest.clone());
        assert_eq!(*seen, status.table_digest, "at revision {}", status.applied_revision);
        status.table_digest.clone()
    }
}
