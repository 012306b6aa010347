//! The flags by which a command line says where etcd is, and who asks: declared once, so that they are the same for
//! every program. What a program makes of them is its own.

use std::path::PathBuf;

use clap::Args;
use trunkline_tls::ClientFiles;

/// Where etcd is, and who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct EtcdFlags {
    /// The members of the etcd that holds a cluster's state, as URLs
    #[arg(long, env = "TRUNKLINE_ETCD_ENDPOINTS", value_name = "URL,…", value_delimiter = ',')]
    pub etcd_endpoints: Vec<String>,
    /// Who signed etcd's certificates
    #[arg(long, env = "TRUNKLINE_ETCD_CA", value_name = "FILE")]
    pub etcd_ca: Option<PathBuf>,
    /// Our certificate to etcd; its common name is the etcd user
    #[arg(long, env = "TRUNKLINE_ETCD_CERT", value_name = "FILE", requires = "etcd_key")]
    pub etcd_cert: Option<PathBuf>,
    /// The key of our certificate to etcd
    #[arg(long, env = "TRUNKLINE_ETCD_KEY", value_name = "FILE", requires_all = ["etcd_ca", "etcd_cert"])]
    pub etcd_key: Option<PathBuf>,
}

impl EtcdFlags {
    /// How we reach etcd over TLS, and who we are to it, where it asks for that; `None` for no TLS.
    #[must_use]
    pub fn tls(&self) -> Option<ClientFiles> {
        let identity = self.etcd_cert.clone().zip(self.etcd_key.clone());
        self.etcd_ca.clone().map(|ca| ClientFiles { ca, identity })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        etcd: EtcdFlags,
    }

    fn said(words: &[&str]) -> Option<EtcdFlags> {
        let words = [&["program"], words].concat();
        Program::try_parse_from(words).ok().map(|program| program.etcd)
    }

    #[test]
    fn members_are_a_list_and_an_identity_is_whole_or_nothing() {
        let plain = said(&["--etcd-endpoints", "http://a:1,http://b:2"]).unwrap();
        assert_eq!((plain.etcd_endpoints.len(), plain.tls()), (2, None));
        assert_eq!(said(&[]), Some(EtcdFlags::default()));
        let files = ["--etcd-ca", "ca.pem", "--etcd-cert", "a.pem", "--etcd-key", "a.key"];
        let identity = Some((PathBuf::from("a.pem"), PathBuf::from("a.key")));
        let whole = ClientFiles { ca: PathBuf::from("ca.pem"), identity };
        assert_eq!(said(&files).unwrap().tls(), Some(whole));
        let nobody = ClientFiles { ca: PathBuf::from("ca.pem"), identity: None };
        assert_eq!(said(&files[..2]).unwrap().tls(), Some(nobody));
        for part in [&files[2..4], &files[4..], &files[..4], &files[2..]] {
            assert_eq!(said(part), None, "{part:?}");
        }
    }
}
