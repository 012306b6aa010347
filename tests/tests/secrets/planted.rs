//! What is planted, and everything that was written or told, which is searched for it at the end: some secrets are
//! only known by then.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

/// What is in all that is planted by name, and in nothing else.
pub const CANARY: &str = "KANARIE";
/// Keys of providers, one of which the provider refuses.
pub const PROVIDER_KEYS: [&str; 3] =
    ["sk-KANARIErefused0001", "sk-KANARIEaccepted002", "sk-KANARIEechoed00003"];
pub const CALL_KEY: &str = "tl_canary01_KANARIEcallkey000000";
pub const ADMIN_KEY: &str = "tl_canary02_KANARIEadminkey00000";
pub const WRONG_KEY: &str = "tl_canary03_KANARIEwrongkey00000";
pub const PEPPER: &str = "KANARIEpepper0000000000000000000";
/// What the collector of spans is called with.
pub const TOKEN: &str = "KANARIEcollectortoken";
/// A prompt; simulated providers answer with its words.
pub const PROMPT: &str = "KANARIEprompt1 KANARIEprompt2 KANARIEprompt3 KANARIEprompt4";
/// A secret that somebody pasted where the name of a variable belongs.
pub const PASTED: &str = "sk-KANARIE0pasted1into2a3document";

/// Who may see what was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where it is shown: not even a key's hash is for everybody.
    Shown,
    /// Where it is kept: keys' hashes have to be somewhere.
    Kept,
}

/// What was written or told.
struct Told {
    what: String,
    text: String,
    place: Place,
}

/// What was planted beside the canaries, and all that was written or told.
#[derive(Default)]
pub struct Planted {
    secrets: Mutex<Vec<String>>,
    hashes: Mutex<Vec<String>>,
    told: Mutex<Vec<Told>>,
}

impl Planted {
    /// Nothing but the canaries and the keys that callers use.
    pub fn new() -> Self {
        let planted = Self::default();
        [CALL_KEY, ADMIN_KEY].into_iter().for_each(|key| planted.key(key));
        planted
    }

    /// This key was made.
    pub fn key(&self, key: &str) {
        let secret = key.rsplit('_').next().unwrap();
        assert!(secret.len() >= 16, "too short to be found by");
        self.secrets.lock().unwrap().push(secret.to_owned());
        self.hashes.lock().unwrap().push(hash(key));
    }

    /// These are the keys of certificates in this folder; how many. A key has no canary in it: its own text stands
    /// for it.
    pub fn certificate_keys(&self, folder: &Path) -> usize {
        let found =
            files(folder).into_iter().filter(|file| file.extension() == Some("key".as_ref()));
        let keys: Vec<String> = found.map(|file| fs::read_to_string(file).unwrap()).collect();
        let mut secrets = self.secrets.lock().unwrap();
        secrets.push("PRIVATE KEY-----".to_owned());
        for key in &keys {
            // The third line of three has the public half alone.
            secrets.extend(key.lines().skip(1).take(2).map(str::to_owned));
        }
        keys.len()
    }

    /// This was shown to somebody.
    pub fn shown(&self, what: &str, bytes: &[u8]) {
        self.note(what, bytes, Place::Shown);
    }

    /// This was kept somewhere.
    pub fn kept(&self, what: &str, bytes: &[u8]) {
        self.note(what, bytes, Place::Kept);
    }

    fn note(&self, what: &str, bytes: &[u8], place: Place) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.told.lock().unwrap().push(Told { what: what.to_owned(), text, place });
    }

    /// Every place where something planted came up again, with what stands before it.
    pub fn found(&self) -> Vec<String> {
        let (secrets, hashes) = (self.secrets.lock().unwrap(), self.hashes.lock().unwrap());
        let told = self.told.lock().unwrap();
        let of = |told: &Told| -> Vec<String> {
            let hashes = hashes.iter().filter(|_| told.place == Place::Shown);
            let planted =
                [CANARY].into_iter().chain(secrets.iter().chain(hashes).map(String::as_str));
            let places = planted.filter_map(|secret| told.text.find(secret));
            places.map(|at| format!("{}: {}", told.what, around(&told.text, at))).collect()
        };
        told.iter().flat_map(of).collect()
    }
}

/// What stands about a place in a text.
fn around(text: &str, at: usize) -> String {
    let before: Vec<char> = text[..at].chars().rev().take(300).collect();
    before.into_iter().rev().chain(text[at..].chars().take(60)).collect()
}

/// As routers hash it.
pub fn hash(secret: &str) -> String {
    let pepper = blake3::derive_key("trunkline 2026 api key pepper", PEPPER.as_bytes());
    blake3::keyed_hash(&pepper, secret.as_bytes()).to_hex().to_string()
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
