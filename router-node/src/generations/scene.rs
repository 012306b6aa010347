//! What decisions saw of the endpoints they chose among, shared by all decisions that saw the same. Views come
//! several times a second and most calls ask for few models, so that a scene usually serves many records.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use trunkline_core::id::ModelId;
use trunkline_core::replay::Excerpt;
use trunkline_core::snapshot::{EndpointState, Snapshot};

use crate::view::View;

/// Scenes that are looked at before another one is made. Calls that end now were decided under the last few
/// views, long streams under older ones.
const RECENT: usize = 32;

/// The excerpt of one view that decided over calls for some models.
pub(super) struct Scene {
    /// Policy and endpoints.
    pub(super) excerpt: Excerpt,
    /// Each endpoint's name and id, in the excerpt's order.
    pub(super) names: Vec<(Arc<str>, Arc<str>)>,
    _held: Held,
}

impl Scene {
    /// One that was read back; `bytes` counts what scenes take.
    pub(super) fn read(snapshot: Snapshot, bytes: &Arc<AtomicUsize>) -> Self {
        let name = |state: &EndpointState| {
            (Arc::from(state.endpoint.name()), Arc::from(state.endpoint.id.as_str()))
        };
        let names = snapshot.endpoints.iter().map(name).collect();
        Self::new(Excerpt::whole(snapshot), names, bytes)
    }

    fn of(view: &View, excerpt: Excerpt, bytes: &Arc<AtomicUsize>) -> Self {
        let lane = |at: usize| {
            let lane = view.lanes.get(at);
            lane.map(|lane| (Arc::clone(&lane.name), Arc::clone(&lane.id))).unwrap_or_default()
        };
        let names = excerpt.positions().map(lane).collect();
        Self::new(excerpt, names, bytes)
    }

    fn new(excerpt: Excerpt, names: Vec<(Arc<str>, Arc<str>)>, bytes: &Arc<AtomicUsize>) -> Self {
        let texts = |state: &EndpointState| {
            let endpoint = &state.endpoint;
            let parameters = endpoint.parameters.iter().map(|p| p.len() + size_of::<String>());
            endpoint.upstream_model.len() + parameters.sum::<usize>()
        };
        let one = size_of::<EndpointState>() + size_of::<(Arc<str>, Arc<str>)>();
        let endpoints = &excerpt.snapshot.endpoints;
        let size = size_of::<Self>() + endpoints.iter().map(|e| one + texts(e)).sum::<usize>();
        bytes.fetch_add(size, Relaxed);
        Self { excerpt, names, _held: Held { size, bytes: Arc::clone(bytes) } }
    }

    /// An endpoint's state and names by its position in the excerpt.
    pub(super) fn endpoint(&self, at: usize) -> Option<(&EndpointState, &Arc<str>, &Arc<str>)> {
        let (name, id) = self.names.get(at)?;
        Some((self.excerpt.snapshot.endpoints.get(at)?, name, id))
    }
}

/// Counts what a scene takes for as long as a record needs it.
struct Held {
    size: usize,
    bytes: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.size, Relaxed);
    }
}

/// The last scenes.
#[derive(Default)]
pub(super) struct Scenes {
    recent: VecDeque<Known>,
    bytes: Arc<AtomicUsize>,
}

struct Known {
    view: Weak<View>,
    models: Vec<ModelId>,
    scene: Arc<Scene>,
}

impl Scenes {
    /// Scenes whose memory is counted in `bytes`.
    pub(super) fn counted(bytes: Arc<AtomicUsize>) -> Self {
        Self { recent: VecDeque::new(), bytes }
    }

    /// What a call for these models saw of a view.
    pub(super) fn of(&mut self, view: &Arc<View>, models: &[ModelId]) -> Arc<Scene> {
        let of_models = |known: &&Known| known.models == models;
        let mut known = self.recent.iter().rev().filter(of_models);
        if let Some(known) = known.find(|known| known.view.as_ptr() == Arc::as_ptr(view)) {
            return Arc::clone(&known.scene);
        }
        let excerpt = Excerpt::of(&view.snapshot, models);
        let mut before = self.recent.iter().rev().filter(of_models);
        let same = before.find(|known| known.scene.excerpt.same_as(&excerpt));
        let scene = same.map(|known| Arc::clone(&known.scene));
        let scene = scene.unwrap_or_else(|| Arc::new(Scene::of(view, excerpt, &self.bytes)));
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        let known = Known {
            view: Arc::downgrade(view),
            models: models.to_vec(),
            scene: Arc::clone(&scene),
        };
        self.recent.push_back(known);
        scene
    }
}
