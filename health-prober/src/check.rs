//! `health-prober --check`: whether a prober could start with its flags. It opens no port and asks no store.

use std::path::Path;

use trunkline_runtime::tls::ServerTls;
use trunkline_store::Etcd;

use crate::config::Cli;

/// Reads the flags and every file that they name.
///
/// # Errors
/// Every mistake, one a line, each with its flag.
pub fn check(cli: &Cli) -> anyhow::Result<()> {
    let mut mistakes = Vec::new();
    if let Err(error) = cli.prober() {
        mistakes.push(error.to_string());
    }
    if let Err(error) = Etcd::new(cli.store()) {
        mistakes.push(format!("--etcd-endpoints: {error}"));
    }
    let files = [
        ("--etcd-ca", &cli.etcd_ca),
        ("--etcd-cert", &cli.etcd_cert),
        ("--etcd-key", &cli.etcd_key),
    ];
    for (flag, file) in files {
        mistakes.extend(file.as_deref().and_then(|file| unreadable(flag, file)));
    }
    match cli.evidence_port() {
        Err(error) => mistakes.push(error.to_string()),
        Ok(port) => {
            if let Some(Err(error)) = port.and_then(|port| port.tls).map(ServerTls::load) {
                mistakes.push(format!("--tls-cert, --tls-key, --tls-client-ca: {error}"));
            }
        }
    }
    anyhow::ensure!(mistakes.is_empty(), mistakes.join("\n"));
    Ok(())
}

fn unreadable(flag: &str, file: &Path) -> Option<String> {
    let error = std::fs::File::open(file).err()?;
    Some(format!("{flag}: `{}` cannot be read: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn checked(flags: &[&str]) -> Result<(), String> {
        let usual = ["health-prober", "--check", "--id", "p1", "--zone", "a"];
        let cli = Cli::try_parse_from(usual.iter().chain(flags)).map_err(|e| e.to_string())?;
        check(&cli).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_that_a_prober_could_start_with_are_in_order() {
        assert_eq!(checked(&["--etcd-endpoints", "http://etcd-0:2379"]), Ok(()));
    }

    #[test]
    fn every_mistake_is_named_with_its_flag() {
        let files =
            ["--etcd-ca", "/no/ca.pem", "--etcd-cert", "/no/cert.pem", "--etcd-key", "/no/key.pem"];
        let others = ["--etcd-endpoints", "http://etcd-0:2379", "--listen", "0.0.0.0:7000"];
        let said = checked(&[&files[..], &others].concat()).unwrap_err();
        let mistakes: Vec<&str> = said.lines().collect();
        let flags = ["--etcd-endpoints", "--etcd-ca", "--etcd-cert", "--etcd-key", "--listen"];
        assert_eq!(mistakes.len(), flags.len(), "{said}");
        for (mistake, flag) in mistakes.iter().zip(flags) {
            assert!(mistake.starts_with(flag), "{said}");
        }
    }
}
