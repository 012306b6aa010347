//! An image, built by the last stages of the project's Dockerfile.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{beside, tool};

/// Buildah wants to know whose signatures it believes; nothing is fetched here.
const BELIEVES: &str = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;

/// The top of the project.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The buildah that `tests/provision/containers.sh` put into `target/tools`, or the one that `TRUNKLINE_BUILDAH`
/// names.
fn buildah_program() -> PathBuf {
    tool("buildah", "TRUNKLINE_BUILDAH", "containers.sh")
}

/// An image and its files. It is gone when this is dropped.
pub struct Image {
    folder: TempDir,
    /// The digest of its manifest, which tells of everything in it.
    pub digest: String,
    /// What engines are told of it: `User`, `Env`, `Entrypoint`, `Cmd`, `WorkingDir`, `Labels`, …
    pub config: Value,
}

impl Image {
    /// Builds the target of this name. Its stage `build` is played by hand: the programs beside the tests', laid
    /// out by the script that the stage runs.
    ///
    /// # Panics
    /// When it cannot be built; buildah says why.
    #[must_use]
    pub fn build(target: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("build/out");
        std::fs::create_dir_all(&out).expect("a folder");
        let mut layout = Command::new(repository().join("deploy/docker/layout"));
        layout.arg(beside(target)).arg(out.join(target));
        succeeds(&mut layout);
        let stage = format!("build={}", folder.path().join("build").display());
        let dockerfile = repository().join("deploy/docker/Dockerfile");
        let words = ["--build-context", &stage, "--target", target];
        buildah(folder.path(), &dockerfile, &words, folder.path());
        Self::unpacked(folder)
    }

    /// Where its files are.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// One of the lists in its configuration.
    #[must_use]
    pub fn words(&self, key: &str) -> Vec<String> {
        let words = self.config.get(key).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
    }

    /// One of the texts in its configuration, empty when it is not there.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.config.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn unpacked(folder: TempDir) -> Self {
        let oci = folder.path().join("oci");
        let digest = text(&read(&oci.join("index.json")), "/manifests/0/digest");
        let manifest = read(&blob(&oci, &digest));
        let config = read(&blob(&oci, &text(&manifest, "/config/digest")));
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("a folder");
        let layers = manifest.get("layers").and_then(Value::as_array).into_iter().flatten();
        for layer in layers {
            let mut tar = Command::new("tar");
            tar.arg("--extract").arg("--file").arg(blob(&oci, &text(layer, "/digest")));
            // A layer's entries for the root itself may be narrower than a process without rights needs.
            succeeds(tar.arg("--directory").arg(&root).arg("--preserve-permissions"));
        }
        let config = config.get("config").cloned().unwrap_or_default();
        Self { folder, digest, config }
    }
}

/// The files that a build sees of the project, in a folder that is gone with what this gives: all but what
/// `.dockerignore` keeps out.
///
/// # Panics
/// When buildah fails.
#[must_use]
pub fn build_context() -> Image {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dockerfile = folder.path().join("Dockerfile");
    std::fs::write(&dockerfile, "FROM scratch\nCOPY . /\n").expect("a file");
    buildah(folder.path(), &dockerfile, &[], &repository());
    Image::unpacked(folder)
}

/// Builds into the folder `oci` of a folder. Files have one time, as a release's have.
fn buildah(folder: &Path, dockerfile: &Path, words: &[&str], context: &Path) {
    let believes = folder.join("policy.json");
    std::fs::write(&believes, BELIEVES).expect("a file");
    let mut command = Command::new("unshare");
    // Others are root in a namespace of users of their own.
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
        command.env("_CONTAINERS_USERNS_CONFIGURED", "1");
    }
    command.arg("--mount").arg(buildah_program()).args(["--storage-driver", "vfs", "--root"]);
    command.arg(folder.join("storage")).arg("--runroot").arg(folder.join("run"));
    command.args([
        "build-using-dockerfile",
        "--quiet",
        "--isolation",
        "chroot",
        "--timestamp",
        "0",
    ]);
    command.args(["--format", "oci", "--signature-policy"]).arg(believes).args(words);
    command.arg("--file").arg(dockerfile);
    command.arg("--tag").arg(format!("oci:{}:it", folder.join("oci").display())).arg(context);
    succeeds(&mut command);
    std::fs::remove_dir_all(folder.join("storage")).expect("its storage");
}

/// Whether the tests run as root, who needs no namespace of users.
pub(super) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

/// Runs a command that must succeed.
pub(super) fn succeeds(command: &mut Command) -> Output {
    let output = command.output().expect("a program that can be run");
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).expect("a file of an image");
    serde_json::from_slice(&text).expect("JSON in an image")
}

fn blob(oci: &Path, digest: &str) -> PathBuf {
    oci.join("blobs").join(digest.replace(':', "/"))
}

fn text(json: &Value, pointer: &str) -> String {
    json.pointer(pointer).and_then(Value::as_str).expect("what every image has").to_owned()
}
