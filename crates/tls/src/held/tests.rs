//! Files that are replaced while they are in use.

use std::path::Path;

use super::*;

fn write_identity(folder: &Path, name: &str) -> TlsFiles {
    write(folder, rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap())
}

fn write(folder: &Path, params: rcgen::CertificateParams) -> TlsFiles {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let (certificate, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&certificate, made.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    TlsFiles { certificate, key: key_file, client_ca: None }
}

#[test]
fn a_replaced_certificate_is_used_for_new_connections() {
    let folder = tempfile::tempdir().unwrap();
    let tls = ServerTls::load("public", write_identity(folder.path(), "one.test")).unwrap();
    let before = tls.current();
    assert_eq!(tls.look().unwrap(), Look::Unchanged);
    assert!(Arc::ptr_eq(&before, &tls.current()));
    write_identity(folder.path(), "two.test");
    assert_eq!(tls.look().unwrap(), Look::Changed);
    assert!(!Arc::ptr_eq(&before, &tls.current()));
}

#[test]
fn a_half_replaced_pair_keeps_the_last_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_identity(folder.path(), "one.test");
    let tls = ServerTls::load("public", files.clone()).unwrap();
    let before = tls.current();
    let other = rcgen::generate_simple_self_signed(vec!["two.test".to_owned()]).unwrap();
    std::fs::write(&files.certificate, other.cert.pem()).unwrap();
    let refused = tls.look().unwrap_err().to_string();
    assert!(refused.contains("tls.key is not the key of"), "{refused}");
    // A file that is being written is no PEM yet.
    std::fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    assert!(tls.look().unwrap_err().to_string().contains("tls.crt"));
    assert!(Arc::ptr_eq(&before, &tls.current()));
}

#[test]
fn a_certificate_that_has_ended_does_not_replace_one_that_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let tls = ServerTls::load("public", write_identity(folder.path(), "one.test")).unwrap();
    let (before, end) = (tls.current(), tls.expiry().certificate_s.unwrap());
    assert!(end > now_s());
    let mut params = rcgen::CertificateParams::new(vec!["one.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 2, 29);
    write(folder.path(), params);
    assert!(matches!(tls.look(), Err(TlsError::Expired { .. })));
    assert!(Arc::ptr_eq(&before, &tls.current()));
    assert_eq!(tls.expiry().certificate_s, Some(end));
}

#[tokio::test]
async fn whoever_waits_for_a_change_hears_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_identity(folder.path(), "one.test");
    let identity = Some((files.certificate.clone(), files.key));
    let files = ClientFiles { ca: files.certificate, identity };
    let tls = ClientTls::load("etcd", files).unwrap();
    let known = tls.pem();
    write_identity(folder.path(), "two.test");
    let (changed, looked) = tokio::join!(tls.changed(&known), async { tls.look() });
    assert_eq!((changed, looked.unwrap()), ((), Look::Changed));
    assert!(!Arc::ptr_eq(&known, &tls.pem()));
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = write_identity(folder.path(), "one.test");
    let load = |files: &TlsFiles| ServerTls::load("public", files.clone()).unwrap_err();
    files.client_ca = Some(folder.path().join("ca.crt"));
    let error = load(&files).to_string();
    assert!(error.contains("ca.crt"), "{error}");
    std::fs::write(folder.path().join("ca.crt"), "not a certificate").unwrap();
    let error = load(&files);
    assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
    files.client_ca = None;
    std::fs::write(&files.key, "not a key").unwrap();
    let error = load(&files);
    assert!(matches!(error, TlsError::Pem { .. }), "{error}");
}
