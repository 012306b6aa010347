//! The trial, pod by pod as processes of this machine: what stands in the manifests is what runs. Only names of the
//! cluster's DNS and ports are replaced.

use std::net::SocketAddr;
use std::path::Path;

use trunkline_tests::client::Client;
use trunkline_tests::cluster::{Port, until};
use trunkline_tests::process::{Process, beside, etcd_program};

use super::helm::{NAMESPACE, RELEASE, Rendered};
use super::pod::{Pod, Secrets};

/// What the DNS names of a release end in.
pub(crate) fn domain() -> String {
    format!("{NAMESPACE}.svc.cluster.local")
}

/// A trial that runs: etcd, a router and a prober.
pub(crate) struct Trial {
    /// Where callers connect.
    pub(crate) public: SocketAddr,
    /// The prober.
    pub(crate) prober: Part,
    _router: Part,
    _etcd: Part,
}

/// A part of it.
pub(crate) struct Part {
    /// Its operations port.
    pub(crate) ops: SocketAddr,
    process: Process,
    _ports: Vec<Port>,
    _pod: Pod,
}

impl Trial {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(release: &Rendered, secrets: Secrets<'_>) -> Self {
        let (name, domain) = (format!("{RELEASE}-trunkline"), domain());
        let start = Starting { release, secrets };
        let store = Port::hold();
        let told = (format!("{name}-etcd.{domain}:2379"), store.address.to_string());
        // The etcd of the tests is older than the chart's, and its flag has another name.
        let flag = ("--watch-progress".to_owned(), "--experimental-watch-progress".to_owned());
        let listens = [("0.0.0.0:2379", store), ("127.0.0.1:2380", Port::hold())];
        let etcd = ("StatefulSet", "etcd", etcd_program());
        let etcd = start.part(etcd, listens, vec![told.clone(), flag]);

        let [calls, ops, admin] = [Port::hold(), Port::hold(), Port::hold()];
        let public = calls.address;
        let listens = [("0.0.0.0:9090", ops), ("0.0.0.0:8080", calls), ("127.0.0.1:9091", admin)];
        let router = ("Deployment", "router-default", beside("router-node"));
        let mut router = start.part(router, listens, vec![told.clone()]);

        let [ops, evidence] = [Port::hold(), Port::hold()];
        let heard = format!("{name}-prober-default-0.{name}-prober.{domain}:9092");
        let heard = (heard, evidence.address.to_string());
        let listens = [("0.0.0.0:9090", ops), ("0.0.0.0:9092", evidence)];
        let prober = ("StatefulSet", "prober-default", beside("health-prober"));
        let mut prober = start.part(prober, listens, vec![told, heard]);
        router.ready().await;
        prober.ready().await;
        Self { public, prober, _router: router, _etcd: etcd }
    }
}

/// What parts are started from.
struct Starting<'a> {
    release: &'a Rendered,
    secrets: Secrets<'a>,
}

impl Starting<'_> {
    /// Starts the first pod of a part. It listens at these ports, the first being that of operations, instead of the
    /// addresses that the manifests name.
    fn part<const N: usize>(
        &self,
        (kind, part, program): (&str, &str, impl AsRef<Path>),
        listens: [(&str, Port); N],
        mut replaced: Vec<(String, String)>,
    ) -> Part {
        let ports = listens.into_iter().map(|(named, port)| {
            replaced.push((named.to_owned(), port.address.to_string()));
            port
        });
        let ports: Vec<Port> = ports.collect();
        let name = format!("{RELEASE}-trunkline-{part}");
        let spec = &self.release.named(kind, &name).unwrap()["spec"]["template"]["spec"];
        let pod = (format!("{name}-0"), spec);
        let pod = Pod::of(self.release, (&pod.0, pod.1), self.secrets, &replaced);
        let process = Process::start(part, &mut pod.command(program.as_ref()));
        Part { ops: ports[0].address, process, _ports: ports, _pod: pod }
    }
}

impl Part {
    /// Waits until it is ready, as Kubernetes does.
    async fn ready(&mut self) {
        self.process.told(|line| line.contains("listening").then_some(())).await;
        let ops = Client { address: self.ops, key: String::new() };
        until("a pod is ready", async || ops.get("/readyz").await.status() == 200).await;
    }
}
