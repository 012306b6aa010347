//! Watching: the state of the cluster again and again, for as long as whoever asks may see it and this router stays.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Status};
use trunkline_proto::admin::v1::{
    GetStatusRequest, GetStatusResponse, WatchStatusRequest, WatchStatusResponse,
};

use super::access::Standing;
use super::{Admin, refusal, status};

/// Between two states at least: each costs two reads of the store, and eyes are no faster.
const SETTLE: Duration = Duration::from_millis(250);
/// Between two states at most: latency and calls in flight move without news from the store.
const BEAT: Duration = Duration::from_secs(1);

/// States, as they come.
pub type Statuses = Pin<Box<dyn Stream<Item = Result<WatchStatusResponse, Status>> + Send>>;

/// The state now, and from now on.
///
/// # Errors
/// When the target cannot be read. The stream ends with an error when the caller is not let in any more, or when
/// this router leaves.
pub fn status(admin: &Admin, request: Request<WatchStatusRequest>) -> Result<Statuses, Status> {
    let standing = request.extensions().get::<Standing>().cloned();
    let standing = standing.ok_or_else(refusal::not_admitted)?;
    let asked = GetStatusRequest { target: request.into_inner().target };
    status::wanted(&asked)?;
    let (admin, news) = (admin.clone(), admin.router.heard.news());
    let watcher = Watcher { admin, standing, asked, news, last: None };
    Ok(Box::pin(stream::try_unfold(watcher, Watcher::next)))
}

/// Somebody who watches. Nothing happens between two of their reads.
struct Watcher {
    admin: Admin,
    standing: Standing,
    asked: GetStatusRequest,
    news: Receiver<()>,
    last: Option<Instant>,
}

impl Watcher {
    async fn next(mut self) -> Result<Option<(WatchStatusResponse, Self)>, Status> {
        let leaving = self.admin.leaving.clone();
        tokio::select! {
            () = leaving.wait() => Err(refusal::leaving()),
            status = self.status() => Ok(Some((WatchStatusResponse { status: Some(status?) }, self))),
        }
    }

    async fn status(&mut self) -> Result<GetStatusResponse, Status> {
        if let Some(last) = self.last {
            sleep_until(last + SETTLE).await;
            tokio::select! {
                Ok(()) = self.news.changed() => {}
                () = sleep_until(last + BEAT) => {}
            }
        }
        self.news.mark_unchanged();
        self.last = Some(Instant::now());
        status::answer(&self.admin, &self.standing.admit()?, &self.asked).await
    }
}
