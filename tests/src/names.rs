//! Names that lead where a test says, for one process and without any switch in the product: a library of a few
//! lines is loaded before the C library's. It also notes every address that the process connects to.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

const SOURCE: &str = include_str!("names.c");

/// The names of one process.
pub struct Names {
    folder: TempDir,
}

impl Names {
    /// Names, and where each leads: to the first address when it is asked for first, and so on; the last one stays.
    ///
    /// # Panics
    /// When there is no C compiler, which the build needs anyway.
    #[must_use]
    pub fn leading(names: &[(&str, &[&str])]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let this = Self { folder };
        let row = |(name, answers): &(&str, &[&str])| {
            let answers = answers.iter().map(|answer| format!("{answer:?}"));
            format!("{{{name:?}, {{{}}}}}", answers.collect::<Vec<_>>().join(", "))
        };
        let table = names.iter().map(row).collect::<Vec<_>>().join(", ");
        let log = this.log().display().to_string();
        let source =
            format!("#define _GNU_SOURCE\n#define TABLE {table}\n#define LOG {log:?}\n{SOURCE}");
        let file = this.folder.path().join("names.c");
        fs::write(&file, source).expect("a file is written");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-Werror", "-o"]).arg(this.library()).arg(&file);
        let status = compile.arg("-ldl").status().expect("cc can be run");
        assert!(status.success(), "cc ended with {status}");
        this
    }

    /// What to set in the process's environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![("LD_PRELOAD".to_owned(), self.library().display().to_string())]
    }

    /// The addresses that it connected to so far, in order.
    #[must_use]
    pub fn connected(&self) -> Vec<String> {
        let noted = fs::read_to_string(self.log()).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("names.so")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("connected")
    }
}
