//! Making the provider's body out of the caller's bytes: one pass that names the pieces, used once to
//! measure and once to copy. It changes nothing that is not named here.

use std::ops::Range;

use bytes::Bytes;

use crate::json::{Kind, Scanner, escape};

use super::fields::{Field, Reading};
use super::read::{boolean, must_be, present};
use super::{BadRequest, Peek};

/// What the provider's body must say.
#[derive(Debug, Clone, Copy)]
pub struct Rewrite<'a> {
    /// The provider's name for the model.
    pub model: &'a str,
    /// Ask for usage in the stream; without effect when the request is not for a stream.
    pub ask_usage: bool,
    /// Parameters the endpoint does not support, by name.
    pub drop: &'a [&'a str],
}

/// One top-level field of the body.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) field: Option<Field>,
    /// The key with its quotes.
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// What the body says in `stream_options`, as far as asking for usage needs it.
#[derive(Debug, Clone)]
pub(super) enum StreamOptions {
    Absent,
    Null,
    /// `after_bracket` is where a new member can go; `empty` tells that no comma is needed then.
    Object {
        after_bracket: usize,
        empty: bool,
        include_usage: Option<Range<usize>>,
    },
}

/// Reads `stream_options` and whether it asks for usage.
pub(super) fn stream_options(scan: &mut Scanner<'_>) -> Result<(StreamOptions, bool), BadRequest> {
    if !present(scan, "stream_options", Kind::Object, "an object")? {
        return Ok((StreamOptions::Null, false));
    }
    scan.enter_object()?;
    let after_bracket = scan.position();
    let (mut empty, mut span, mut asked) = (true, None, false);
    while let Some(key) = scan.next_key()? {
        empty = false;
        if key.name() != "include_usage" {
            scan.skip()?;
            continue;
        }
        let param = "stream_options.include_usage";
        scan.kind()?;
        let start = scan.position();
        asked = boolean(scan, param)?.unwrap_or(false);
        if span.replace(start..scan.position()).is_some() {
            return Err(must_be(param, "sent once"));
        }
    }
    Ok((StreamOptions::Object { after_bracket, empty, include_usage: span }, asked))
}

impl Peek {
    /// The body for a provider: `to.model` as the model, without the router's own fields
    /// ([`super::ROUTER_FIELDS`]) and those in `to.drop`, asking for usage if told to. Every other byte,
    /// order and white space included, is the caller's. Allocates once, the result.
    #[must_use]
    pub fn rewrite(&self, to: &Rewrite<'_>) -> Bytes {
        let model = escape(to.model);
        let mut size = 0;
        self.pieces(to, &model, &mut |piece| size += piece.len());
        let mut out = Vec::with_capacity(size);
        self.pieces(to, &model, &mut |piece| out.extend_from_slice(piece));
        Bytes::from(out)
    }

    fn pieces(&self, to: &Rewrite<'_>, model: &str, put: &mut dyn FnMut(&[u8])) {
        let (Some(first), Some(last)) = (self.members.first(), self.members.last()) else {
            return put(&self.body);
        };
        put(self.bytes(0..first.key.start));
        let mut missing = Missing { model: true, usage: to.ask_usage && self.stream };
        let mut separator_from = None;
        for member in &self.members {
            let dropped = self.is_dropped(member, to);
            if !dropped {
                if let Some(from) = separator_from {
                    put(self.bytes(from..member.key.start));
                }
                self.member(member, model, &mut missing, put);
            }
            if !dropped || separator_from.is_some() {
                separator_from = Some(member.value.end);
            }
        }
        missing.usage &= !to.drop.contains(&"stream_options");
        missing.put(model, separator_from.is_some(), put);
        put(self.bytes(last.value.end..self.body.len()));
    }

    /// One member that stays, its value replaced if it is one we set.
    fn member(
        &self,
        member: &Member,
        model: &str,
        missing: &mut Missing,
        put: &mut dyn FnMut(&[u8]),
    ) {
        let field = member.field.map(Field::reading);
        if field == Some(Reading::Model) && missing.model {
            missing.model = false;
            put(self.bytes(member.key.start..member.value.start));
            put_string(model, put);
        } else if field == Some(Reading::StreamOptions) && missing.usage {
            missing.usage = false;
            put(self.bytes(member.key.start..member.value.start));
            self.ask_usage(member.value.clone(), put);
        } else {
            put(self.bytes(member.key.start..member.value.end));
        }
    }

    /// The caller's `stream_options` with `include_usage` set.
    fn ask_usage(&self, value: Range<usize>, put: &mut dyn FnMut(&[u8])) {
        match &self.stream_options {
            StreamOptions::Absent | StreamOptions::Null => put(b"{\"include_usage\":true}"),
            StreamOptions::Object { include_usage: Some(span), .. } => {
                put(self.bytes(value.start..span.start));
                put(b"true");
                put(self.bytes(span.end..value.end));
            }
            StreamOptions::Object { after_bracket, empty, include_usage: None } => {
                put(self.bytes(value.start..*after_bracket));
                put(if *empty { b"\"include_usage\":true" } else { b"\"include_usage\":true," });
                put(self.bytes(*after_bracket..value.end));
            }
        }
    }

    fn is_dropped(&self, member: &Member, to: &Rewrite<'_>) -> bool {
        match member.field {
            Some(field) => {
                field.is_routers()
                    || (field.reading() != Reading::Model && to.drop.contains(&field.name()))
            }
            None => to.drop.iter().any(|name| self.is_named(member, name)),
        }
    }

    fn is_named(&self, member: &Member, name: &str) -> bool {
        let key = self.bytes(member.key.clone());
        key.get(1..key.len().saturating_sub(1)) == Some(name.as_bytes())
    }

    fn bytes(&self, span: Range<usize>) -> &[u8] {
        self.body.get(span).unwrap_or_default()
    }
}

/// What the provider's body must hold and has not been written yet.
struct Missing {
    model: bool,
    usage: bool,
}

impl Missing {
    /// Adds what is missing after the last member.
    fn put(&self, model: &str, mut comma: bool, put: &mut dyn FnMut(&[u8])) {
        if self.model {
            put(if comma { b",\"model\":" } else { b"\"model\":" });
            put_string(model, put);
            comma = true;
        }
        if self.usage {
            let options: &[u8] = b",\"stream_options\":{\"include_usage\":true}";
            put(options.get(usize::from(!comma)..).unwrap_or_default());
        }
    }
}

fn put_string(inside: &str, put: &mut dyn FnMut(&[u8])) {
    put(b"\"");
    put(inside.as_bytes());
    put(b"\"");
}
