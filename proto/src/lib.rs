//! The published contract: messages, clients and servers generated from the
//! `.proto` files beside this crate. Contains no logic; what the messages mean
//! is said in the `.proto` files, whose comments are the documentation here.

/// Inference: chat, embeddings, the catalog and the records of calls.
pub mod inference {
    /// Version 1 of `trunkline.inference`.
    #[expect(
        clippy::allow_attributes,
        clippy::too_many_lines,
        reason = "generated: tonic writes `allow` and one long match into each server"
    )]
    pub mod v1 {
        tonic::include_proto!("trunkline.inference.v1");
    }
}

/// Health: what routers tell probers, and what probers store.
pub mod health {
    /// Version 1 of `trunkline.health`.
    #[expect(
        clippy::allow_attributes,
        clippy::too_many_lines,
        reason = "generated: tonic writes `allow` and one long match into each server"
    )]
    pub mod v1 {
        tonic::include_proto!("trunkline.health.v1");
    }
}

/// Administration: reading and changing the state of a cluster.
pub mod admin {
    /// Version 1 of `trunkline.admin`.
    #[expect(
        clippy::allow_attributes,
        clippy::too_many_lines,
        reason = "generated: tonic writes `allow` and one long match into each server"
    )]
    pub mod v1 {
        tonic::include_proto!("trunkline.admin.v1");
    }
}

/// Every message and service of this crate as an encoded `FileDescriptorSet`,
/// for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/trunkline_descriptor.bin"));
