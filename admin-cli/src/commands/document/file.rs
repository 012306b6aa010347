//! A document in a file, and what is wrong with it, line by line.

use std::io::Read;
use std::path::Path;

use trunkline_proto::admin::v1::DocumentProblem;
use trunkline_spec::versioned::{Versioned, Written};
use trunkline_spec::{MAX_DOCUMENT_BYTES, Problem, Problems};

use crate::Failure;

/// What stands for the standard input.
const STANDARD_INPUT: &str = "-";

/// A file's text and its name.
pub struct File {
    /// As in messages.
    pub name: String,
    /// All of it.
    pub text: String,
}

impl File {
    /// Reads a file, or the standard input for `-`.
    ///
    /// # Errors
    /// [`Failure::Usage`] for one that cannot be read or is too long.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        if path == Path::new(STANDARD_INPUT) {
            let name = "standard input".to_owned();
            return Ok(Self { text: text(std::io::stdin().lock(), &name)?, name });
        }
        let name = path.display().to_string();
        let file = std::fs::File::open(path);
        let file = file.map_err(|e| Failure::Usage(format!("{name} cannot be read: {e}")))?;
        Ok(Self { text: text(file, &name)?, name })
    }

    /// The document as the store would keep it.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with every mistake and its line.
    pub fn written(&self, kind: Versioned) -> Result<Written, Failure> {
        kind.read(&self.text).map_err(|problems| self.invalid(problems))
    }

    /// Nothing, when a router found nothing wrong.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with every mistake and its line.
    pub fn right(&self, found: Vec<DocumentProblem>) -> Result<(), Failure> {
        if found.is_empty() {
            Ok(())
        } else {
            Err(Failure::Invalid(problems(found, &self.name).to_string()))
        }
    }

    /// The failure that these mistakes are.
    pub fn invalid(&self, problems: Problems) -> Failure {
        Failure::Invalid(problems.in_file(&self.name).to_string())
    }
}

/// A router's findings as ours.
pub fn problems(found: Vec<DocumentProblem>, name: &str) -> Problems {
    let problem = |found: DocumentProblem| Problem {
        file: String::new(),
        path: found.path,
        line: found.line,
        column: found.column,
        message: found.message,
        snippet: found.snippet,
    };
    Problems(found.into_iter().map(problem).collect()).in_file(name)
}

fn text(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let most = MAX_DOCUMENT_BYTES as u64 + 1;
    let read = from.take(most).read_to_string(&mut text);
    read.map_err(|e| Failure::Usage(format!("{name} cannot be read: {e}")))?;
    if text.len() > MAX_DOCUMENT_BYTES {
        let message = format!("{name} is too long; at most {MAX_DOCUMENT_BYTES} bytes are read");
        return Err(Failure::Usage(message));
    }
    Ok(text)
}
