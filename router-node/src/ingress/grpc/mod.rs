//! Inference over gRPC.

pub mod transcode;
