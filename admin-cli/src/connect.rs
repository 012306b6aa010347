//! The connection to a router's admin API.

use std::path::Path;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use trunkline_proto::admin::v1::admin_service_client::AdminServiceClient;
use trunkline_tls::ClientFiles;

use crate::Failure;
use crate::cli::Connection;
use crate::contexts::{self, Reach};

/// A router that does not take the connection by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No call takes this long: the slowest reads the whole store once.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A list of 2,000 endpoints with their states is some 2 MiB.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// How our own library begins to say that an answer is no gRPC …
const NO_GRPC: &str = "protocol error";
/// … that a connection ended without an answer …
const BROKEN_OFF: &str = "transport error";
/// … and that an answer to a handshake is no TLS.
const NO_TLS: &str = "InvalidContentType";

/// The admin API, with the key that each call carries.
pub type Admin = AdminServiceClient<InterceptedService<Channel, WithKey>>;

/// Adds the key to each call.
#[derive(Clone)]
pub struct WithKey(Option<MetadataValue<Ascii>>);

impl Interceptor for WithKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("authorization", key.clone());
        }
        Ok(request)
    }
}

/// Connects.
///
/// # Errors
/// [`Failure::Usage`] for an address, key or certificate that is none, [`Failure::Unreachable`] when nobody
/// answers.
pub async fn connect(flags: &Connection) -> Result<Admin, Failure> {
    let to = &contexts::resolve(flags)?;
    if !["http://", "https://"].iter().any(|scheme| to.endpoint.starts_with(scheme)) {
        let message = format!("--endpoint: {}: write http://HOST:PORT or https://…", to.endpoint);
        return Err(Failure::Usage(message));
    }
    let key = to.key.as_deref().map(bearer).transpose()?;
    let endpoint = Endpoint::from_shared(to.endpoint.clone()).map_err(|e| {
        Failure::Usage(format!("--endpoint: {}: {e}; write http://HOST:PORT", to.endpoint))
    })?;
    let mut endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
    if let Some(tls) = tls(to)? {
        endpoint = endpoint.tls_config(tls).map_err(|e| Failure::Usage(format!("--ca: {e}")))?;
    }
    let channel = endpoint.connect().await.map_err(|e| Failure::Unreachable {
        endpoint: to.endpoint.clone(),
        reason: explained(to, &e).unwrap_or_else(|| innermost(&e)),
    })?;
    let client = AdminServiceClient::with_interceptor(channel, WithKey(key));
    Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES))
}

/// The failure in better words, when it is about how the router is reached: one that refuses our certificate, or
/// is no router's admin API at all, shows only in answer to the first call.
pub fn refused(flags: &Connection, failure: Failure) -> Failure {
    let Failure::Status(status) = &failure else { return failure };
    let Ok(to) = contexts::resolve(flags) else { return failure };
    let reason = explained(&to, status.as_ref());
    if let Some(reason) = reason.or_else(|| misdirected(&to, status)) {
        return Failure::Unreachable { endpoint: to.endpoint, reason };
    }
    let keyless = to.key.as_ref().is_none_or(String::is_empty) && to.cert.is_none();
    match status.code() {
        Code::Unauthenticated if keyless => Failure::Status(Box::new(Status::unauthenticated(
            "no API key: set TRUNKLINE_ADMIN_KEY, or use a context that names where one is",
        ))),
        _ => failure,
    }
}

/// What it means when the other side does not speak as an admin API does.
fn misdirected(to: &Reach, status: &Status) -> Option<String> {
    let said = status.message();
    let unknown = status.code() == Code::Unimplemented && status.get_details_error_info().is_none();
    if unknown || said.starts_with(NO_GRPC) {
        return Some(
            "this port is not a router's admin API, which is at 9091 by default, or its release does not know this call"
                .to_owned(),
        );
    }
    let broken = said == BROKEN_OFF && to.endpoint.starts_with("http://");
    broken.then(|| {
        let cause = innermost(status);
        format!("{cause}; if this port speaks TLS, write https:// and say who signed it with --ca")
    })
}

/// What a failed handshake means, in words that name the file.
fn explained(to: &Reach, error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let ca = to.ca.clone()?;
    if innermost(error).contains(NO_TLS) {
        return Some(
            "this port does not speak TLS; write http://, or the port that does".to_owned(),
        );
    }
    ClientFiles { ca, identity: to.cert.clone().zip(to.cert_key.clone()) }.explain_first(error)
}

fn bearer(key: &str) -> Result<MetadataValue<Ascii>, Failure> {
    let mut value = MetadataValue::try_from(format!("Bearer {key}"))
        .map_err(|_| Failure::Usage("the key has characters that no key has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// How to speak TLS, where it is spoken.
fn tls(to: &Reach) -> Result<Option<ClientTlsConfig>, Failure> {
    let identity = match (&to.cert, &to.cert_key) {
        (Some(cert), Some(key)) => {
            Some(Identity::from_pem(read("--cert", cert)?, read("--cert-key", key)?))
        }
        (None, None) => None,
        _ => return Err(Failure::Usage("--cert and --cert-key belong together".to_owned())),
    };
    let Some(ca) = &to.ca else {
        let message = match identity.is_some() {
            true => "a certificate needs --ca, which says whose router it is shown to",
            false if to.endpoint.starts_with("https://") => {
                "https:// needs --ca, which says who signed the router's certificate"
            }
            false => return Ok(None),
        };
        return Err(Failure::Usage(message.to_owned()));
    };
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("--ca", ca)?));
    Ok(Some(match identity {
        Some(identity) => tls.identity(identity),
        None => tls,
    }))
}

fn read(flag: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|e| Failure::Usage(format!("{flag}: {}: {e}", file.display())))
}

/// The cause at the bottom, which says what happened; those above say only "transport error".
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
