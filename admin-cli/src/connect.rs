//! The connection to a router's admin API.

use std::path::Path;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
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

/// The failure in better words, when it came of certificates: a router that refuses ours says so only after the
/// connection is made, in answer to the first call.
pub fn refused(flags: &Connection, failure: Failure) -> Failure {
    let Failure::Status(status) = &failure else { return failure };
    let Ok(to) = contexts::resolve(flags) else { return failure };
    match explained(&to, status.as_ref()) {
        Some(reason) => Failure::Unreachable { endpoint: to.endpoint, reason },
        None => failure,
    }
}

/// What a failed handshake means, in words that name the file.
fn explained(to: &Reach, error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let identity = to.cert.clone().zip(to.cert_key.clone());
    ClientFiles { ca: to.ca.clone()?, identity }.explain_first(error)
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
        let message = "a certificate needs --ca, which says whose router it is shown to";
        return identity.map_or(Ok(None), |_| Err(Failure::Usage(message.to_owned())));
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
