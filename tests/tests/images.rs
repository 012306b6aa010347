//! Images are what they should be, and what is in them works without anything around it: they are built by the
//! last stages of the project's Dockerfile, and run with their files as a read-only root, as nobody.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what the test needs fails it on the spot"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tokio::net::TcpStream;
use trunkline_tests::client::Client;
use trunkline_tests::cluster::until;
use trunkline_tests::images::{Container, Image, Services, build_context, config, repository};
use trunkline_tests::json::chat;

/// The targets of the Dockerfile.
const TARGETS: [&str; 4] = ["admin-cli", "health-prober", "router-node", "sim-provider"];
/// The user of all images, and their group.
const USER: &str = "65532:65532";
/// Everything that an image may hold beside the program: what is looked for has an entry here, or it is news.
const FILES: [&str; 14] = [
    "etc/group",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/ssl/certs/ca-certificates.crt",
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
    "usr/share/doc/ca-certificates/copyright",
    "usr/share/doc/libc6/copyright",
    "usr/share/doc/libgcc-s1/copyright",
    ".cdx.json",
    "/LICENSE",
];

/// The Python that `tests/provision/python.sh` put there, as the tests of clients find it.
#[expect(clippy::disallowed_methods, reason = "tests/run tells where it put it")]
fn python() -> Command {
    let provisioned = || repository().join("target/venv/bin/python");
    let program = std::env::var("TRUNKLINE_PYTHON").map_or_else(|_| provisioned(), PathBuf::from);
    assert!(program.exists(), "{} is missing: run tests/provision/python.sh", program.display());
    Command::new(program)
}

/// All files below a folder, relative to it, sorted.
fn files(root: &Path) -> Vec<String> {
    let mut find = Command::new("find");
    find.args([".", "!", "-type", "d", "-printf", "%P\\n"]).current_dir(root);
    let listed = find.output().expect("find runs");
    let listed = String::from_utf8(listed.stdout).expect("names in ASCII");
    let mut files: Vec<String> = listed.lines().map(str::to_owned).collect();
    files.sort();
    files
}

#[test]
fn the_dockerfile_has_nothing_that_a_linter_knows() {
    let script = "import sysconfig; print(sysconfig.get_path('scripts'))";
    let folder = python().args(["-c", script]).output().expect("python runs").stdout;
    let folder = String::from_utf8(folder).expect("a path");
    let mut lint = Command::new(Path::new(folder.trim()).join("hadolint"));
    let found = lint.arg(repository().join("deploy/docker/Dockerfile")).output();
    let found = found.expect("hadolint runs");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn what_images_are_built_from_is_pinned_and_fits_the_source() {
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).expect("a file");
    let (dockerfile, manifest) = (read("deploy/docker/Dockerfile"), read("Cargo.toml"));
    let value = |text: &str, key: &str| {
        let found = text.lines().find_map(|line| line.trim().strip_prefix(key).map(str::to_owned));
        found.expect("a line that sets it").trim_matches([' ', '=', '"']).to_owned()
    };
    assert_eq!(value(&dockerfile, "ARG VERSION="), value(&manifest, "version"));
    let numbers = |version: &str| -> Vec<u32> {
        version.split('.').map(|part| part.parse().expect("a number")).collect()
    };
    let builder = value(&dockerfile, "ARG RUST_IMAGE=docker.io/library/rust:");
    let (rust, flavour) = builder.split_once('-').expect("a version and what it is on");
    assert!(numbers(rust) >= numbers(&value(&manifest, "rust-version")), "{rust} is too old");
    assert_eq!(
        (numbers(rust).len(), flavour),
        (3, "slim-bookworm"),
        "all of a version, on one release"
    );
    let bases = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    for base in bases {
        let base = base.split(' ').next().unwrap_or_default();
        assert!(["${RUST_IMAGE}", "scratch", "image"].contains(&base), "{base} is not pinned");
    }
    // What is fetched while building is what Cargo.lock has checksums of, and nothing else.
    for word in ["ADD ", "http://", "https://", "curl", "wget", "apt-get", "HEALTHCHECK"] {
        assert!(!dockerfile.contains(word), "{word}");
    }
}

#[test]
fn a_build_sees_the_source_of_the_programs_and_nothing_else() {
    let context = build_context();
    let tops = std::fs::read_dir(context.root()).expect("a folder").flatten();
    let tops: BTreeSet<_> =
        tops.map(|top| top.file_name().to_string_lossy().into_owned()).collect();
    let wanted = [
        ".cargo",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "admin-cli",
        "crates",
        "deploy",
        "health-prober",
        "proto",
        "router-node",
        "tests",
    ];
    assert_eq!(tops, wanted.map(str::to_owned).into());
    assert!(context.root().join(".cargo/protoc").is_file());
    // A member of the workspace that the build does not see would end it here.
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--locked", "--offline", "--format-version", "1", "--quiet"]);
    let metadata = metadata.current_dir(context.root()).output().expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
}

#[test]
fn an_image_has_one_program_and_what_it_needs() {
    for target in TARGETS {
        let image = Image::build(target);
        for file in files(&image.root()) {
            let known =
                file == format!("usr/bin/{target}") || FILES.iter().any(|f| file.ends_with(f));
            assert!(known, "{target} has {file}");
        }
        assert_eq!(image.text("User"), USER);
        assert_eq!(image.text("WorkingDir"), "/var/lib/trunkline");
        assert_eq!(image.words("Entrypoint"), [format!("/usr/bin/{target}")]);
        assert!(image.config.get("Healthcheck").is_none(), "probes are the orchestrator's");
        let labels = &image.config["Labels"];
        assert_eq!(labels["org.opencontainers.image.title"], target);
        assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(labels["org.opencontainers.image.licenses"], "Apache-2.0");
        let roots = image.root().join("etc/ssl/certs/ca-certificates.crt");
        let roots = std::fs::read_to_string(roots).expect("the certificates that it trusts");
        assert!(roots.matches("BEGIN CERTIFICATE").count() > 50, "all that Debian trusts");
        let version = Container::of(&image).words(&["--version"]).output();
        let said = String::from_utf8_lossy(&version.stdout).into_owned();
        assert!(said.starts_with(&format!("{target} 0")), "{version:?}");
    }
}

#[test]
fn a_program_that_needs_more_than_images_carry_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut layout = Command::new(repository().join("deploy/docker/layout"));
    // It needs what SELinux knows of files.
    let refused = layout.arg("/bin/ls").arg(folder.path().join("out")).output();
    let refused = refused.expect("a script that runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("which images do not carry"), "{said}");
}

#[test]
fn the_same_program_makes_the_same_image() {
    assert_eq!(Image::build("admin-cli").digest, Image::build("admin-cli").digest);
    assert_ne!(Image::build("admin-cli").digest, Image::build("sim-provider").digest);
}

#[test]
fn an_image_tells_what_it_is_made_of() {
    let image = Image::build("router-node");
    let listed = image.root().join("usr/share/sbom/router-node.cdx.json");
    let script = "import sys\n\
        from cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        sys.exit(str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()) or '') or 0)";
    let checked = python().args(["-c", script]).arg(&listed).output().expect("python runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let listed = std::fs::read_to_string(listed).expect("a list");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let parts = listed["components"].as_array().expect("components");
    let known: BTreeSet<&str> = parts.iter().filter_map(|part| part["name"].as_str()).collect();
    for name in ["tokio", "rustls", "trunkline-core", "libc6", "libgcc-s1", "ca-certificates"] {
        assert!(known.contains(name), "{name} is in a router");
    }
    // Compiled and gone; of tests; of another program.
    for name in ["serde_derive", "proptest", "comfy-table"] {
        assert!(!known.contains(name), "{name} is in no router");
    }
    for part in parts.iter().filter(|part| part["purl"].as_str().is_some_and(is_crate)) {
        assert!(part["licenses"][0]["expression"].is_string(), "{part}");
        let ours = part["licenses"][0]["expression"] == "Apache-2.0" && part["hashes"].is_null();
        assert!(ours || part["hashes"][0]["content"].is_string(), "{part}");
    }
}

fn is_crate(purl: &str) -> bool {
    purl.starts_with("pkg:cargo/")
}

#[tokio::test]
async fn nothing_can_be_written_but_to_a_volume() {
    let image = Image::build("router-node");
    let ports = ["--listen", "--ops", "--admin"].map(|port| [port, "127.0.0.1:0"]).concat();
    let serve = |folder| {
        let words = [&["serve"], &ports[..], &["--store-dir", folder]].concat();
        Container::of(&image).words(&words).volume("/var/lib/trunkline")
    };
    let refused = serve("/data").output();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("Read-only file system"), "{said}");
    let (mut router, _files) = serve("/var/lib/trunkline/data").start("router");
    router.told(|line| line.contains("\"public\":").then_some(())).await;
}

/// What the system says of a process: its user and group, its capabilities, whether it can get more.
fn rights(process: u32) -> [String; 4] {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    ["Uid:", "Gid:", "CapEff:", "NoNewPrivs:"].map(|key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
        line.split_whitespace().next().expect("a value").to_owned()
    })
}

/// Those that a container has: its user is 65532, which is how a user who is not root calls itself there.
fn nobody() -> [String; 4] {
    let [user, group, ..] = rights(std::process::id());
    let [user, group] = [user, group].map(|own| if own == "0" { "65532".to_owned() } else { own });
    [user, group, "0000000000000000".to_owned(), "1".to_owned()]
}

#[test]
fn the_compose_file_gives_away_nothing() {
    let config = config();
    let services = config["services"].as_object().expect("services");
    assert!(services.len() >= 3 + 3 + 5 + 3 + 2, "{:?}", services.keys());
    for (name, service) in services {
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
        assert!(service["privileged"].is_null() && service["network_mode"].is_null(), "{name}");
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}");
        }
        // Prometheus and Grafana write where their images say.
        let watches = ["prometheus", "grafana"].contains(&name.as_str());
        assert!(watches || service["read_only"] == true, "{name}");
        let image = service["image"].as_str().expect("an image");
        let (place, tag) = image.rsplit_once(':').expect("a tag");
        assert!(tag != "latest", "{image}");
        assert!(!service["build"].is_null() || place.matches('/').count() == 2, "{image}");
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let source = mount["source"].as_str().expect("a source");
            if mount["type"] == "bind" {
                assert!(Path::new(source).exists(), "{name}: {source} is not there");
                assert_eq!(mount["read_only"], true, "{name}: {source}");
            }
        }
    }
}

/// Without an engine, from the same files: see `trunkline_tests::images`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_compose_file_is_a_cluster_that_serves() {
    let mut services = Services::new();
    for group in ["etcd-", "alpha", "beta", "gamma", "router-", "prober-"] {
        for service in services.named(group) {
            services.start(&service);
        }
    }
    for (service, port) in ready(&services) {
        let address = SocketAddr::new(services.address(&service), port);
        let operations = Client { address, key: String::new() };
        until(&format!("{service} is ready"), async || {
            TcpStream::connect(address).await.is_ok()
                && operations.get("/readyz").await.status() == 200
        })
        .await;
    }
    for router in services.named("router-") {
        let address = SocketAddr::new(services.address(&router), 8080);
        let reply = Client { address, key: "local".to_owned() }.chat(&chat("sim/chat")).await;
        assert_eq!(reply.status(), 200, "{}", reply.text());
    }
    services.start("prometheus");
    let operator = services.container("admin-cli").words(&["status", "-o", "json"]);
    let seen = || {
        let output = operator.output();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let all_up = |status: &Value| {
        let endpoints = status["items"].as_array().expect("endpoints");
        endpoints.len() == 3 && endpoints.iter().all(|endpoint| endpoint["verdict"] == "up")
    };
    until("all providers are up", async || all_up(&seen())).await;
    scraped(&services).await;
    for (name, process) in services.running() {
        assert_eq!(rights(process.id()), nobody(), "{name}");
    }
}

/// Waits until Prometheus has scraped all routers and probers, and nothing else.
async fn scraped(services: &Services) {
    let address = SocketAddr::new(services.address("prometheus"), 9090);
    let prometheus = Client { address, key: String::new() };
    until("Prometheus listens", async || TcpStream::connect(address).await.is_ok()).await;
    let wanted: BTreeSet<String> =
        ready(services).iter().map(|(service, port)| format!("{service}:{port}")).collect();
    until("every part is scraped", async || {
        let targets = prometheus.get("/api/v1/targets").await.json();
        let targets = targets["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        let up = targets.iter().filter(|target| target["health"] == "up");
        let up = up.filter_map(|target| target["labels"]["instance"].as_str().map(str::to_owned));
        up.collect::<BTreeSet<String>>() == wanted
    })
    .await;
    let rules = prometheus.get("/api/v1/rules").await.json();
    let groups = rules["data"]["groups"].as_array().expect("groups of rules");
    assert!(!groups.is_empty(), "{rules}");
}

/// The services that say when they are ready, and the ports where they say it.
fn ready(services: &Services) -> Vec<(String, u16)> {
    let named = ["router-", "prober-"].map(|group| services.named(group)).concat();
    named.into_iter().map(|service| (service, 9090)).collect()
}
