//! What decisions saw of the endpoints they chose among, shared by all decisions that saw the same. Views come
//! several times a second and most calls ask for few models, so that a scene usually serves many records.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use trunkline_core::id::ModelId;
use trunkline_core::replay::Excerpt;
use trunkline_core::snapshot::{EndpointState, Snapshot};

use crate::view::View;

/// Views whose scenes are remembered. Calls that end now were decided under the last few, long streams under
/// older ones.
const VIEWS: usize = 16;
/// What remembered scenes may take, needed by records or not; one of 2,000 endpoints takes about a MiB.
const REMEMBERED_BYTES: usize = 8 << 20;

/// The excerpt of one view that decided over calls for some models.
pub(super) struct Scene {
    /// Policy and endpoints.
    pub(super) excerpt: Excerpt,
    /// Each endpoint's name and id, in the excerpt's order.
    pub(super) names: Vec<(Arc<str>, Arc<str>)>,
    held: Held,
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
        Self { excerpt, names, held: Held { size, bytes: Arc::clone(bytes) } }
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

/// The scenes of the last views.
#[derive(Default)]
pub(super) struct Scenes {
    views: VecDeque<OfView>,
    remembered: usize,
    bytes: Arc<AtomicUsize>,
}

/// Those of one view, by the models that were asked for.
struct OfView {
    view: Weak<View>,
    scenes: BTreeMap<Vec<ModelId>, Arc<Scene>>,
}

impl Scenes {
    /// Scenes whose memory is counted in `bytes`.
    pub(super) fn counted(bytes: Arc<AtomicUsize>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// What a call for these models saw of a view.
    pub(super) fn of(&mut self, view: &Arc<View>, models: &[ModelId]) -> Arc<Scene> {
        let mut views = self.views.iter().rev();
        let known = views.find(|known| known.view.as_ptr() == Arc::as_ptr(view));
        if let Some(scene) = known.and_then(|known| known.scenes.get(models)) {
            return Arc::clone(scene);
        }
        let excerpt = Excerpt::of(&view.snapshot, models);
        let mut others = self.views.iter().rev().filter_map(|known| known.scenes.get(models));
        let same = others.find(|scene| scene.excerpt.same_as(&excerpt)).map(Arc::clone);
        let scene = same.unwrap_or_else(|| Arc::new(Scene::of(view, excerpt, &self.bytes)));
        self.remember(view, models, &scene);
        scene
    }

    fn remember(&mut self, view: &Arc<View>, models: &[ModelId], scene: &Arc<Scene>) {
        self.remembered += scene.held.size;
        let mut views = self.views.iter_mut();
        match views.find(|known| known.view.as_ptr() == Arc::as_ptr(view)) {
            Some(known) => {
                known.scenes.insert(models.to_vec(), Arc::clone(scene));
            }
            None => self.views.push_back(OfView {
                view: Arc::downgrade(view),
                scenes: BTreeMap::from([(models.to_vec(), Arc::clone(scene))]),
            }),
        }
        while self.views.len() > VIEWS || self.remembered > REMEMBERED_BYTES {
            let Some(oldest) = self.views.pop_front() else { return };
            let sizes = oldest.scenes.values().map(|scene| scene.held.size);
            self.remembered -= sizes.sum::<usize>();
        }
    }
}

#[cfg(test)]
mod tests;
