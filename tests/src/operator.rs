//! An operator at a terminal: `admin-cli` in a process of its own, before one router.

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::beside;
use crate::router::{KEY, Router};

/// Runs `admin-cli` against one router, with the usual key.
#[derive(Clone, Copy)]
pub struct Operator {
    admin: SocketAddr,
}

impl Operator {
    /// One who talks to this router.
    #[must_use]
    pub fn at(router: &Router) -> Self {
        Self { admin: router.admin }
    }

    /// All that comes of a command.
    ///
    /// # Panics
    /// When the program was not built.
    #[must_use]
    pub fn says(&self, words: &[&str]) -> Output {
        let mut command = Command::new(beside("admin-cli"));
        command.env_clear().env("TRUNKLINE_ADMIN_KEY", KEY);
        command.env("TRUNKLINE_ENDPOINT", format!("http://{}", self.admin));
        command.args(words).output().expect("admin-cli can be run")
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

    /// What is said when it fails with this code.
    ///
    /// # Panics
    /// When it ends with another one.
    pub fn is_told(&self, code: i32, words: &[&str]) -> String {
        let output = self.says(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        String::from_utf8(output.stderr).expect("it says text")
    }
}
