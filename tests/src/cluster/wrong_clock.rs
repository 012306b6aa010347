//! A wall clock that is off, for one process and without any switch in the product: a library of a few lines is
//! loaded before the C library's and adds an offset to what the kernel says. etcd, which asks the kernel
//! without the C library, cannot be fooled this way.

use std::path::Path;
use std::process::Command;

const SOURCE: &str = include_str!("wrong_clock.c");

/// Makes the library in `folder`, and says what to set in a process's environment.
///
/// # Panics
/// When there is no C compiler, which the build needs anyway.
#[must_use]
pub fn environment(folder: &Path, offset_s: i64) -> Vec<(String, String)> {
    let (source, library) = (folder.join("clock.c"), folder.join(format!("clock{offset_s}.so")));
    std::fs::write(&source, SOURCE).expect("a file is written");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", &format!("-DOFFSET_S={offset_s}"), "-o"]);
    let status = compile.arg(&library).arg(&source).status().expect("cc can be run");
    assert!(status.success(), "cc ended with {status}");
    vec![("LD_PRELOAD".to_owned(), library.display().to_string())]
}
