//! Stories about sharing.

use serde_json::{Value, json};
use trunkline_core::catalog::SecretRef;
use trunkline_core::id::Zone;
use trunkline_store::keys::CONFIG;
use trunkline_store::port::{Change, Event, KeyValue, Revision};
use trunkline_upstream::Credential;

use super::*;
use crate::fold::{CATALOG, Fold, POLICY};
use crate::view::{Builder, Secrets};

struct NoSecrets;

impl Secrets for NoSecrets {
    fn find(&self, _: &SecretRef) -> Result<Credential, String> {
        Err("there are none".to_owned())
    }
}

/// Views, one after the other.
struct Story {
    fold: Fold,
    builder: Builder,
    revision: u64,
}

impl Story {
    fn new() -> Self {
        let builder = Builder::new(Zone::new("z"), [0; 32], Arc::new(NoSecrets), Arc::default());
        let mut story = Self { fold: Fold::default(), builder, revision: 0 };
        story.write(POLICY, json!({"version": 1}));
        story
    }

    fn write(&mut self, path: &str, document: Value) {
        self.revision += 1;
        let revision = Revision(self.revision);
        let entry = KeyValue {
            key: format!("{CONFIG}{path}"),
            value: document.to_string().into(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            lease: None,
        };
        self.fold.apply(Change::Batch { revision, events: vec![Event::Put(entry)] });
    }

    /// A view after a catalog with this price of the one model's only endpoint and this many other models.
    fn view(&mut self, price: u32, others: usize) -> Arc<View> {
        let endpoint =
            |model: String, price: u32| json!({"model": model, "price": {"input": price}});
        let others = (0..others).map(|at| endpoint(format!("other-{at}"), 1));
        let all: Vec<Value> = others.chain([endpoint("m".to_owned(), price)]).collect();
        let provider = json!({"id": "p", "base_url": "https://p.example/v1", "endpoints": all});
        self.write(CATALOG, json!({"version": 1, "providers": [provider]}));
        Arc::new(self.builder.build(&self.fold))
    }
}

#[test]
fn records_that_saw_the_same_share_it_whatever_else_changed() {
    let (mut story, mut scenes) = (Story::new(), Scenes::default());
    let m = [ModelId::new("m")];
    let (first, second) = (story.view(1, 0), story.view(1, 0));
    let scene = scenes.of(&first, &m);
    assert!(Arc::ptr_eq(&scene, &scenes.of(&first, &m)));
    assert!(Arc::ptr_eq(&scene, &scenes.of(&second, &m)), "a view that is the same for it");
    assert!(!Arc::ptr_eq(&scene, &scenes.of(&story.view(2, 0), &m)), "another price");
    assert_eq!(scene.names[0].0.as_ref(), "p/m@global");
    assert_eq!(scene.excerpt.snapshot.endpoints.len(), 1);
}

#[test]
fn a_scene_is_of_the_models_asked_for_and_remembered_for_a_while() {
    let (mut story, bytes) = (Story::new(), Arc::<AtomicUsize>::default());
    let mut scenes = Scenes::counted(Arc::clone(&bytes));
    let view = story.view(1, 3);
    let both = [ModelId::new("m"), ModelId::new("other-1")];
    let scene = scenes.of(&view, &both);
    assert_eq!(scene.names.len(), 2);
    assert_eq!(bytes.load(Relaxed), scene.held.size);
    drop(scene);
    assert!(bytes.load(Relaxed) > 0, "the next call may need it");
    for price in 0..VIEWS {
        scenes.of(&story.view(u32::try_from(price).unwrap(), 3), &both[..1]);
    }
    assert_eq!((scenes.views.len(), bytes.load(Relaxed)), (VIEWS, scenes.remembered));
}
