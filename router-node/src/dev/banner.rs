//! What `router-node dev` prints: what is running, and lines to paste.

use super::{DEV_KEY, Offer, Sims};
use crate::app::Running;
use crate::config::Dev;

/// Prints it.
#[expect(clippy::print_stdout, reason = "a program talks to whoever started it")]
pub fn print(dev: &Dev, running: &Running, sims: &Sims, offer: &Offer) {
    // A catalog of one's own knows nothing of them.
    let sims = dev.catalog.is_none().then_some(sims);
    println!("{}", text(dev, &running.address.to_string(), sims, offer));
}

fn text(dev: &Dev, address: &str, sims: Option<&Sims>, offer: &Offer) -> String {
    let (ops, admin) = (dev.ports.ops, dev.ports.admin);
    let all = sims.iter().flat_map(|sims| sims.all());
    let all = all.map(|(name, sim, what)| format!("  {name:<10} {}   {what}", sim.root_url()));
    let providers: Vec<String> =
        all.chain(offer.notes.iter().map(|note| format!("  {note}"))).collect();
    let providers = providers.join("\n");
    let mut text = format!(
        r"
Trunkline is running on this machine. Press Ctrl-C to stop it.

  API         http://{address}/v1   (HTTP and gRPC, key `{DEV_KEY}`)
  operations  http://{ops}      (a status page, /livez /readyz /metrics)
  admin       http://{admin}      (gRPC, for admin-cli)

providers
{providers}
"
    );
    if let Some(model) = &offer.model {
        text += &calls(address, model.as_str());
    }
    if let Some(sims) = sims {
        text += &breaking(&sims.fast.root_url());
    }
    text
}

fn calls(address: &str, model: &str) -> String {
    format!(
        r#"
try it
  curl http://{address}/v1/chat/completions -H 'authorization: Bearer {DEV_KEY}' \
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "hello"}}]}}'

  curl -N http://{address}/v1/chat/completions -H 'authorization: Bearer {DEV_KEY}' \
    -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "hello"}}]}}'

  python:  from openai import OpenAI
           client = OpenAI(base_url="http://{address}/v1", api_key="{DEV_KEY}")
           client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "hello"}}])

  node:    const client = new OpenAI({{ baseURL: "http://{address}/v1", apiKey: "{DEV_KEY}" }})
"#
    )
}

fn breaking(fast: &str) -> String {
    format!(
        r#"
break a provider, and see that callers do not notice
  curl -X POST {fast}/_sim/fault -d '{{"fault": {{"kind": "status", "status": 500}}}}'
  curl -X DELETE {fast}/_sim/fault
"#
    )
}
