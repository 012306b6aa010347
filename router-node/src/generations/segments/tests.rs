//! Stories about segments.
