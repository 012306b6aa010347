//! What the project ships for cert-manager is what the chart's production values name, and its names are those by
//! which our programs know a server.

use std::sync::Arc;

use serde_json::Value;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use trunkline_tests::authority::Authority;

use super::helm::{Rendered, as_documented, documents, each, in_repository, text, variant};
use super::router_config;

/// What a `Certificate` of cert-manager.io/v1 may say of those things that are used here.
const FIELDS: [&str; 10] = [
    "commonName",
    "dnsNames",
    "duration",
    "ipAddresses",
    "isCA",
    "issuerRef",
    "privateKey",
    "renewBefore",
    "secretName",
    "usages",
];
/// And what a certificate may be for.
const USAGES: [&str; 3] = ["digital signature", "server auth", "client auth"];

fn shipped() -> Rendered {
    manifests("cert-manager", &[])
}

/// A file beside that for cert-manager, as these versions of Kubernetes take it.
fn manifests(name: &str, versions: &[&str]) -> Rendered {
    let file = std::fs::read(in_repository(&format!("deploy/tls/{name}.yaml"))).unwrap();
    Rendered(documents(&file, versions))
}

fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

/// Hours of a duration such as `720h`.
fn hours(duration: &Value) -> u64 {
    text(duration).strip_suffix('h').unwrap().parse().unwrap()
}

#[test]
fn what_cert_manager_is_told_fits_together() {
    let shipped = shipped();
    for object in &shipped.0 {
        assert_eq!(object["apiVersion"], "cert-manager.io/v1", "{object}");
        assert_eq!(object["metadata"]["namespace"], "trunkline", "{object}");
    }
    for certificate in shipped.of("Certificate") {
        let (spec, name) = (&certificate["spec"], name(certificate));
        let fields = spec.as_object().unwrap().keys();
        fields.for_each(|field| assert!(FIELDS.contains(&field.as_str()), "{name}: {field}"));
        each(&spec["usages"]).for_each(|usage| assert!(USAGES.contains(&text(usage)), "{usage}"));
        assert_eq!(spec["secretName"], name);
        assert!(hours(&spec["renewBefore"]) * 2 < hours(&spec["duration"]), "{name}");
        let issuer = text(&spec["issuerRef"]["name"]);
        assert!(shipped.named("Issuer", issuer).is_some(), "{name}: nobody is called {issuer}");
    }
}

#[test]
fn production_values_name_what_cert_manager_makes() {
    let (shipped, release) = (shipped(), as_documented(&variant("production")));
    let mut seen = 0;
    for (pod, _, spec) in release.pods() {
        for volume in each(&spec["volumes"]).filter(|it| text(&it["name"]).starts_with("tls-")) {
            let driver = &volume["csi"]["volumeAttributes"]["csi.cert-manager.io/issuer-name"];
            let (kind, wanted) = match driver.as_str() {
                Some(issuer) => ("Issuer", issuer),
                None => ("Certificate", text(&volume["secret"]["secretName"])),
            };
            assert!(shipped.named(kind, wanted).is_some(), "{pod} wants the {kind} {wanted}");
            seen += 1;
        }
    }
    // Four identities of a router and two of a prober, in three zones.
    assert_eq!(seen, 3 * (4 + 2));
}

#[test]
fn rights_in_etcd_are_those_of_the_production_values() {
    let (shipped, release) = (shipped(), as_documented(&variant("production")));
    let job = manifests("bootstrap-etcd", &super::VERSIONS).0.remove(0);
    let pod = &job["spec"]["template"]["spec"];
    let (_, _, router) = release.pods().remove(0);
    assert_eq!(pod["securityContext"], router["securityContext"]);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"], router["containers"][0]["securityContext"]);
    let root = text(&pod["volumes"][0]["secret"]["secretName"]);
    let root = shipped.named("Certificate", root).unwrap();
    assert_eq!(root["spec"]["commonName"], "root");
    let said = |flag: &str| -> Vec<&str> {
        let arguments = each(&container["args"]).map(text);
        arguments.filter_map(|word| word.strip_prefix(flag)).collect()
    };
    let probers = release.of("StatefulSet").flat_map(|set| {
        let pods = set["spec"]["replicas"].as_u64().unwrap();
        (0..pods).map(|pod| format!("{}-{pod}", name(set)))
    });
    assert_eq!(said("--prober="), probers.collect::<Vec<_>>());
    let router = shipped.named("Certificate", "trunkline-router").unwrap();
    let user = text(&router["spec"]["commonName"]);
    assert_eq!([said("--routers="), said("--operator=")], [vec![user], vec![user]]);
    let config = router_config(&release);
    let members: Vec<&str> = each(&config["store"]["etcd"]["endpoints"]).map(text).collect();
    assert_eq!(said("--etcd-endpoints="), [members.join(",")]);
}

#[test]
fn the_operator_that_has_a_certificate_has_a_role() {
    let config = router_config(&as_documented(&variant("production")));
    let shipped = shipped();
    let operator = shipped.named("Certificate", "trunkline-alice").unwrap();
    let who = format!("cert/{}", text(&operator["spec"]["commonName"]));
    assert_eq!(config["admin_roles"][who], "admin", "{config}");
}

/// Whether a client of ours that trusts its authority takes a certificate with this name for that server.
fn is_taken(authority: &Authority, name: &str, server: &str) -> bool {
    let read = |path| CertificateDer::from_pem_file(path).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read(authority.ca())).unwrap();
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let [certificate, _] = authority.issue_for("server", name);
    let server = ServerName::try_from(server.to_owned()).unwrap();
    let (certificate, now) = (read(certificate), UnixTime::now());
    let verifier = verifier.build().unwrap();
    verifier.verify_server_cert(&certificate, &[], &server, &[], now).is_ok()
}

#[test]
fn servers_are_known_by_the_names_that_their_certificates_hold() {
    let (shipped, release) = (shipped(), as_documented(&variant("production")));
    let (authority, config) = (Authority::new(), router_config(&release));
    let is_known = |certificate: &str, server: &str| {
        let spec = &shipped.named("Certificate", certificate).unwrap()["spec"];
        assert!(each(&spec["usages"]).any(|usage| *usage == "server auth"), "{certificate}");
        each(&spec["dnsNames"]).any(|name| is_taken(&authority, text(name), server))
    };
    let peer = text(&config["admin_tls"]["peer_name"]);
    assert!(is_known("trunkline-admin", peer), "{peer}");
    for service in ["trunkline-router", "trunkline-router-headless"] {
        assert!(release.named("Service", service).is_some());
        assert!(is_known("trunkline-public", &format!("{service}.trunkline.svc.cluster.local")));
    }
    for endpoint in each(&config["store"]["etcd"]["endpoints"]) {
        let host = text(endpoint).strip_prefix("https://").unwrap().split(':').next().unwrap();
        assert!(is_known("trunkline-etcd", host), "{host}");
    }
    assert!(!is_taken(&authority, "*.etcd", "etcd-0.etcd"), "as the file says of wildcards");
    // A prober's is made for each pod, for the name by which routers are told to reach it.
    let prober = release.of("StatefulSet").next().unwrap();
    let spec = &prober["spec"]["template"]["spec"];
    let mut arguments = each(&spec["containers"][0]["args"]).map(text);
    let told = arguments.find_map(|word| word.strip_prefix("--address=https://")).unwrap();
    let evidence = each(&spec["volumes"]).find(|it| it["name"] == "tls-evidence").unwrap();
    let asked = &evidence["csi"]["volumeAttributes"]["csi.cert-manager.io/dns-names"];
    let asked = text(asked).replace("${POD_NAMESPACE}", "trunkline");
    assert_eq!(asked.replace("${POD_NAME}", "$(POD_NAME)"), told.rsplit_once(':').unwrap().0);
}
