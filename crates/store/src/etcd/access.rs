//! Access control of an etcd, as its administrator sees and changes it. What should be so is decided in
//! [`rights`]; here it is read and done.

mod rights;

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{Error, Permission, PermissionType, RoleRevokePermissionOptions, UserAddOptions};

pub use rights::{May, Parts, Range, Rights, Step};

use super::EtcdOptions;
use super::call::{CALL_MAX, Cluster, Risk};
use super::link::Link;
use crate::port::{Access, StoreError};

/// The user, and its role, that etcd gives everything to.
pub(super) const ROOT_USER: &str = "root";
/// Marks in etcd's messages that something is so already.
const DONE_BEFORE: [&str; 3] = ["already exists", "is already granted", "is not granted"];
/// What etcd answers to whoever wants to log in while it asks nobody who they are.
const NOT_ENFORCED: &str = "authentication is not enabled";
/// What it answers otherwise: root has no password.
const REFUSED: [&str; 2] = ["authentication failed", "no password"];

/// An administrator of an etcd's access control: with a certificate of root, once it is enforced.
#[derive(Debug)]
pub struct Administrator {
    cluster: Cluster,
}

impl Administrator {
    /// Nobody is asked yet.
    ///
    /// # Errors
    /// As for [`super::Etcd::new`].
    pub fn new(options: EtcdOptions) -> Result<Self, StoreError> {
        Ok(Self { cluster: Cluster::new(options.checked()?) })
    }

    /// All users and roles.
    ///
    /// # Errors
    /// [`StoreError::Denied`] to whoever is not root once it is enforced; what keeps etcd from answering.
    pub async fn rights(&self) -> Result<Rights, StoreError> {
        self.cluster.call(Risk::Repeatable, CALL_MAX, read).await
    }

    /// Does one step. Doing it twice is as good as once.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for turning access control on without a certificate of root, which would lock the
    /// administrator out; what etcd refuses; what keeps it from answering.
    pub async fn take(&self, step: &Step) -> Result<(), StoreError> {
        let user = self.cluster.user();
        if *step == Step::Enforce && user.as_deref() != Some(ROOT_USER) {
            let user = user.unwrap_or_default();
            let reason = format!(
                "this certificate is of `{user}`: once access control is on, only one of root may change it; \
                 use a certificate with the common name root"
            );
            return Err(StoreError::invalid(reason));
        }
        self.cluster.call(Risk::Repeatable, CALL_MAX, |link| take(link, step.clone())).await
    }
}

/// What access control lets our own user do, as far as etcd tells.
pub(super) async fn own(cluster: &Cluster, user: Option<String>) -> Access {
    let ask = |link: Link| {
        let user = user.clone();
        async move { own_rights(link, user).await }
    };
    cluster.call(Risk::Repeatable, CALL_MAX, ask).await.unwrap_or_default()
}

async fn own_rights(link: Link, user: Option<String>) -> Result<Access, Error> {
    if !is_enforced(&link).await? {
        return Ok(Access::Open);
    }
    let Some(user) = user else { return Ok(Access::Untold) };
    let mut client = link.client.auth_client();
    let mut may_write = BTreeSet::new();
    for role in client.user_get(user.as_str()).await?.roles() {
        if role == ROOT_USER {
            may_write.insert("everything".to_owned());
        }
        let grants = grants(client.role_get(role.as_str()).await?.permissions());
        let writable = grants.into_iter().filter(|(_, may)| may.writes());
        may_write.extend(writable.map(|(range, _)| range.to_string()));
    }
    Ok(Access::Confined { user, may_write: may_write.into_iter().collect() })
}

async fn read(link: Link) -> Result<Rights, Error> {
    let mut rights = Rights { enforced: is_enforced(&link).await?, ..Rights::default() };
    let mut client = link.client.auth_client();
    for role in client.role_list().await?.roles() {
        let granted = grants(client.role_get(role.as_str()).await?.permissions());
        rights.roles.insert(role.clone(), granted);
    }
    for user in client.user_list().await?.users() {
        let roles = client.user_get(user.as_str()).await?.roles().iter().cloned().collect();
        rights.users.insert(user.clone(), roles);
    }
    Ok(rights)
}

/// There is a question for it, which the client does not know and only root may ask. Anybody may try to log in,
/// and etcd says whether that makes sense before it looks at who it is.
async fn is_enforced(link: &Link) -> Result<bool, Error> {
    match link.client.auth_client().authenticate(ROOT_USER.to_owned(), String::new()).await {
        Ok(_) => Ok(true),
        Err(Error::GRpcStatus(status)) if status.message().contains(NOT_ENFORCED) => Ok(false),
        Err(Error::GRpcStatus(status)) if REFUSED.iter().any(|m| status.message().contains(m)) => {
            Ok(true)
        }
        Err(other) => Err(other),
    }
}

fn grants(permissions: Vec<Permission>) -> BTreeMap<Range, May> {
    let grant = |permission: Permission| {
        let may = match PermissionType::try_from(permission.get_type()) {
            Ok(PermissionType::Read) => May::Read,
            Ok(PermissionType::Write) => May::Write,
            Ok(PermissionType::Readwrite) | Err(_) => May::Both,
        };
        let (key, end) = (permission.key().to_vec(), permission.range_end().to_vec());
        (Range { key, end }, may)
    };
    permissions.into_iter().map(grant).collect()
}

async fn take(link: Link, step: Step) -> Result<(), Error> {
    let mut client = link.client.auth_client();
    let done = match step {
        Step::AddRole(role) => client.role_add(role).await.map(drop),
        Step::Allow { role, range, may } => {
            let kind = match may {
                May::Read => PermissionType::Read,
                May::Write => PermissionType::Write,
                May::Both => PermissionType::Readwrite,
            };
            let permission = Permission::new(kind, range.key).with_range_end(range.end);
            client.role_grant_permission(role, permission).await.map(drop)
        }
        Step::Forbid { role, range } => {
            let options = RoleRevokePermissionOptions::new().with_range_end(range.end);
            client.role_revoke_permission(role, range.key, Some(options)).await.map(drop)
        }
        Step::AddUser(user) => {
            let options = UserAddOptions::new().with_no_pwd();
            client.user_add(user, "", Some(options)).await.map(drop)
        }
        Step::Give { user, role } => client.user_grant_role(user, role).await.map(drop),
        Step::Enforce => client.auth_enable().await.map(drop),
    };
    match done {
        Err(Error::GRpcStatus(status))
            if DONE_BEFORE.iter().any(|m| status.message().contains(m)) =>
        {
            Ok(())
        }
        other => other,
    }
}
