//! Which endpoint and which key a command line comes to.

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    /// A home with a context `prod`, current, whose key is in a file.
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::write(home.0.path().join("key"), "tl_prod\n").unwrap();
        let prod = Context {
            name: "prod".to_owned(),
            endpoint: "https://prod:9091".to_owned(),
            key_env: None,
            key_file: Some(home.0.path().join("key")),
            ca: Some("prod-ca.pem".into()),
            cert: None,
            cert_key: None,
        };
        let test =
            Context { name: "test".to_owned(), endpoint: "http://test".to_owned(), ..prod.clone() };
        let contexts = vec![prod, test];
        Contexts { version: VERSION, current: Some("prod".to_owned()), contexts }
            .write(&home.flags())
            .unwrap();
        home
    }

    fn flags(&self) -> Connection {
        let contexts = Some(self.0.path().join("deep/contexts.yaml"));
        Connection { contexts, ..Connection::default() }
    }
}

#[test]
fn the_current_context_says_what_no_flag_says() {
    let home = Home::new();
    let reach = resolve(&home.flags()).unwrap();
    assert_eq!(reach.endpoint, "https://prod:9091");
    assert_eq!(reach.key.as_deref(), Some("tl_prod"));
    assert_eq!(reach.ca, Some("prod-ca.pem".into()));
    let flags = Connection { key: Some("mine".into()), ca: Some("my.pem".into()), ..home.flags() };
    let reach = resolve(&flags).unwrap();
    assert_eq!((reach.key.as_deref(), reach.ca), (Some("mine"), Some("my.pem".into())));
    let named = Connection { context: Some("test".into()), ..home.flags() };
    assert_eq!(resolve(&named).unwrap().endpoint, "http://test");
}

#[test]
fn a_contexts_key_goes_to_its_own_endpoint_only() {
    let home = Home::new();
    let flags = Connection { endpoint: Some("http://elsewhere".into()), ..home.flags() };
    let reach = resolve(&flags).unwrap();
    assert_eq!((reach.endpoint.as_str(), reach.key, reach.ca), ("http://elsewhere", None, None));
    let same = Connection { endpoint: Some("https://prod:9091".into()), ..home.flags() };
    assert_eq!(resolve(&same).unwrap().key.as_deref(), Some("tl_prod"));
}

#[test]
fn what_is_not_there_is_named() {
    let home = Home::new();
    let named = Connection { context: Some("pord".into()), ..home.flags() };
    let told = resolve(&named).unwrap_err().to_string();
    assert!(told.contains("no context pord; known: prod, test"), "{told}");
    std::fs::remove_file(home.0.path().join("key")).unwrap();
    let told = resolve(&home.flags()).unwrap_err().to_string();
    assert!(told.contains("the key of context prod"), "{told}");
    std::fs::write(home.flags().contexts.unwrap(), "version: 1\ncurent: prod\n").unwrap();
    let told = resolve(&home.flags()).unwrap_err().to_string();
    assert!(told.contains("current"), "{told}");
    std::fs::remove_file(home.flags().contexts.unwrap()).unwrap();
    let reach = resolve(&home.flags()).unwrap();
    assert_eq!((reach.endpoint.as_str(), reach.key), (USUAL_ENDPOINT, None));
}
