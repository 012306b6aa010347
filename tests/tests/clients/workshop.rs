//! A folder of its own in which an example is built: a copy, so that nothing generated ends up beside the pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use trunkline_tests::foreign::{folder, go, node_modules, python, run, search_path};

/// The import path of the example in Go.
pub(crate) const GO_MODULE: &str = "example.com/hello";

/// One example's folder.
pub(crate) struct Workshop {
    /// Go wants its programs at their import path below a root; the others do not mind.
    root: TempDir,
    path: PathBuf,
}

impl Workshop {
    /// A copy of the example of this name.
    pub(crate) fn new(name: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("src").join(GO_MODULE);
        copy(&folder("../docs/clients/examples").join(name), &path);
        Self { root, path }
    }

    /// Generates its stubs from the published contract.
    pub(crate) async fn generate(&self) {
        let mut command = self.command("./generate.sh", &[]);
        command.env("PROTO", folder("../proto").canonicalize().unwrap());
        run(command).await;
    }

    /// Lets it use the packages of npm that are installed there.
    pub(crate) fn link_modules(&self, installed: &str) {
        let modules = node_modules(installed).canonicalize().unwrap();
        std::os::unix::fs::symlink(modules, self.path.join("node_modules")).unwrap();
    }

    /// A program run in it, which finds the tools that the examples name.
    pub(crate) fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let interpreters = python().parent().unwrap().to_path_buf();
        let mut command = Command::new(program.as_ref());
        command.args(arguments).current_dir(&self.path);
        command.env("PATH", search_path(&[interpreters, go().join("usr/bin")]));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Go's own tool, which finds its packages where Debian puts them and asks nobody for others.
    pub(crate) fn go(&self, arguments: &[&str]) -> Command {
        let unpacked = go().canonicalize().unwrap();
        let installed = unpacked.join("usr/lib/go-1.24");
        let mut command = self.command(installed.join("bin/go"), arguments);
        command.env("GOROOT", &installed).env("GO111MODULE", "off").env("GOTOOLCHAIN", "local");
        // The packages are compiled once for all runs of the tests.
        command.env("GOCACHE", unpacked.join("cache")).env("CGO_ENABLED", "0");
        let packages = unpacked.join("usr/share/gocode");
        command.env("GOPATH", std::env::join_paths([self.root.path(), &packages]).unwrap());
        command
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // What a reader built there is not copied.
        if ["node_modules", "gen", "dist"].iter().any(|built| *built == entry.file_name()) {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
