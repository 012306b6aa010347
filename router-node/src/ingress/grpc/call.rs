//! One call from its arrival to its answer in the JSON dialect. What the message says is transcoded before;
//! what the answer says, after.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tonic::Status;
use trunkline_core::id::ProviderId;
use trunkline_proto::inference::v1::Decision;
use trunkline_wire::error::ErrorType;
use trunkline_wire::operation::Operation;

use super::caller::{Caller, Ids};
use super::decision;
use super::transcode::{BadField, status};
use crate::ledger::{CameBy, OpenRecord};
use crate::pipeline::{self, Answer, Arrival, Router};
use crate::rejection::{Rejection, reject};
use crate::streaming::Streaming;
use crate::traces;

/// Most tags of a message, as of the header over HTTP.
const MAX_TAGS: usize = 16;

/// A call that has arrived; its record is open.
pub struct Call {
    router: Arc<Router>,
    operation: Operation,
    caller: Caller,
    record: OpenRecord,
    /// How to find it again.
    pub ids: Ids,
}

/// What is left of a call once its answer has begun.
pub struct Answered<T> {
    /// How to find it again.
    pub ids: Ids,
    /// The answer.
    pub answer: T,
}

impl Call {
    /// Opens the record of a call.
    pub fn open(router: &Arc<Router>, operation: Operation, caller: Caller) -> Self {
        let mut record = router.ledger.open(operation, CameBy::Grpc, caller.request_id());
        traces::begin(router, caller.headers(), &mut record);
        let ids = Ids::of(router, &record);
        Self { router: Arc::clone(router), operation, caller, record, ids }
    }

    /// Serves a call whose answer comes in one piece.
    ///
    /// # Errors
    /// The status that its caller sees.
    pub async fn whole(
        self,
        body: Result<Vec<u8>, BadField>,
        tags: BTreeMap<String, String>,
    ) -> Result<Answered<(Bytes, ProviderId)>, Status> {
        let router = Arc::clone(&self.router);
        let Answered { ids, answer } = self.serve(body, tags).await?;
        match answer {
            Answer::Whole(body, from) => Ok(Answered { ids, answer: (body, from) }),
            Answer::Stream(_) => Err(ids.refuse(&router, mismatch())),
        }
    }

    /// Serves a call whose answer is streamed.
    ///
    /// # Errors
    /// The status that its caller sees, as long as nothing was sent.
    pub async fn streamed(
        mut self,
        body: Result<Vec<u8>, BadField>,
        tags: BTreeMap<String, String>,
    ) -> Result<Answered<Box<Streaming>>, Status> {
        // Known by the method already, also when nothing else of the call can be read.
        self.record.write(|r| r.stream = true);
        let router = Arc::clone(&self.router);
        let Answered { ids, answer } = self.serve(body, tags).await?;
        match answer {
            Answer::Stream(answer) => Ok(Answered { ids, answer }),
            Answer::Whole(..) => Err(ids.refuse(&router, mismatch())),
        }
    }

    async fn serve(
        self,
        body: Result<Vec<u8>, BadField>,
        tags: BTreeMap<String, String>,
    ) -> Result<Answered<Answer>, Status> {
        let Self { router, operation, caller, record, ids } = self;
        let body = match body {
            Ok(body) => body,
            Err(bad) => {
                record.failed(ErrorType::InvalidRequest);
                return Err(ids.refuse(&router, status::from_bad_field(&bad)));
            }
        };
        let arrival = Arrival {
            operation,
            body: Bytes::from(body),
            credential: caller.credential().cloned(),
            peer: caller.peer(),
            session: caller.session().map(str::to_owned),
            tags: tags.into_iter().take(MAX_TAGS).collect(),
            timeout: caller.timeout(),
            decided: ids.decided.clone(),
            explain: None,
        };
        match pipeline::run(&router, arrival, record).await {
            Ok(answer) => Ok(Answered { ids, answer }),
            Err(rejection) => Err(ids.refuse(&router, status::from_error(&rejection))),
        }
    }
}

/// The pipeline answers in the form that the body asks for; anything else is a defect.
fn mismatch() -> Status {
    refused(&reject(ErrorType::Internal, "the answer came in another form than was asked for"))
}

/// A rejection as a status.
pub fn refused(rejection: &Rejection) -> Status {
    status::from_error(rejection)
}

/// The decision of a call that has just ended; `None` when its record was dropped under load.
pub async fn decision_of(router: &Router, generation: &str) -> Option<Decision> {
    router.ledger.written().await;
    let generation = router.generations.find(generation)?;
    generation.decision.as_ref().map(decision::message)
}
