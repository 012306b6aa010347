//! What a handshake that failed means: whose certificate is refused, why, and which file to look at.

use std::error::Error;
use std::io;
use std::path::Path;

use rustls::CertificateError as Refusal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::ClientFiles;
use crate::certificate::{expires_s, moment};
use crate::held::now_s;

/// What rustls says when the other side gave up; the reason follows.
const ALERT: &str = "received fatal alert: ";
/// What is said when the other side gave up and the reason was lost: in TLS 1.3 a server refuses a certificate after
/// the client has begun to speak.
const CLOSED: [&str; 3] = ["connection closed", "onnection reset", "roken pipe"];

impl ClientFiles {
    /// What is wrong, in words that name the file to look at; `None` when it is not said to be about certificates.
    #[must_use]
    pub fn explain(&self, error: &(dyn Error + 'static)) -> Option<String> {
        causes(error).find_map(|cause| {
            if let Some(rustls::Error::InvalidCertificate(refusal)) = cause.downcast_ref() {
                return Some(self.of_theirs(refusal));
            }
            // Libraries below ours hand on the words alone.
            let said = cause.to_string();
            let (_, alert) = said.split_once(ALERT)?;
            let end = alert.find(|c: char| !c.is_alphanumeric()).unwrap_or(alert.len());
            Some(self.of_ours(alert.get(..end).unwrap_or(alert)))
        })
    }

    /// The same for the first call on a connection, whose end is a word, too. Reads our certificate.
    #[must_use]
    pub fn explain_first(&self, error: &(dyn Error + 'static)) -> Option<String> {
        let closed = |said: &str| CLOSED.iter().any(|mark| said.contains(mark));
        self.explain(error).or_else(|| {
            let (cert, _) = self.identity.as_ref()?;
            causes(error).any(|cause| closed(&cause.to_string())).then(|| of_closed(cert))
        })
    }

    /// We refuse the server's certificate.
    fn of_theirs(&self, refusal: &Refusal) -> String {
        let ca = self.ca.display();
        match refusal {
            Refusal::Expired => "its certificate has expired".to_owned(),
            Refusal::ExpiredContext { not_after, .. } => {
                format!("its certificate expired at {}", moment(not_after.as_secs()))
            }
            Refusal::NotValidYet | Refusal::NotValidYetContext { .. } => {
                "its certificate is not valid yet: compare the clocks".to_owned()
            }
            Refusal::NotValidForNameContext { expected, presented } => {
                let (name, names) = (expected.to_str(), presented.join(", "));
                format!("its certificate is not for the name {name}, but for {names}")
            }
            Refusal::NotValidForName => "its certificate is for another name".to_owned(),
            // The second is what it looks like when two authorities have one name.
            Refusal::UnknownIssuer | Refusal::BadSignature => {
                format!("its certificate comes from an authority that is not in {ca}")
            }
            other => format!("its certificate is refused: {other} (authorities: {ca})"),
        }
    }

    /// The server refuses ours, with this alert.
    fn of_ours(&self, alert: &str) -> String {
        let Some((cert, _)) = &self.identity else {
            return format!("it asks for a certificate, and none is configured ({alert})");
        };
        let cert = cert.display();
        match alert {
            "CertificateExpired" => format!("it says that our certificate has expired: {cert}"),
            "UnknownCA" => format!("it does not know the authority of our certificate: {cert}"),
            _ => format!("it refuses our certificate ({alert}): {cert}"),
        }
    }
}

/// The server closed the connection when we had shown it this certificate.
fn of_closed(cert: &Path) -> String {
    let own = CertificateDer::from_pem_file(cert).ok();
    let ended = own.and_then(|der| expires_s(&der)).filter(|end_s| *end_s <= now_s());
    let cert = cert.display();
    match ended {
        Some(end_s) => format!("our certificate has expired at {}: {cert}", moment(end_s)),
        None => {
            format!("it closed the connection, as it does when it refuses our certificate: {cert}")
        }
    }
}

/// An error and all that it came of.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| {
        // The source of a wrapping I/O error is that of what it wraps, which would be left out.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{ServerName, UnixTime};
    use std::time::Duration;

    use super::*;

    fn explained(error: rustls::Error) -> String {
        let identity = Some(("me.pem".into(), "me.key".into()));
        let files = ClientFiles { ca: "ca.pem".into(), identity };
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, io::Error::other(error));
        files.explain(&wrapped).unwrap()
    }

    #[test]
    fn what_is_wrong_and_where_to_look_is_said() {
        let theirs = |refusal| explained(rustls::Error::InvalidCertificate(refusal));
        assert!(theirs(Refusal::UnknownIssuer).ends_with("an authority that is not in ca.pem"));
        let ends = UnixTime::since_unix_epoch(Duration::from_secs(1_582_934_400));
        let expired = Refusal::ExpiredContext { time: UnixTime::now(), not_after: ends };
        assert_eq!(theirs(expired), "its certificate expired at 2020-02-29 00:00 UTC");
        let expected = ServerName::try_from("etcd-0").unwrap();
        let presented = vec!["etcd-1".to_owned()];
        assert_eq!(
            theirs(Refusal::NotValidForNameContext { expected, presented }),
            "its certificate is not for the name etcd-0, but for etcd-1"
        );
        let alert = rustls::AlertDescription::CertificateExpired;
        let said = "it says that our certificate has expired: me.pem";
        assert_eq!(explained(rustls::Error::AlertReceived(alert)), said);
    }

    #[test]
    fn a_refusal_whose_reason_was_lost_leads_to_our_own_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["me.pem", "me.key"].map(|name| folder.path().join(name));
        let files = ClientFiles { ca: "ca.pem".into(), identity: Some((cert.clone(), key)) };
        let closed = io::Error::other("connection closed");
        assert_eq!(files.explain(&closed), None);
        let told = || files.explain_first(&closed).unwrap();
        assert!(told().starts_with("it closed the connection, as it does when"), "{}", told());
        let mut params = rcgen::CertificateParams::new(vec!["me.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2020, 2, 29);
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        std::fs::write(cert, made.pem()).unwrap();
        assert!(told().starts_with("our certificate has expired"), "{}", told());
    }

    #[test]
    fn what_is_not_about_certificates_is_left_to_others() {
        let files = ClientFiles { ca: "ca.pem".into(), identity: None };
        assert_eq!(files.explain(&io::Error::other("no route to host")), None);
    }
}
