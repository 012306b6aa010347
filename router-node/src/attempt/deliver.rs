//! The end of a course that went well: settled, renamed to what the caller asked for, handed over.

use std::time::Duration;

use trunkline_core::id::ProviderId;
use trunkline_core::usage::TokenCounts;
use trunkline_upstream::Whole;
use trunkline_wire::answer::rewrite_answer;
use trunkline_wire::operation::Operation;

use super::ask::{Stream, stall};
use super::{Course, Delivery, Held};
use crate::ledger::Counted;
use crate::relay::{Relay, Terms, cost_details, token_counts, usage_out};

impl Course {
    pub(super) fn deliver_whole(mut self: Box<Self>, whole: Whole, held: &Held) -> Delivery {
        let (tokens, counted) = match whole.scan.usage {
            Some(usage) => (token_counts(usage), Counted::Provider),
            None => {
                // About four bytes of JSON a token: a rough count beats none. Vectors are no tokens.
                let output = match self.peek.operation {
                    Operation::Chat | Operation::Completion => whole.body.len() as u64 / 4,
                    Operation::Embedding => 0,
                };
                let input = self.input_tokens;
                (TokenCounts { input, output, ..Default::default() }, Counted::Estimate)
            }
        };
        let mut settlement = None;
        self.record.write(|r| {
            settlement = r.settle(tokens, counted);
            r.told.finish_reason = whole.scan.finish_reason;
            if r.sampled() {
                r.told.model = whole.scan.model_in(&whole.body).map(Box::from);
            }
        });
        let model = self.model_at(held.endpoint);
        let from = self.view.snapshot.endpoints.get(held.endpoint);
        let from = from.map_or_else(|| ProviderId::new(""), |s| s.endpoint.provider.clone());
        let body = match settlement {
            Some(settlement) => {
                let details = cost_details(&settlement);
                rewrite_answer(&whole.body, &whole.scan, model, &usage_out(&settlement, &details))
            }
            None => whole.body,
        };
        self.record.completed();
        Delivery::Whole(body, from)
    }

    pub(super) fn deliver_stream(self: Box<Self>, stream: Stream, mut held: Held) -> Delivery {
        let numbers =
            self.view.snapshot.endpoints.get(held.endpoint).map(|s| s.numbers).unwrap_or_default();
        let lane = self.view.lanes.get(held.endpoint);
        let upstream_model = lane.and_then(|l| l.target.as_ref()).map(|t| t.upstream_model.clone());
        let terms = Terms {
            stall: stall(&self.timeouts, &numbers),
            keep_alive: Duration::from_millis(self.timeouts.keep_alive_ms),
            deadline: self.deadline,
            include_usage: self.peek.include_usage,
            model: self.model_at(held.endpoint).to_owned(),
            upstream_model: upstream_model.unwrap_or_default(),
            input_tokens: self.input_tokens,
        };
        // From here on the stream costs no more than any other: its share of the retry budget is free.
        held._retry = None;
        held._permits = Some(self.permits);
        Delivery::Stream(Box::new(Relay::new(
            stream.waiting,
            stream.source,
            terms,
            self.record,
            held,
        )))
    }
}
