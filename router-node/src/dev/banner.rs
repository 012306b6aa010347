//! What `router-node dev` prints: what is running, and lines to paste.

use super::{DEV_KEY, Sims, catalog};
use crate::app::Running;
use crate::config::Dev;

/// Prints it.
#[expect(clippy::print_stdout, reason = "a program talks to whoever started it")]
pub fn print(dev: &Dev, running: &Running, sims: &Sims, notes: &[String]) {
    println!("{}", text(dev, &running.address.to_string(), sims, notes));
}

fn text(dev: &Dev, address: &str, sims: &Sims, notes: &[String]) -> String {
    let (ops, admin, model) = (dev.ports.ops, dev.ports.admin, catalog::SIM_CHAT);
    let mut providers: Vec<String> = sims
        .all()
        .iter()
        .map(|(name, sim, what)| format!("  {name:<10} {}   {what}", sim.root_url()))
        .collect();
    providers.extend(notes.iter().map(|note| format!("  {note}")));
    let providers = providers.join("\n");
    format!(
        r#"
Trunkline is running on this machine. Press Ctrl-C to stop it.

  API         http://{address}/v1   (HTTP and gRPC, key `{DEV_KEY}`)
  operations  http://{ops}      (a status page, /livez /readyz /metrics)
  admin       http://{admin}      (gRPC, for admin-cli)

providers
{providers}

try it
  curl http://{address}/v1/chat/completions -H 'authorization: Bearer {DEV_KEY}' \
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "hello"}}]}}'

  curl -N http://{address}/v1/chat/completions -H 'authorization: Bearer {DEV_KEY}' \
    -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "hello"}}]}}'

  python:  from openai import OpenAI
           client = OpenAI(base_url="http://{address}/v1", api_key="{DEV_KEY}")
           client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "hello"}}])

  node:    const client = new OpenAI({{ baseURL: "http://{address}/v1", apiKey: "{DEV_KEY}" }})

break a provider, and see that callers do not notice
  curl -X POST {fast}/_sim/fault -d '{{"fault": {{"kind": "status", "status": 500}}}}'
  curl -X DELETE {fast}/_sim/fault
"#,
        fast = sims.fast.root_url(),
    )
}
