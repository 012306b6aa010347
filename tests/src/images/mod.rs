//! Images and containers without a container engine's daemon: `buildah` builds what `deploy/docker/Dockerfile`
//! describes, from programs that are built already, and a process in a mount namespace of its own has an image's
//! files for its root, as a container would. It needs root, or a system that lets users have namespaces.

mod compose;
mod container;
mod image;

pub use compose::{Services, config};
pub use container::Container;
pub use image::{Image, build_context, repository};
