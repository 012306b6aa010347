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

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn reflection_can_describe_every_service_and_what_it_refers_to() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let mut services: Vec<_> = set
            .file
            .iter()
            .flat_map(|file| {
                file.service.iter().map(|s| format!("{}.{}", file.package(), s.name()))
            })
            .collect();
        services.sort();
        assert_eq!(
            services,
            [
                "trunkline.admin.v1.AdminService",
                "trunkline.health.v1.HealthEvidenceService",
                "trunkline.inference.v1.InferenceService",
            ]
        );
        let names: Vec<_> = set.file.iter().map(|file| file.name()).collect();
        for file in &set.file {
            assert!(file.dependency.iter().all(|needed| names.contains(&needed.as_str())));
        }
    }

    #[test]
    fn an_observation_stays_small_in_the_store() {
        let observation = health::v1::Observation {
            sequence: 100_000,
            incarnation: 50_000_000,
            vote: health::v1::Vote::Up.into(),
            active_evidence: true,
            passive_evidence: true,
            ramp_permille: 1000,
            window_seconds: 60,
            counts: Some(health::v1::OutcomeCounts { ok: 5000, health: 10, ..Default::default() }),
            latency: Some(health::v1::LatencyQuantiles {
                ttft_p50_bucket: Some(32),
                ttft_p90_bucket: Some(36),
                ttft_p99_bucket: Some(40),
                inter_token_p50_bucket: Some(18),
                inter_token_p90_bucket: Some(20),
                tokens_per_second_p50_bucket: Some(24),
            }),
            capacity: Some(health::v1::Capacity {
                learned_cap_permille: Some(900),
                ..Default::default()
            }),
            flap: 0,
            since_revision: 50_000_000,
        };
        assert!(observation.encoded_len() <= 60, "{} bytes", observation.encoded_len());
    }
}
