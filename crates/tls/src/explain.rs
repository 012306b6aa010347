//! What a handshake that failed means: whose certificate is refused, why, and which file to look at.

use std::error::Error;
use std::io;

use rustls::CertificateError as Refusal;

use crate::ClientFiles;
use crate::held::now_s;

/// What rustls says when the other side gave up; the reason follows.
const ALERT: &str = "received fatal alert: ";

impl ClientFiles {
    /// What is wrong, in words that name the file to look at; `None` when it is not about certificates.
    #[must_use]
    pub fn explain(&self, error: &(dyn Error + 'static)) -> Option<String> {
        let mut link = Some(error);
        while let Some(cause) = link {
            if let Some(rustls::Error::InvalidCertificate(refusal)) = cause.downcast_ref() {
                return Some(self.of_theirs(refusal));
            }
            // Libraries below ours hand on the words alone.
            let said = cause.to_string();
            if let Some((_, alert)) = said.split_once(ALERT) {
                let end = alert.find(|c: char| !c.is_alphanumeric()).unwrap_or(alert.len());
                return Some(self.of_ours(alert.get(..end).unwrap_or(alert)));
            }
            // The source of a wrapping I/O error is that of what it wraps, which would be left out.
            let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            link = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source());
        }
        None
    }

    /// We refuse the server's certificate.
    fn of_theirs(&self, refusal: &Refusal) -> String {
        let ca = self.ca.display();
        match refusal {
            Refusal::Expired => "its certificate has expired".to_owned(),
            Refusal::ExpiredContext { not_after, .. } => {
                let ago_s = now_s().saturating_sub(not_after.as_secs());
                format!("its certificate expired {ago_s} s ago")
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
        let ends = UnixTime::since_unix_epoch(Duration::from_secs(now_s() - 60));
        let expired = Refusal::ExpiredContext { time: UnixTime::now(), not_after: ends };
        assert!(theirs(expired).starts_with("its certificate expired 6"));
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
    fn what_is_not_about_certificates_is_left_to_others() {
        let files = ClientFiles { ca: "ca.pem".into(), identity: None };
        assert_eq!(files.explain(&io::Error::other("no route to host")), None);
    }
}
