//! The inference service: each call's message to the dialect, through the pipeline, and back.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use trunkline_proto::inference::v1::inference_service_server::InferenceService;
use trunkline_proto::inference::v1::{
    ChatRequest, ChatResponse, ChatStreamRequest, EmbedRequest, EmbedResponse, ExplainRouteRequest,
    ExplainRouteResponse, GetGenerationRequest, GetGenerationResponse, ListEndpointsRequest,
    ListEndpointsResponse, ListModelsRequest, ListModelsResponse,
};
use trunkline_wire::operation::Operation;

use super::call::{Answered, Call, decision_of, refused};
use super::caller::Caller;
use super::events::Events;
use super::transcode::request::{Reply, chat_body, embed_body};
use super::transcode::{BadField, response, status};
use super::{catalog, explain, generation, served_by};
use crate::auth::KeyHolder;
use crate::ingress::pages;
use crate::pipeline::Router;
use crate::view::View;

/// The inference service of one router.
#[derive(Clone)]
pub struct Inference {
    router: Arc<Router>,
}

impl Inference {
    /// The service in front of a pipeline.
    pub fn new(router: Arc<Router>) -> Self {
        Self { router }
    }

    fn open<T>(&self, operation: Operation, request: Request<T>) -> (Call, T) {
        let (metadata, extensions, message) = request.into_parts();
        (Call::open(&self.router, operation, Caller::new(metadata, &extensions)), message)
    }

    /// Who asks, and the view to answer from.
    fn authenticate<T>(
        &self,
        request: Request<T>,
    ) -> Result<(Arc<View>, Arc<KeyHolder>, T), Status> {
        let (metadata, extensions, message) = request.into_parts();
        let view = self.router.view.load_full();
        let caller = Caller::new(metadata, &extensions);
        let holder = view.keyring.authenticate(caller.credential(), caller.peer());
        let holder = holder.map_err(|r| refused(&r))?;
        Ok((view, holder, message))
    }
}

#[tonic::async_trait]
impl InferenceService for Inference {
    async fn chat(&self, request: Request<ChatRequest>) -> Result<Response<ChatResponse>, Status> {
        let (call, mut chat) = self.open(Operation::Chat, request);
        let tags = std::mem::take(&mut chat.tags);
        let body = chat_body(&chat, Reply::Whole);
        let explain = chat.explain;
        // A long prompt is not held twice while the provider works.
        drop(chat);
        let Answered { ids, answer: (answer, from) } = call.whole(body, tags).await?;
        let mut message = response::chat(&answer)
            .map_err(|bad| ids.refuse(&self.router, status::from_undecodable(&bad)))?;
        message.generation_id.clone_from(&ids.generation);
        served_by::name(from.as_str(), &mut message.provider, &mut message.extra);
        if explain {
            message.decision = decision_of(&self.router, &ids.generation).await;
        }
        Ok(ids.answer(&self.router, message))
    }

    type ChatStreamStream = Events;

    async fn chat_stream(
        &self,
        request: Request<ChatStreamRequest>,
    ) -> Result<Response<Events>, Status> {
        let (call, message) = self.open(Operation::Chat, request);
        let mut chat = message.chat.unwrap_or_default();
        let tags = std::mem::take(&mut chat.tags);
        let body = chat_body(&chat, Reply::Streamed).map_err(|bad| bad.within("chat"));
        let explain = chat.explain;
        drop(chat);
        let Answered { ids, answer } = call.streamed(body, tags).await?;
        let events = Events::new(answer, ids.generation.clone());
        let router = Arc::clone(&self.router);
        let events = if explain { events.explained(router) } else { events };
        Ok(ids.answer(&self.router, events))
    }

    async fn embed(
        &self,
        request: Request<EmbedRequest>,
    ) -> Result<Response<EmbedResponse>, Status> {
        let (call, mut embed) = self.open(Operation::Embedding, request);
        let tags = std::mem::take(&mut embed.tags);
        let body = embed_body(&embed);
        let explain = embed.explain;
        drop(embed);
        let Answered { ids, answer: (answer, from) } = call.whole(body, tags).await?;
        let mut message = response::embed(&answer)
            .map_err(|bad| ids.refuse(&self.router, status::from_undecodable(&bad)))?;
        message.generation_id.clone_from(&ids.generation);
        served_by::name(from.as_str(), &mut message.provider, &mut message.extra);
        if explain {
            message.decision = decision_of(&self.router, &ids.generation).await;
        }
        Ok(ids.answer(&self.router, message))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        let (view, holder, _) = self.authenticate(request)?;
        let models = pages::models(&view, &holder);
        let models = models.into_iter().map(catalog::model_message).collect();
        Ok(Response::new(ListModelsResponse { models }))
    }

    async fn list_endpoints(
        &self,
        request: Request<ListEndpointsRequest>,
    ) -> Result<Response<ListEndpointsResponse>, Status> {
        let (view, holder, ListEndpointsRequest { model }) = self.authenticate(request)?;
        let page = pages::endpoints(&view, &holder, &model).map_err(|r| refused(&r))?;
        let models = pages::models(&view, &holder);
        let model = models.into_iter().find(|m| m.id == page.id).map(catalog::model_message);
        let endpoints = catalog::endpoints(&view.snapshot, &page);
        let revision = catalog::signed(view.snapshot.revision);
        Ok(Response::new(ListEndpointsResponse { model, endpoints, revision }))
    }

    async fn get_generation(
        &self,
        request: Request<GetGenerationRequest>,
    ) -> Result<Response<GetGenerationResponse>, Status> {
        let (_, holder, GetGenerationRequest { id }) = self.authenticate(request)?;
        if id.is_empty() {
            let bad = BadField { field: "id".to_owned(), description: "is required".to_owned() };
            return Err(status::from_bad_field(&bad));
        }
        let found = pages::find_generation(&self.router, &id, &holder).await;
        let found = found.map_err(|r| refused(&r))?;
        let generation = Some(generation::generation_message(&found));
        Ok(Response::new(GetGenerationResponse { generation }))
    }

    async fn explain_route(
        &self,
        request: Request<ExplainRouteRequest>,
    ) -> Result<Response<ExplainRouteResponse>, Status> {
        let (view, holder, message) = self.authenticate(request)?;
        let decision = explain::explain(&self.router, &view, &holder, message)?;
        Ok(Response::new(ExplainRouteResponse { decision: Some(decision) }))
    }
}
