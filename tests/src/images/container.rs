//! A process whose root is an image's files and which can write to its volumes alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::image::{Image, is_root, succeeds};
use crate::process::Process;

/// Gives the process its root. Its words: the root, the user, the group, the working directory, then for each
/// mount `from`, `to` and `ro` or `rw`, then `--` and the command. All that is mounted is gone with the process.
const ENTER: &str = r#"
root=$1 user=$2 group=$3 folder=$4
shift 4
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
    shift 3
done
shift
mount -o remount,bind,ro "$root"
if [ "$real" = 0 ]; then
    unset real
    exec setpriv --no-new-privs unshare --root="$root" --wd="$folder" --setgid "$group" --setuid "$user" -- "$@"
fi
unset real
exec setpriv --no-new-privs unshare --user --map-user="$user" --map-group="$group" --root="$root" --wd="$folder" -- "$@"
"#;

/// A container to be started.
pub struct Container {
    folder: TempDir,
    user: String,
    group: String,
    workdir: String,
    entrypoint: Vec<String>,
    words: Vec<String>,
    environment: BTreeMap<String, String>,
    mounts: Vec<(PathBuf, String, &'static str)>,
}

impl Container {
    /// One of an image, as it would be started without further words.
    ///
    /// # Panics
    /// When its files cannot be copied.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let (user, group) = image.text("User").split_once(':').expect("a user and a group");
        let variables = image.words("Env").into_iter();
        let environment = variables.filter_map(|variable| {
            variable.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        });
        let container = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            user: user.to_owned(),
            group: group.to_owned(),
            workdir: image.text("WorkingDir").to_owned(),
            entrypoint: image.words("Entrypoint"),
            words: image.words("Cmd"),
            environment: environment.collect(),
            mounts: Vec::new(),
        };
        let mut copy = Command::new("cp");
        // Points for mounts are made in the copy; what is in it is shared where the system can.
        succeeds(
            copy.args(["--archive", "--reflink=auto"]).arg(image.root()).arg(container.root()),
        );
        container
    }

    /// One of a program of others that has no image here, with the libraries it needs alone.
    ///
    /// # Panics
    /// When there is no room for files.
    #[must_use]
    pub fn around(program: &Path, at: &str) -> Self {
        let container = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            user: "65532".to_owned(),
            group: "65532".to_owned(),
            workdir: "/".to_owned(),
            entrypoint: vec![at.to_owned()],
            words: Vec::new(),
            environment: BTreeMap::new(),
            mounts: Vec::new(),
        };
        let needs = succeeds(Command::new("ldd").arg(program)).stdout;
        let needs = String::from_utf8_lossy(&needs).into_owned();
        let libraries = needs.split_whitespace().filter(|word| word.starts_with('/'));
        put(program, &container.point(at));
        for library in libraries {
            put(Path::new(library), &container.point(library));
        }
        container
    }

    /// Where its files are.
    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Where something in it is for this machine.
    fn point(&self, at: &str) -> PathBuf {
        self.root().join(at.trim_start_matches('/'))
    }

    /// With these words instead of the image's `CMD`.
    #[must_use]
    pub fn words<W: AsRef<str>>(mut self, words: &[W]) -> Self {
        self.words = words.iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// With this variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a file there that has this text and that it cannot change.
    ///
    /// # Panics
    /// When there is no room for files.
    #[must_use]
    pub fn file(mut self, at: &str, text: &str) -> Self {
        let from = self.folder.path().join(format!("file-{}", self.mounts.len()));
        std::fs::write(&from, text).expect("a file");
        mode(&from, "0644");
        let point = self.point(at);
        folder_of(&point);
        std::fs::write(point, "").expect("a point to mount at");
        self.mounts.push((from, at.to_owned(), "ro"));
        self
    }

    /// With a folder of this machine there that it cannot change.
    ///
    /// # Panics
    /// When there is no room for files.
    #[must_use]
    pub fn folder(mut self, at: &str, from: &Path) -> Self {
        std::fs::create_dir_all(self.point(at)).expect("a point to mount at");
        self.mounts.push((from.to_owned(), at.to_owned(), "ro"));
        self
    }

    /// With a volume there, empty at first, that anybody may write to.
    ///
    /// # Panics
    /// When there is no room for files.
    #[must_use]
    pub fn volume(mut self, at: &str) -> Self {
        let from = self.folder.path().join(format!("volume-{}", self.mounts.len()));
        std::fs::create_dir(&from).expect("a folder");
        mode(&from, "1777");
        std::fs::create_dir_all(self.point(at)).expect("a point to mount at");
        self.mounts.push((from, at.to_owned(), "rw"));
        self
    }

    /// Starts it; its files are kept in what is given beside the process.
    #[must_use]
    pub fn start(self, name: &str) -> (Process, TempDir) {
        let process = Process::start(name, &mut self.command());
        (process, self.folder)
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn output(&self) -> Output {
        self.command().output().expect("a container that can be run")
    }

    fn command(&self) -> Command {
        let root = is_root();
        let mut command = Command::new("unshare");
        if !root {
            command.args(["--user", "--map-root-user"]);
        }
        command.args([
            "--mount",
            "--propagation",
            "private",
            "--",
            "sh",
            "-e",
            "-c",
            ENTER,
            "enter",
        ]);
        command.arg(self.root()).args([&self.user, &self.group, &self.workdir]);
        for (from, to, how) in &self.mounts {
            command.arg(from).args([to, *how]);
        }
        command.arg("--").args(&self.entrypoint).args(&self.words);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(&self.environment);
        command.env("real", if root { "0" } else { "1" });
        command
    }
}

fn put(file: &Path, to: &Path) {
    folder_of(to);
    std::fs::copy(file, to).expect("a file is copied");
}

fn folder_of(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder around it")).expect("a folder");
}

fn mode(path: &Path, mode: &str) {
    succeeds(Command::new("chmod").arg(mode).arg(path));
}
