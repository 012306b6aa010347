//! etcd itself, for what no router can do: the first users and roles, and a look at everybody's. The only place
//! that knows the store; all else goes through the admin API.

use trunkline_store::access::{Administrator, Parts, Rights, Step};
use trunkline_store::keys::Segment;
use trunkline_store::port::Store;
use trunkline_store::{ClientTls, Etcd, EtcdOptions, StoreError};

pub use trunkline_store::EtcdFlags;
pub use trunkline_store::port::Flaw;

use crate::Failure;
use crate::cli::BootstrapEtcdArgs;

/// Connects as an administrator.
///
/// # Errors
/// [`Failure::Usage`] for flags that make no sense, a file that cannot be used.
pub fn administrator(args: &EtcdFlags) -> Result<Administrator, Failure> {
    Administrator::new(options(args)?).map_err(said)
}

/// All that an administrator sees is wrong with the store.
///
/// # Errors
/// As for [`administrator`]; what keeps etcd from answering.
pub async fn flaws(args: &EtcdFlags) -> Result<Vec<Flaw>, Failure> {
    let about = Etcd::new(options(args)?).map_err(said)?.about().await.map_err(said)?;
    let mut flaws = about.flaws();
    let of_rights = administrator(args)?.rights().await.map_err(said)?.flaws();
    // What the members tell of access control is known better from its rights.
    flaws.retain(|flaw| of_rights.iter().all(|better| better.code != flaw.code));
    flaws.extend(of_rights);
    Ok(flaws)
}

/// What the store said, as a failure of this program.
pub fn said(error: StoreError) -> Failure {
    match error {
        StoreError::Invalid { reason } => Failure::Usage(reason),
        StoreError::Denied { reason } => Failure::Etcd(format!(
            "{reason}; for this it needs a certificate with the common name root"
        )),
        other => Failure::Etcd(other.to_string()),
    }
}

/// What is to be done so that the parts that flags name have what they need.
///
/// # Errors
/// [`Failure::Usage`] for a name that no key can hold; what keeps etcd from answering.
pub async fn steps(
    administrator: &Administrator,
    args: &BootstrapEtcdArgs,
) -> Result<Vec<Step>, Failure> {
    let wanted = Rights::wanted(&parts(args)?);
    Ok(administrator.rights().await.map_err(said)?.steps_to(&wanted))
}

fn parts(args: &BootstrapEtcdArgs) -> Result<Parts, Failure> {
    let named = |flag: &str, names: &[String]| -> Result<Vec<Segment>, Failure> {
        let segment = |name: &String| {
            Segment::new(name).ok_or_else(|| {
                Failure::Usage(format!("{flag}: `{name}` is no name that a key can hold"))
            })
        };
        names.iter().map(segment).collect()
    };
    Ok(Parts {
        routers: named("--router", &args.router)?,
        shared_routers: named("--routers", &args.routers)?,
        probers: named("--prober", &args.prober)?,
        operators: named("--operator", &args.operator)?,
    })
}

fn options(args: &EtcdFlags) -> Result<EtcdOptions, Failure> {
    let members = args.etcd_endpoints.clone();
    if members.is_empty() {
        return Err(Failure::Usage("say where etcd is: --etcd-endpoints URL,…".to_owned()));
    }
    let tls = args.tls().map(|files| ClientTls::load("etcd", files)).transpose();
    let tls = tls.map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(EtcdOptions { members, tls })
}
