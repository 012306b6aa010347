//! An operator at a terminal: runs `admin-cli` against one router and reads what it writes.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::router::{KEY, Router, beside};

/// An operator with a key of their own.
#[derive(Clone, Debug)]
pub struct Operator {
    endpoint: String,
    key: String,
    flags: Vec<String>,
}

impl Operator {
    /// One with the usual key, which may do anything.
    #[must_use]
    pub fn at(router: &Router) -> Self {
        let endpoint = format!("http://{}", router.admin);
        Self { endpoint, key: KEY.to_owned(), flags: Vec::new() }
    }

    /// The same with another key; with none when it is empty.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// The same, over TLS and with these further flags.
    #[must_use]
    pub fn over_tls<F: AsRef<OsStr>>(&self, flags: &[F]) -> Self {
        let flags = flags.iter().map(|flag| flag.as_ref().to_string_lossy().into_owned());
        let endpoint = self.endpoint.replace("http://", "https://");
        Self { endpoint, flags: flags.collect(), ..self.clone() }
    }

    /// The command, not yet started.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(beside("admin-cli"));
        command.env_clear().env("TRUNKLINE_ENDPOINT", &self.endpoint);
        if !self.key.is_empty() {
            command.env("TRUNKLINE_ADMIN_KEY", &self.key);
        }
        command.args(words).args(&self.flags).stdin(Stdio::null());
        command
    }

    /// What comes of the command.
    ///
    /// # Panics
    /// When the program was not built.
    #[must_use]
    pub fn says(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("admin-cli runs")
    }

    /// The exit code.
    ///
    /// # Panics
    /// When a signal ended it.
    #[must_use]
    pub fn code(&self, words: &[&str]) -> i32 {
        self.says(words).status.code().expect("it ends by itself")
    }

    /// What is written for programs when it succeeds.
    ///
    /// # Panics
    /// When it fails.
    pub fn reads(&self, words: &[&str]) -> Value {
        let text = self.sees(&[words, &["-o", "json"]].concat());
        serde_json::from_str(&text).expect("it writes JSON")
    }

    /// What is written for people when it succeeds.
    ///
    /// # Panics
    /// When it fails.
    pub fn sees(&self, words: &[&str]) -> String {
        let output = self.says(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it writes text")
    }

    /// What is said when it fails with this exit code.
    ///
    /// # Panics
    /// When it does not.
    pub fn is_told(&self, code: i32, words: &[&str]) -> String {
        let output = self.says(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}
