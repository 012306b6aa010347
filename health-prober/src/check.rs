//! `health-prober --check`: whether a prober could start with its flags. It opens no port and asks no store.

use trunkline_runtime::tls::{ClientTls, ServerTls};
use trunkline_store::{Etcd, EtcdOptions};

use crate::config::Cli;
use crate::tuning::Tuning;

/// Reads the flags and every file that they name.
///
/// # Errors
/// Every mistake, one a line, each with its flag.
pub fn check(cli: &Cli) -> anyhow::Result<()> {
    let mut mistakes = Vec::new();
    if let Err(error) = cli.prober() {
        mistakes.push(error.to_string());
    }
    if let Err(problems) = Tuning::read(cli) {
        mistakes.push(problems.to_string());
    }
    let tls = cli.etcd.tls().map(|files| ClientTls::load("etcd", files)).transpose();
    match tls {
        Err(error) => mistakes.push(format!("--etcd-ca, --etcd-cert, --etcd-key: {error}")),
        Ok(tls) => {
            let members = cli.etcd.etcd_endpoints.clone();
            if let Err(error) = Etcd::new(EtcdOptions { members, tls }) {
                mistakes.push(format!("--etcd-endpoints: {error}"));
            }
        }
    }
    match cli.evidence_port().map(|port| port.and_then(|port| port.tls)) {
        Err(error) => mistakes.push(error.to_string()),
        Ok(files) => {
            let loaded = files.map(|files| ServerTls::load("evidence", files));
            if let Some(Err(error)) = loaded {
                mistakes.push(format!("--tls-cert, --tls-key, --tls-client-ca: {error}"));
            }
        }
    }
    anyhow::ensure!(mistakes.is_empty(), mistakes.join("\n"));
    Ok(())
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
    fn an_address_that_is_none_is_named() {
        let said = checked(&["--etcd-endpoints", "etcd-0"]).unwrap_err();
        assert!(said.starts_with("--etcd-endpoints: "), "{said}");
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
        let flags = ["--etcd-ca, --etcd-cert, --etcd-key: ", "--listen"];
        assert_eq!(mistakes.len(), flags.len(), "{said}");
        for (mistake, flag) in mistakes.iter().zip(flags) {
            assert!(mistake.starts_with(flag), "{said}");
        }
    }
}
