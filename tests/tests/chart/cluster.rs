//! What a chart asks of a cluster that it is installed in: an API server that knows Deployments, and nothing else.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use super::helm::{NAMESPACE, Rendered, chart, documents, helm, variant};

/// As many routers as an autoscaler has made.
const SCALED: u64 = 7;

/// What the server says of a path.
fn said(path: &str) -> Option<Value> {
    let version = json!({"groupVersion": "apps/v1", "version": "v1"});
    let group = json!({"name": "apps", "versions": [version], "preferredVersion": version});
    let resource =
        json!({"name": "deployments", "namespaced": true, "kind": "Deployment", "verbs": ["get"]});
    let deployments = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/");
    Some(match path {
        "/version" => json!({"major": "1", "minor": "31", "gitVersion": "v1.31.0"}),
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => json!({"kind": "APIGroupList", "groups": [group]}),
        "/api/v1" => json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": []}),
        "/apis/apps/v1" => {
            json!({"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [resource]})
        }
        path => {
            let name = path.strip_prefix(&deployments)?;
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"replicas": SCALED},
            })
        }
    })
}

fn answer(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    let path = request.split([' ', '?']).nth(1)?;
    let missing =
        || json!({"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404});
    let (status, body) = said(path).map_or_else(|| (404, missing()), |body| (200, body));
    let body = body.to_string();
    let head =
        format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\nconnection: close");
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()
}

/// Starts the server; it ends with the test's process.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

#[test]
fn an_upgrade_leaves_the_number_of_routers_to_the_autoscaler() {
    let api = format!("http://{}", server());
    let path = chart().display().to_string();
    let words = ["template", "live", &path, "--namespace", NAMESPACE, "--dry-run=server"];
    let cluster = ["--kube-apiserver", &api, "--kube-token", "none"];
    let told = ["--disable-openapi-validation"];
    let said = helm(&[&words[..], &cluster, &told].concat(), &variant("everything"));
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let release = Rendered(documents(&said.stdout, &[]));
    for deployment in release.of("Deployment") {
        // Where none is named any more, Kubernetes sets what the release had named to 1.
        assert_eq!(deployment["spec"]["replicas"], SCALED, "{}", deployment["metadata"]);
    }
    assert_eq!(release.of("Deployment").count(), 3);
}
