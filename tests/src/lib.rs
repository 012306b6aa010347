//! The harness that tests and measures every part of the project from outside. It holds no tests itself:
//! those are in `tests/`.

pub mod bench;
