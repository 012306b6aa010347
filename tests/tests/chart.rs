//! The Helm chart: real helm renders every set of values that it ships with, Kubernetes' own schemas take every
//! manifest, the programs take every configuration, and what is rendered serves a call.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "fails its test on the spot"
)]
#![expect(clippy::disallowed_methods, reason = "a variable tells a test to write the page")]

#[path = "chart/authority.rs"]
mod authority;
#[path = "chart/cluster.rs"]
mod cluster;
#[path = "chart/helm.rs"]
mod helm;
#[path = "chart/pod.rs"]
mod pod;
#[path = "chart/readme.rs"]
mod readme;
#[path = "chart/trial.rs"]
mod trial;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use trunkline_tests::client::Client;
use trunkline_tests::cluster::until;
use trunkline_tests::process::beside;
use trunkline_tests::provider::Provider;
use trunkline_tests::router::metric;

use helm::{RELEASE, Rendered, chart, each, helm as run_helm, in_repository, text};
use helm::{template, variant, variants};
use pod::Pod;
use trial::Trial;

/// Versions of Kubernetes whose schemas are asked: the oldest that the chart takes, one between, and the newest
/// that the validator knows.
const VERSIONS: [&str; 3] = ["1.29", "1.31", "newest"];
/// As helm is told the newest.
const NEWEST: &str = "1.37";
/// A document of keys that opens nothing.
const KEYS: &str = r#"{"version": 1, "keys": []}"#;

#[test]
fn every_set_of_values_is_what_every_kubernetes_takes() {
    assert_eq!(variants(), ["everything", "minimal", "production", "trial"]);
    let path = chart().display().to_string();
    for name in variants() {
        let said = run_helm(&["lint", "--strict", &path], &variant(&name));
        assert!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stdout));
        for version in VERSIONS {
            let kubernetes = if version == "newest" { NEWEST } else { version };
            let said = template(&chart(), kubernetes, &variant(&name));
            assert!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stderr));
            let objects = helm::documents(&said.stdout, &[version]);
            assert!(objects.len() > 6, "{name} has {} objects", objects.len());
        }
    }
    let too_old = template(&chart(), "1.28", &variant("minimal"));
    assert!(String::from_utf8_lossy(&too_old.stderr).contains("1.29"));
}

#[test]
fn pods_may_do_nothing_but_their_work() {
    for name in variants() {
        let release = Rendered::with(&variant(&name));
        let account = release.of("ServiceAccount").next().unwrap();
        assert_eq!(account["automountServiceAccountToken"], false);
        for (pod, _, spec) in release.pods() {
            assert_eq!(spec["automountServiceAccountToken"], false, "{name}: {pod}");
            assert_eq!(spec["enableServiceLinks"], false, "{name}: {pod}");
            assert_eq!(spec["serviceAccountName"], account["metadata"]["name"], "{name}: {pod}");
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{name}: {pod}");
            assert_eq!(security["seccompProfile"], json!({"type": "RuntimeDefault"}));
            for container in each(&spec["containers"]) {
                let allowed = json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true,
                    "capabilities": {"drop": ["ALL"]},
                });
                assert_eq!(container["securityContext"], allowed, "{name}: {pod}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{name}: {pod}");
            }
        }
    }
}

/// Whether labels have all that a selector wants.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().unwrap();
    wanted.iter().all(|(label, value)| labels[label] == *value)
}

#[test]
fn nothing_in_a_release_leads_nowhere() {
    for name in variants() {
        let release = Rendered::with(&variant(&name));
        let pods = release.pods();
        let targets = |kind: &'static str, path: &'static str| {
            release.of(kind).map(move |object| (object, object.pointer(path).unwrap()))
        };
        let selectors = targets("PodDisruptionBudget", "/spec/selector/matchLabels")
            .chain(targets("NetworkPolicy", "/spec/podSelector/matchLabels"))
            .chain(targets("Service", "/spec/selector"))
            .chain(targets("Deployment", "/spec/selector/matchLabels"))
            .chain(targets("StatefulSet", "/spec/selector/matchLabels"));
        for (object, selector) in selectors {
            let found = pods.iter().filter(|(_, labels, _)| selects(selector, labels));
            let found: Vec<_> = found.collect();
            assert!(!found.is_empty(), "{name}: {object} selects nothing");
            if matches!(text(&object["kind"]), "Deployment" | "StatefulSet") {
                assert_eq!(found.len(), 1, "{name}: {} takes pods of others", object["metadata"]);
            }
            for port in each(&object["spec"]["ports"]) {
                let has = |(_, _, spec): &&(&str, &Value, &Value)| {
                    let ports = each(&spec["containers"][0]["ports"]);
                    ports.into_iter().any(|known| known["name"] == port["targetPort"])
                };
                assert!(found.iter().all(has), "{name}: {port} is no pod's");
            }
        }
        for set in release.of("StatefulSet") {
            let service = text(&set["spec"]["serviceName"]);
            assert!(release.named("Service", service).is_some(), "{name}: {service}");
        }
        for scaler in release.of("HorizontalPodAutoscaler") {
            let scaled = text(&scaler["spec"]["scaleTargetRef"]["name"]);
            let scaled = release.named("Deployment", scaled).unwrap();
            assert!(scaled["spec"]["replicas"].is_null(), "{name}: two say how many there are");
        }
    }
}

/// Every pod of a release, as process.
fn run_pods(release: &Rendered) -> Vec<(String, Pod)> {
    let secrets = [
        ("trunkline-first-key", "keys", KEYS),
        ("trunkline-pepper", "pepper", "a pepper"),
        ("provider-keys", "ACME_KEY", "sk-1"),
    ];
    let pods = release.pods().into_iter().filter(|(name, ..)| !name.contains("etcd"));
    let pods = pods.filter(|(_, labels, _)| labels["app.kubernetes.io/component"] != "test");
    let run = |(name, labels, spec): (&str, &Value, &Value)| {
        let component = text(&labels["app.kubernetes.io/component"]).to_owned();
        (component, Pod::of(release, (&format!("{name}-0"), spec), &secrets, &[]))
    };
    pods.map(run).collect()
}

#[test]
fn the_programs_take_what_every_release_gives_them() {
    for name in variants() {
        let release = Rendered::with(&variant(&name));
        let mut seen = BTreeMap::new();
        for (component, pod) in run_pods(&release) {
            let taken = match component.as_str() {
                "router" => pod.check_router(),
                "prober" => pod.check_prober(),
                other => panic!("{name}: a pod of {other}"),
            };
            taken.unwrap_or_else(|error| panic!("{name}: {error}"));
            *seen.entry(component).or_insert(0) += 1;
        }
        let zones = if matches!(name.as_str(), "production" | "everything") { 3 } else { 1 };
        let both = BTreeMap::from([("prober".to_owned(), zones), ("router".to_owned(), zones)]);
        assert_eq!(seen, both, "{name}");
    }
}

#[test]
fn documents_can_be_files() {
    let mut values = variant("minimal");
    for kind in ["catalog", "policy", "keys"] {
        let file = in_repository(&format!("deploy/examples/{kind}.yaml"));
        values.push(format!("--set-file=bootstrap.{kind}={}", file.display()));
    }
    let routers = run_pods(&Rendered::with(&values));
    let (_, router) = routers.iter().find(|(component, _)| component == "router").unwrap();
    router.check_router().unwrap();
    // Nothing would be read if the files led nowhere.
    values.push("--set-file=bootstrap.policy=Cargo.toml".to_owned());
    let routers = run_pods(&Rendered::with(&values));
    let (_, router) = routers.iter().find(|(component, _)| component == "router").unwrap();
    assert!(router.check_router().unwrap_err().contains("documents/policy"));
}

/// What helm says to values that cannot be; it must refuse them.
fn refused(values: &[&str]) -> String {
    let values: Vec<String> = values.iter().map(|set| format!("--set-json={set}")).collect();
    let said = template(&chart(), "1.31", &values);
    assert!(!said.status.success(), "{values:?} is taken");
    String::from_utf8_lossy(&said.stderr).into_owned()
}

#[test]
fn values_that_cannot_be_are_named() {
    let trial = "etcd.trial.enabled=true";
    for (value, words) in [
        ("router.replica=3", "router: Additional property replica is not allowed"),
        ("routers={}", "(root): Additional property routers is not allowed"),
        ("router.config.drain.wait_ms=-1", "router.config.drain.wait_ms: Must be greater"),
        ("router.config.listen=\"0.0.0.0:80\"", "router.config: Additional property listen"),
        ("admin.access=\"public\"", "admin.access must be one of"),
        ("zones=[]", "zones: Array must have at least 1 items"),
        ("zones=[{\"name\":\"A\",\"routers\":1,\"probers\":1}]", "zones.0.name: Does not match"),
        ("zones=[{\"name\":\"a\",\"routers\":1}]", "zones.0: probers is required"),
        ("monitoring.serviceMonitor.interval=\"often\"", "monitoring.serviceMonitor.interval"),
        ("networkPolicy.providers=[{\"to\":[],\"ports\":[443]}]", "networkPolicy.providers.0.to"),
        ("router.image.digest=\"latest\"", "router.image.digest: Does not match"),
        ("etcd.tls.router.secret=\"x\"", "etcd.tls.router: Additional property secret"),
        ("fullnameOverride=\"My_router\"", "fullnameOverride: Does not match"),
        ("ipFamilies=[\"IPv5\"]", "ipFamilies.0 must be one of"),
        ("monitoring.prometheusRule.runbooks=\"wiki\"", "monitoring.prometheusRule.runbooks"),
    ] {
        let said = refused(&[trial, value]);
        assert!(said.contains(words), "{value}: {said}");
    }
    let https = "etcd.endpoints=[\"https://etcd:2379\"]";
    let zone = "{\"name\":\"a\",\"routers\":1,\"probers\":1}";
    let twice = format!("zones=[{zone},{zone}]");
    let balanced = "router.service.loadBalancerSourceRanges=[\"10.0.0.0/8\"]";
    let part = "commonLabels={\"app.kubernetes.io/component\":\"x\"}";
    let authorities = "authorities={\"configMapName\":\"a\",\"secretName\":\"b\"}";
    let sets: [(&[&str], &str); 17] = [
        (&[], "etcd.endpoints: name the members"),
        (&[trial, "etcd.endpoints=[\"http://etcd:2379\"]"], "etcd.trial.enabled:"),
        (&[https], "etcd.tls.router: https://etcd:2379 needs an identity"),
        (&[https, "etcd.tls.router.secretName=\"x\""], "etcd.tls.prober:"),
        (&[trial, "etcd.tls.prober.secretName=\"x\""], "etcd.tls.prober:"),
        (&[trial, "evidence.access=\"mtls\""], "evidence.tls.router:"),
        (&[trial, "admin.access=\"mtls\""], "admin.tls:"),
        (&[trial, "router.clientCa=true"], "router.clientCa:"),
        (&[trial, "tracing.tls.secretName=\"x\""], "tracing.tls:"),
        (&[trial, "test.model=\"m\""], "test.keySecret:"),
        (&[trial, "router.autoscaling.minReplicas=30"], "router.autoscaling.minReplicas:"),
        (&[trial, &twice], "zones: a is there twice"),
        (&[trial, balanced], "router.service.type: loadBalancerClass"),
        (
            &[trial, "router.service.externalTrafficPolicy=\"Local\""],
            "externalTrafficPolicy: a Clus",
        ),
        (&[trial, part], "commonLabels: app.kubernetes.io/component is a label of the chart's own"),
        (
            &[trial, "prober.podLabels={\"trunkline/zone\":\"x\"}"],
            "prober.podLabels: trunkline/zone",
        ),
        (&[trial, authorities], "authorities.secretName: authorities.configMapName is set, too"),
    ];
    for (values, words) in sets {
        let said = refused(values);
        assert!(said.contains(words), "{values:?}: {said}");
    }
}

#[test]
fn each_zone_has_its_routers_and_probers() {
    let release = Rendered::with(&variant("production"));
    for (zone, nodes) in [("a", "eu-west-1a"), ("b", "eu-west-1b"), ("c", "eu-west-1c")] {
        let name = |part: &str| format!("{RELEASE}-trunkline-{part}-{zone}");
        let router = release.named("Deployment", &name("router")).unwrap();
        let prober = release.named("StatefulSet", &name("prober")).unwrap();
        assert_eq!(
            (&router["spec"]["replicas"], &prober["spec"]["replicas"]),
            (&json!(2), &json!(2))
        );
        for object in [router, prober] {
            let spec = &object["spec"]["template"]["spec"];
            let affinity = &spec["affinity"]["nodeAffinity"];
            let terms = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
            let expression = &terms["nodeSelectorTerms"][0]["matchExpressions"][0];
            assert_eq!(expression["key"], "topology.kubernetes.io/zone");
            assert_eq!(expression["values"], json!([nodes]));
            assert_eq!(
                spec["topologySpreadConstraints"][0]["topologyKey"],
                "kubernetes.io/hostname"
            );
        }
        let container = &router["spec"]["template"]["spec"]["containers"][0];
        let told = each(&container["env"]).find(|entry| entry["name"] == "TRUNKLINE_ZONE");
        assert_eq!(told.unwrap()["value"], zone);
        let pod = &prober["spec"]["template"]["spec"];
        assert!(each(&pod["containers"][0]["args"]).any(|word| *word == format!("--zone={zone}")));
    }
    let named = Rendered::with(&variant("everything"));
    let prober = named.of("StatefulSet").last().unwrap();
    let volumes = &prober["spec"]["template"]["spec"]["volumes"];
    let identity = each(volumes).find(|volume| volume["name"] == "tls-evidence").unwrap();
    assert_eq!(identity["secret"]["secretName"], "trunkline-evidence-c");
}

#[test]
fn parts_listen_where_their_pods_are_reached() {
    for (name, all, host) in
        [("production", "0.0.0.0", "$(POD_IP)"), ("everything", "[::]", "[$(POD_IP)]")]
    {
        let release = Rendered::with(&variant(name));
        let config = router_config(&release);
        for (key, port) in [("listen", 8080), ("ops", 9090), ("admin", 9091)] {
            assert_eq!(config[key], format!("{all}:{port}"), "{name}");
        }
        for (pod, labels, spec) in release.pods() {
            let container = &spec["containers"][0];
            if labels["app.kubernetes.io/component"] == "router" {
                let mut told = each(&container["env"]);
                let told = told.find(|entry| entry["name"] == "TRUNKLINE_ADVERTISE_ADMIN");
                assert_eq!(told.unwrap()["value"], format!("https://{host}:9091"), "{pod}");
            }
            if labels["app.kubernetes.io/component"] == "prober" {
                for wanted in [format!("--ops={all}:9090"), format!("--listen={all}:9092")] {
                    assert!(each(&container["args"]).any(|word| *word == wanted), "{pod}");
                }
            }
        }
        for service in release.of("Service") {
            let families = &service["spec"]["ipFamilies"];
            let wanted = if name == "everything" { json!(["IPv6", "IPv4"]) } else { Value::Null };
            assert_eq!(*families, wanted, "{service}");
        }
    }
}

#[test]
fn the_authorities_of_ones_own_are_in_every_pod_that_calls_providers() {
    let mut mapped = variant("minimal");
    mapped.push("--set=authorities.configMapName=bundle".to_owned());
    for (values, kind) in [(variant("everything"), "secret"), (mapped, "configMap")] {
        let release = Rendered::with(&values);
        let pods = release.pods().into_iter();
        let pods = pods.filter(|(_, labels, _)| labels["app.kubernetes.io/component"] != "test");
        for (pod, _, spec) in pods {
            let container = &spec["containers"][0];
            let file = each(&container["env"]).find(|entry| entry["name"] == "SSL_CERT_FILE");
            let file = Path::new(text(&file.unwrap()["value"]));
            let folder = file.parent().unwrap().to_str().unwrap();
            let mount = each(&container["volumeMounts"]).find(|it| it["mountPath"] == folder);
            let mount = mount.unwrap_or_else(|| panic!("{pod}: {folder} is not there"));
            let volume = each(&spec["volumes"]).find(|it| it["name"] == mount["name"]);
            assert!(volume.unwrap()[kind].is_object(), "{pod}: {volume:?}");
        }
    }
}

#[test]
fn a_pod_that_is_not_ready_keeps_no_node_from_being_emptied() {
    let release = Rendered::with(&variant("production"));
    let budgets: Vec<&Value> = release.of("PodDisruptionBudget").collect();
    assert_eq!(budgets.len(), 2);
    for budget in budgets {
        assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow", "{budget}");
    }
}

/// The configuration of a release's routers.
fn router_config(release: &Rendered) -> Value {
    let mut texts =
        release.of("ConfigMap").filter_map(|map| map["data"]["trunkline.json"].as_str());
    serde_json::from_str(texts.next().unwrap()).unwrap()
}

#[test]
fn routers_ask_each_other_by_the_name_that_operators_use() {
    let config = |name: &str| {
        let release = Rendered::with(&variant(name));
        (router_config(&release)["admin_tls"]["peer_name"].clone(), release)
    };
    let (name, release) = config("production");
    let service = format!("{RELEASE}-trunkline-router-admin");
    assert!(release.named("Service", &service).is_some());
    assert!(text(&name).starts_with(&format!("{service}.")), "{name}");
    assert!(notes(&variant("production")).contains(&format!("https://{}:9091", text(&name))));
    assert_eq!(config("everything").0, "admin.trunkline.example.com");
}

#[test]
fn a_pod_is_killed_only_after_its_router_could_leave() {
    let release = |kubernetes: &str, values: &[String]| {
        let said = template(&chart(), kubernetes, values);
        Rendered(helm::documents(&said.stdout, &[]))
    };
    let values = variant("everything");
    let new = release(NEWEST, &values);
    let spec = &new.of("Deployment").next().unwrap()["spec"]["template"]["spec"];
    // Fifteen of preStop, one and a half and six hundred of the drain, ten to end.
    assert_eq!(spec["terminationGracePeriodSeconds"], 15 + 2 + 600 + 10);
    assert_eq!(spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], 15);
    // Before 1.30 the API drops `sleep`, and refuses a preStop that has nothing left.
    let old = release("1.29", &values);
    let spec = &old.of("Deployment").next().unwrap()["spec"]["template"]["spec"];
    assert!(spec["containers"][0]["lifecycle"].is_null());
}

#[test]
fn strangers_reach_nothing_and_pods_reach_what_they_need() {
    let release = Rendered::with(&variant("production"));
    let policy = |part: &str| {
        &release.named("NetworkPolicy", &format!("{RELEASE}-trunkline-{part}")).unwrap()["spec"]
    };
    let ports = |rules: &Value| -> Vec<u64> {
        let ports = each(rules).flat_map(|rule| each(&rule["ports"]));
        ports.map(|port| port["port"].as_u64().unwrap()).collect()
    };
    for (part, inward, outward) in [
        ("router", vec![8080, 9091, 9090], vec![53, 53, 2379, 9092, 9091, 443]),
        ("prober", vec![9092, 9090], vec![53, 53, 2379, 443]),
    ] {
        let spec = policy(part);
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!((ports(&spec["ingress"]), ports(&spec["egress"])), (inward, outward), "{part}");
        for rule in each(&spec["ingress"]) {
            assert!(each(&rule["from"]).count() > 0, "{part}: {rule} lets everybody in");
        }
        for rule in each(&spec["egress"]) {
            assert!(each(&rule["to"]).count() > 0, "{part}: {rule} leads everywhere");
        }
        let providers = each(&spec["egress"]).last().unwrap();
        let excepted = &providers["to"][0]["ipBlock"]["except"];
        assert!(each(excepted).any(|block| *block == "169.254.0.0/16"), "metadata services");
    }
    let etcd = &policy("router")["egress"][1]["to"][0];
    assert!(etcd["namespaceSelector"].is_null(), "its certificate is a Secret here: {etcd}");
    let trial = Rendered::with(&variant("trial"));
    let etcd = trial.named("NetworkPolicy", &format!("{RELEASE}-trunkline-etcd")).unwrap();
    let from: Vec<&Value> = each(&etcd["spec"]["ingress"][0]["from"]).collect();
    let component = |peer: &&Value| {
        text(&peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]).to_owned()
    };
    assert_eq!(from.iter().map(component).collect::<Vec<_>>(), ["router", "prober"]);
}

#[test]
fn every_pod_is_scraped_once() {
    let release = Rendered::with(&variant("everything"));
    let monitors: Vec<&Value> = release.of("ServiceMonitor").collect();
    assert_eq!(monitors.len(), 2);
    for monitor in monitors {
        assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
        let spec = monitor["spec"].as_object().unwrap();
        assert_eq!(spec.keys().collect::<Vec<_>>(), ["endpoints", "selector"]);
        let wanted = &spec["selector"]["matchLabels"];
        let services = release.of("Service");
        let services: Vec<&Value> =
            services.filter(|service| selects(wanted, &service["metadata"]["labels"])).collect();
        assert_eq!(services.len(), 1, "{monitor}");
        // Or the label `endpoint` of discovery would replace that of the metrics.
        assert_eq!(spec["endpoints"][0]["honorLabels"], true);
        let port = &spec["endpoints"][0]["port"];
        assert!(each(&services[0]["spec"]["ports"]).any(|known| known["name"] == *port));
        let part = text(&wanted["app.kubernetes.io/component"]);
        let job = &spec["endpoints"][0]["relabelings"][0];
        assert_eq!(*job, json!({"targetLabel": "job", "replacement": format!("trunkline-{part}")}));
    }
}

#[test]
fn routers_scale_by_what_they_say_of_themselves() {
    let release = Rendered::with(&variant("everything"));
    let told = trunkline_tests::metrics::router();
    let scalers: Vec<&Value> = release.of("HorizontalPodAutoscaler").collect();
    assert_eq!(scalers.len(), 3, "one for each zone");
    for scaler in scalers {
        let spec = &scaler["spec"];
        let metric = text(&spec["metrics"][0]["pods"]["metric"]["name"]);
        assert!(told.iter().any(|known| known.name == metric), "{metric} is no router's");
        let target = text(&spec["scaleTargetRef"]["name"]);
        let routers = &release.named("Deployment", target).unwrap()["spec"];
        assert!(routers["replicas"].is_null(), "{target} would be set back at every upgrade");
    }
}

#[test]
fn a_router_shows_its_own_certificate_to_the_collector_of_spans() {
    let release = Rendered::with(&variant("everything"));
    let config = router_config(&release);
    let folder = "/etc/trunkline/tls/collector";
    let [ca, cert, key] = ["root.pem", "tls.crt", "tls.key"].map(|file| format!("{folder}/{file}"));
    assert_eq!(config["tracing"]["otlp"]["tls"], json!({"ca": ca, "cert": cert, "key": key}));
    assert_eq!(config["tracing"]["otlp"]["endpoint"], "https://otel-collector:4317");
    let pod = &release.of("Deployment").next().unwrap()["spec"]["template"]["spec"];
    let mounts = each(&pod["containers"][0]["volumeMounts"]);
    assert_eq!(mounts.filter(|mount| mount["mountPath"] == folder).count(), 1);
}

#[test]
fn rules_and_dashboards_arrive_as_they_are() {
    let release = Rendered::with(&variant("everything"));
    let rules = std::fs::read(chart().join("files/rules.yaml")).unwrap();
    let rules = helm::documents(&rules, &[]).remove(0);
    let given = release.of("PrometheusRule").next().unwrap();
    let runbook = |rule: &mut Value| {
        if let Some(path) = rule["annotations"]["runbook_url"].as_str() {
            let url = format!("https://wiki.example.com/trunkline/{path}");
            rule["annotations"]["runbook_url"] = url.into();
        }
    };
    let mut whole = rules.clone();
    for group in whole["groups"].as_array_mut().unwrap() {
        group["rules"].as_array_mut().unwrap().iter_mut().for_each(runbook);
    }
    assert_eq!(given["spec"], whole);
    let bare = Rendered::with(&variant("production"));
    assert_eq!(bare.of("PrometheusRule").next().unwrap()["spec"], rules);
    for rule in each(&rules["groups"]).flat_map(|group| each(&group["rules"])) {
        assert!(rule["expr"].is_string(), "{rule}");
        assert!(rule["alert"].is_string() || rule["record"].is_string(), "{rule}");
    }
    let maps = release.of("ConfigMap");
    let maps = maps.filter(|map| map["metadata"]["labels"]["grafana_dashboard"] == "1");
    let shown: Vec<&Value> =
        maps.flat_map(|map| map["data"].as_object().unwrap().values()).collect();
    assert_eq!(shown.len(), dashboards(&chart().join("files/dashboards")).len());
    for dashboard in shown {
        let dashboard: Value = serde_json::from_str(text(dashboard)).unwrap();
        assert!(dashboard["title"].is_string());
    }
}

/// The dashboards of a folder: name and content.
fn dashboards(folder: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    let files = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "json"));
    files.map(|file| (file.file_name(), std::fs::read(file.path()).unwrap())).collect()
}

/// A chart holds files of its own folder alone, so it has copies; `UPDATE_DOCS=1` makes them anew.
#[test]
fn the_chart_has_the_rules_and_dashboards_of_the_project() {
    let (rules, shown) =
        (in_repository("deploy/prometheus/rules.yaml"), in_repository("deploy/grafana/dashboards"));
    let (copied_rules, copied) =
        (chart().join("files/rules.yaml"), chart().join("files/dashboards"));
    let stale = "the chart's copies are old: run UPDATE_DOCS=1 tests/run chart";
    let update = std::env::var("UPDATE_DOCS").is_ok();
    if update {
        std::fs::copy(&rules, &copied_rules).unwrap();
        std::fs::remove_dir_all(&copied).unwrap();
        std::fs::create_dir(&copied).unwrap();
        for (name, content) in dashboards(&shown) {
            std::fs::write(copied.join(name), content).unwrap();
        }
    }
    assert!(std::fs::read(rules).unwrap() == std::fs::read(copied_rules).unwrap(), "{stale}");
    assert!(dashboards(&shown) == dashboards(&copied), "{stale}");
}

#[test]
fn the_page_of_values_is_what_the_schema_says() {
    let (page, path) = (readme::page(), chart().join("README.md"));
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "the chart's README is old: run UPDATE_DOCS=1 tests/run chart");
    let about = helm::documents(&std::fs::read(chart().join("Chart.yaml")).unwrap(), &[]);
    assert_eq!(about[0]["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// What is said after an installation with these values.
fn notes(values: &[String]) -> String {
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(chart()).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    let copied = copy.path().join("trunkline");
    // helm tells notes to a cluster alone; as a manifest anybody can read them.
    let shown = "kind: Notes\napiVersion: v1\nmetadata: {name: notes}\ntext: {{ include \"trunkline.notes\" . | toJson }}\n";
    std::fs::write(copied.join("templates/shown.yaml"), shown).unwrap();
    let said = template(&copied, "1.31", values);
    let release = Rendered(helm::documents(&said.stdout, &[]));
    text(&release.named("Notes", "notes").unwrap()["text"]).to_owned()
}

#[test]
fn the_notes_tell_the_first_call_and_what_to_mind() {
    for name in variants() {
        let (said, release) = (notes(&variant(&name)), Rendered::with(&variant(&name)));
        for line in said.lines().filter(|line| line.contains("port-forward")) {
            let target = line.split_whitespace().find_map(|word| word.split_once('/')).unwrap();
            let kind = if target.0 == "service" { "Service" } else { "Deployment" };
            assert!(release.named(kind, target.1).is_some(), "{name}: {line}");
        }
        assert!(said.contains("/v1/chat/completions"), "{name}: {said}");
    }
    let trial = notes(&variant("trial"));
    for words in
        ["etcd.trial is one member", "evidence.access is open", "stand in the zone default"]
    {
        assert!(trial.contains(words), "{trial}");
    }
    let minimal = notes(&variant("minimal"));
    for words in [
        "bootstrap.catalog",
        "bootstrap.keys",
        "fewer than three",
        "probes alone",
        "networkPolicy.monitoring",
    ] {
        assert!(minimal.contains(words), "{minimal}");
    }
    let mut nobody = variant("trial");
    nobody.push("--set=admin.access=mtls,admin.tls.secretName=trunkline-admin".to_owned());
    assert!(notes(&nobody).contains("no certificate may do anything on the admin API"));
    let production = notes(&variant("production"));
    assert_eq!(production.matches("Mind:").count(), 1, "{production}");
}

/// Makes a key as an operator does before the first installation: the key, and its document.
fn first_key(pepper: &str) -> (String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pepper).unwrap();
    let mut command = Command::new(beside("router-node"));
    command.args(["key", "--role", "admin", "--note", "the first"]);
    let made = command.arg("--key-pepper-file").arg(file.path()).output().unwrap();
    let said = String::from_utf8(made.stderr).unwrap();
    let key = said.split_whitespace().last().unwrap().to_owned();
    let document = String::from_utf8(made.stdout).unwrap();
    assert!(key.starts_with("tl_") && !document.contains(&key), "{document}");
    (key, document)
}

/// The trial as the page on Kubernetes tells it: the call of its test goes to its Service and is served, and the
/// prober is told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_serves_the_call_of_its_test() {
    let provider = Provider::start("openai").await;
    let pepper = "a pepper";
    let (key, document) = first_key(pepper);
    let mut values = variant("trial");
    let url = provider.sim.base_url();
    values.push(format!("--set=bootstrap.catalog.providers[0].base_url={url}"));
    values.push("--set=keyPepper.secretName=trunkline-pepper".to_owned());
    let release = Rendered::with(&values);
    let secrets = [
        ("trunkline-first-key", "keys", document.as_str()),
        ("trunkline-pepper", "pepper", pepper),
        ("trunkline-provider-keys", "OPENAI_API_KEY", "sk-1"),
        ("trunkline-test-key", "key", key.as_str()),
    ];
    let trial = Trial::start(&release, &secrets).await;

    let test = release.of("Pod").next().unwrap();
    let name = text(&test["metadata"]["name"]);
    let arguments = Pod::of(&release, (name, &test["spec"]), &secrets, &[]).arguments().to_vec();
    let after = |flag: &str| -> Vec<String> {
        let pairs = arguments.windows(2).filter(|pair| pair[0] == flag);
        pairs.map(|pair| pair[1].clone()).collect()
    };
    let service = release.named("Service", &format!("{RELEASE}-trunkline-router")).unwrap();
    let (name, port) = (text(&service["metadata"]["name"]), &service["spec"]["ports"][0]["port"]);
    let url = format!("http://{name}.{}:{port}/v1/chat/completions", trial::domain());
    assert_eq!(arguments.last(), Some(&url));
    assert!(after("--header").contains(&format!("authorization: Bearer {key}")));
    let body: Value = serde_json::from_str(&after("--data")[0]).unwrap();
    let answer = Client { address: trial.public, key }.chat(&body).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.json()["model"], "openai/gpt-4o-mini");
    let routers = "trunkline_prober_evidence_routers";
    let told = async || metric(trial.prober.ops, routers, "").await >= 1.0;
    until("the router tells the prober", told).await;
}
