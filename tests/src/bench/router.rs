//! The router under measurement: its program, its configuration and the documents of a realistic catalog.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::dialect::{KEY, MODEL};

/// Models in the catalog, so that looking one up costs what it does in production.
const MODELS: usize = 400;
/// The key's public part.
const KEY_ID: &str = "benchkey";
/// What keys are hashed with when no pepper is configured.
const NO_PEPPER: [u8; 32] = [0; 32];

/// The router's program beside this one, built if it is not there.
///
/// # Errors
/// It cannot be built, or is still not there.
pub fn program() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let program = this.with_file_name("router-node");
    if !program.exists() {
        let mut build = Command::new("cargo");
        build.args(["build", "--package", "router-node", "--bin", "router-node"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let status = build.status().context("cannot run cargo to build the router")?;
        ensure!(status.success(), "building the router ended with {status}");
    }
    ensure!(program.exists(), "the router was not built to {}", program.display());
    Ok(program)
}

/// The router's files for one start: configuration, documents and an empty store.
#[derive(Debug)]
pub struct Setup {
    /// The configuration file.
    pub config: PathBuf,
    /// Where callers connect.
    pub listen: SocketAddr,
    /// Where the router's log goes.
    pub log: PathBuf,
}

impl Setup {
    /// Writes the files into `folder`, which is empty, for a router before `upstream`.
    ///
    /// # Errors
    /// A file that cannot be written, or no free port.
    pub fn write(folder: &Path, upstream: SocketAddr) -> anyhow::Result<Self> {
        let [listen, ops, admin] = free_addresses()?;
        write(folder, "catalog.json", &catalog(upstream))?;
        write(folder, "keys.json", &keys())?;
        let config = write(folder, "router.json", &config([listen, ops, admin]))?;
        Ok(Self { config, listen, log: folder.join("router.log") })
    }
}

fn write(folder: &Path, name: &str, document: &Value) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, document.to_string())?;
    Ok(path)
}

/// Ports that were free just now; all three are held together so that they differ.
fn free_addresses() -> anyhow::Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind("127.0.0.1:0");
    let (one, two, three) = (bind()?, bind()?, bind()?);
    Ok([one.local_addr()?, two.local_addr()?, three.local_addr()?])
}

/// As in production but for one worker, since the router has one processor here, and no wait at the end.
fn config([listen, ops, admin]: [SocketAddr; 3]) -> Value {
    json!({
        "listen": listen.to_string(),
        "ops": ops.to_string(),
        "admin": admin.to_string(),
        "store": {"embedded": {"dir": "data"}},
        "bootstrap": {"catalog": "catalog.json", "keys": "keys.json"},
        "log": {"format": "json", "level": "info"},
        "worker_threads": 1,
        "drain": {"wait_ms": 0, "grace_ms": 0},
    })
}

fn catalog(upstream: SocketAddr) -> Value {
    let others = (1..MODELS).map(|n| format!("bench/other-{n:03}"));
    let models = std::iter::once(MODEL.to_owned()).chain(others);
    let endpoints = models.map(|model| {
        json!({
            "model": model,
            "price": {"input": 0.15, "output": 0.6},
            "context_tokens": 128_000,
            "capabilities": ["chat", "tools", "json_object", "json_schema"],
        })
    });
    json!({
        "version": 1,
        "providers": [{
            "id": "bench",
            "base_url": format!("http://{upstream}/v1"),
            "endpoints": endpoints.collect::<Vec<_>>(),
        }],
    })
}

fn keys() -> Value {
    let hash = blake3::keyed_hash(&NO_PEPPER, KEY.as_bytes()).to_hex();
    json!({"version": 1, "keys": [{"id": KEY_ID, "hash": hash.as_str(), "note": "the benchmark's"}]})
}

#[cfg(test)]
mod tests {
    use router_node::config::{Config, ServeArgs};
    use trunkline_spec as spec;

    use super::*;

    #[test]
    fn the_router_accepts_the_documents() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 9_999));
        let catalog = spec::catalog::parse(&catalog(upstream).to_string()).unwrap();
        assert_eq!(catalog.endpoints.len(), MODELS);
        let keys = spec::keys::parse_against(&keys().to_string(), &catalog).unwrap();
        assert_eq!(keys.len(), 1);
        assert!(KEY.starts_with(&format!("tl_{KEY_ID}_")));
    }

    #[test]
    fn the_router_accepts_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let upstream = SocketAddr::from(([127, 0, 0, 1], 9_999));
        let setup = Setup::write(folder.path(), upstream).unwrap();
        let args = ServeArgs { config: Some(setup.config), ..ServeArgs::default() };
        let config = Config::load(&args).unwrap();
        assert_eq!((config.listen, config.worker_threads), (setup.listen, Some(1)));
        config.bootstrap.read().unwrap();
    }
}
