//! Flags of `bootstrap` and `doctor`.

use clap::{Args, Subcommand};

use crate::etcd::EtcdFlags;

/// What can be set up before there is a router to ask.
#[derive(Clone, Debug, Subcommand)]
pub enum BootstrapVerb {
    /// Give the parts of a cluster their users and roles in etcd, and turn access control on; for this
    /// it needs a certificate with the common name root
    Etcd(BootstrapEtcdArgs),
}

/// Flags of `bootstrap etcd`.
#[derive(Clone, Debug, Args)]
pub struct BootstrapEtcdArgs {
    /// Where it is, and who asks.
    #[command(flatten)]
    pub etcd: EtcdFlags,
    /// A router with a certificate of its own, by its common name, which is the router's node_id; several times for several
    #[arg(long, value_name = "NAME")]
    pub router: Vec<String>,
    /// A certificate that many routers share, by its common name
    #[arg(long, value_name = "NAME")]
    pub routers: Vec<String>,
    /// A prober, by its certificate's common name, which is its --id; several times for several
    #[arg(long, value_name = "NAME")]
    pub prober: Vec<String>,
    /// A router that operators' edits go through, named by --router or --routers, too
    #[arg(long, value_name = "NAME")]
    pub operator: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// Flags of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// With these it looks at etcd's users and roles, too, for which it needs a certificate of root.
    #[command(flatten)]
    pub etcd: EtcdFlags,
}
