//! Writes one JSON object straight into the body's bytes. Knows JSON and the
//! rule that a typed field wins over `extra`; knows no field by name.

use prost_types::Struct;
use serde::Serialize;
use trunkline_wire::fields::push_text_bytes;

use super::{BadField, base64, number, structure};

/// One object while it is being written; [`Object::end`] completes it.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    before: u8,
    extra: Option<&'a Struct>,
    /// Names written so far; kept only while `extra` could repeat one.
    written: Vec<&'static str>,
}

impl<'a> Object<'a> {
    /// Begins an object that ends with the members of `extra`, except those
    /// that were written before.
    pub(super) fn begin(out: &'a mut Vec<u8>, extra: Option<&'a Struct>) -> Self {
        let extra = extra.filter(|extra| !extra.fields.is_empty());
        Self { out, before: b'{', extra, written: Vec::new() }
    }

    /// Whether the object's `extra` gives this member.
    pub(super) fn extra_has(&self, name: &str) -> bool {
        self.extra.is_some_and(|extra| extra.fields.contains_key(name))
    }

    /// Keeps `extra` from giving this member.
    pub(super) fn claim(&mut self, name: &'static str) {
        if self.extra.is_some() {
            self.written.push(name);
        }
    }

    /// A member whose value is written by the caller, at once.
    pub(super) fn key(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.claim(name);
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A member that always has a JSON form: an integer, a list, text that is seldom there.
    pub(super) fn put<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), BadField> {
        structure::text(value, self.key(name)).map_err(|bad| bad.within(name))
    }

    /// The same, where it is set.
    pub(super) fn put_if_set<T: Serialize>(
        &mut self,
        name: &'static str,
        value: &Option<T>,
    ) -> Result<(), BadField> {
        value.as_ref().map_or(Ok(()), |value| self.put(name, value))
    }

    /// Text, also when it is empty.
    pub(super) fn put_text(&mut self, name: &'static str, value: &str) {
        push_text_bytes(self.key(name), value);
    }

    /// Text, unless it is empty.
    pub(super) fn put_text_if_any(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.put_text(name, value);
        }
    }

    /// A list, unless it is empty.
    pub(super) fn put_list<T: Serialize>(
        &mut self,
        name: &'static str,
        values: &[T],
    ) -> Result<(), BadField> {
        if values.is_empty() { Ok(()) } else { self.put(name, values) }
    }

    /// A number, where it is set.
    pub(super) fn put_number(
        &mut self,
        name: &'static str,
        value: Option<f64>,
    ) -> Result<(), BadField> {
        let Some(value) = value else { return Ok(()) };
        number::write(value, self.key(name)).map_err(|bad| bad.within(name))
    }

    /// A list of objects, unless it is empty.
    pub(super) fn put_each<T>(
        &mut self,
        name: &'static str,
        values: &[T],
        write: impl Fn(&T, &mut Vec<u8>) -> Result<(), BadField>,
    ) -> Result<(), BadField> {
        if values.is_empty() {
            return Ok(());
        }
        let out = self.key(name);
        out.push(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(value, out).map_err(|bad| bad.within(format_args!("{name}[{index}]")))?;
        }
        out.push(b']');
        Ok(())
    }

    /// A structure.
    pub(super) fn put_structure(
        &mut self,
        name: &'static str,
        value: &Struct,
    ) -> Result<(), BadField> {
        structure::write(value, self.key(name)).map_err(|bad| bad.within(name))
    }

    /// Text that is `prefix` and then `data` in base64.
    pub(super) fn put_base64(
        &mut self,
        name: &'static str,
        prefix: &str,
        data: &[u8],
    ) -> Result<(), BadField> {
        let out = self.key(name);
        push_text_bytes(out, prefix);
        // Base64 goes inside the quotes: take the closing one off again.
        out.pop();
        base64::encode(data, out);
        out.push(b'"');
        Ok(())
    }

    /// Adds what `extra` still has to give, and completes the object.
    pub(super) fn end(mut self) -> Result<(), BadField> {
        let extra = self.extra.into_iter().flat_map(|extra| &extra.fields);
        for (name, value) in extra {
            if self.written.iter().any(|written| written == name) {
                continue;
            }
            self.separate();
            let path = || format!("extra.{name}");
            push_text_bytes(self.out, name);
            self.out.push(b':');
            structure::write_value(value, self.out).map_err(|bad| bad.within(path()))?;
        }
        if self.before == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        Ok(())
    }

    fn separate(&mut self) {
        self.out.push(self.before);
        self.before = b',';
    }
}
