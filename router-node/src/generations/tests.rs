//! Stories about what is kept.
