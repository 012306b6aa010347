//! A configuration as people have it: what becomes of it, and what is named as left out.

use trunkline_spec::{catalog, load, policy};

use super::*;

const CONFIG: &str = r#"
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://acme-eu.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY_EU
      api_version: "2024-08-01-preview"
      rpm: 600
      weight: 9
    model_info:
      max_input_tokens: 128000
      max_output_tokens: 16384
      input_cost_per_token: 0.0000025
      output_cost_per_token: 0.00001
      supports_vision: true
      supports_function_calling: true
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: sk-this-should-never-be-in-a-file
      weight: 1
  - model_name: gpt-4o-mini
    litellm_params:
      model: gpt-4o-mini
  - model_name: claude-sonnet
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
      input_cost_per_token: 0.000003
      output_cost_per_token: 0.000015
  - model_name: text-embedding
    litellm_params: {model: openai/text-embedding-3-small, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: embedding}
  - model_name: llama
    litellm_params: {model: hosted_vllm/meta-llama/Llama-3.3-70B, api_base: "http://10.0.0.7:8000/v1"}
  - model_name: titan
    litellm_params: {model: bedrock/amazon.titan-text, aws_region_name: us-east-1}
  - model_name: "openai/*"
    litellm_params: {model: openai/*, api_key: os.environ/OPENAI_API_KEY}
litellm_settings:
  fallbacks: [{gpt-4o: [claude-sonnet, titan]}]
  context_window_fallbacks: [{gpt-4o-mini: [gpt-4o]}]
  num_retries: 2
  request_timeout: 300
  drop_params: true
router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: {gpt-4: gpt-4o, cheap: gpt-4o-mini, gone: titan}
  redis_host: localhost
general_settings:
  master_key: sk-1234
  database_url: postgres://localhost/litellm
"#;

fn imported() -> Imported {
    import(&load::any(CONFIG).unwrap())
}

fn provider<'a>(catalog: &'a Value, id: &str) -> &'a Value {
    let providers = catalog["providers"].as_array().unwrap();
    providers.iter().find(|p| p["id"] == id).unwrap()
}

#[test]
fn what_comes_of_it_is_a_catalog_and_a_policy_that_routers_take() {
    let imported = imported();
    let catalog = catalog::parse(&imported.catalog.to_string()).unwrap();
    assert_eq!(catalog.endpoints.len(), 6);
    policy::parse_against(&imported.policy.to_string(), &catalog).unwrap();
}

#[test]
fn deployments_keep_their_accounts_names_weights_and_prices() {
    let Imported { catalog, .. } = imported();
    let azure = provider(&catalog, "azure");
    assert_eq!(azure["base_url"], "https://acme-eu.openai.azure.com/openai/v1");
    assert_eq!(azure["credentials"], json!([{"env": "AZURE_API_KEY_EU"}]));
    let endpoint = &azure["endpoints"][0];
    assert_eq!(endpoint["upstream_model"], "gpt-4o-eu");
    assert_eq!(endpoint["weight"], 900);
    assert_eq!(endpoint["price"], json!({"input": 2.5, "output": 10.0}));
    assert_eq!(endpoint["context_tokens"], 128_000);
    let known = json!(["chat", "tools", "json_object", "json_schema", "images"]);
    assert_eq!(endpoint["capabilities"], known);
    let openai = provider(&catalog, "openai");
    assert_eq!(openai["endpoints"].as_array().unwrap().len(), 3, "one account, three models");
    assert_eq!(openai["endpoints"][0]["weight"], 100);
    assert_eq!(openai["endpoints"][1].get("upstream_model"), None);
    assert_eq!(provider(&catalog, "anthropic")["dialect"], "anthropic");
    assert_eq!(provider(&catalog, "vllm")["allow_plaintext"], true);
}

#[test]
fn fallbacks_and_aliases_are_routes() {
    let Imported { policy, .. } = imported();
    let routes = json!({
        "gpt-4o": {"models": ["gpt-4o", "claude-sonnet"]},
        "gpt-4": {"models": ["gpt-4o", "claude-sonnet"]},
        "cheap": {"models": ["gpt-4o-mini"]},
    });
    assert_eq!(policy["routes"], routes);
    assert_eq!(policy["strategy"], "order");
    assert_eq!(policy["retry"], json!({"attempts": 3}));
    assert_eq!(policy["timeouts"], json!({"total_ms": 300_000}));
}

#[test]
fn what_was_left_out_is_named_and_no_secret_is_repeated() {
    let imported = imported();
    let paths: Vec<&str> = imported.notes.iter().map(|note| note.path.as_str()).collect();
    for path in [
        "model_list[0].litellm_params.api_base",
        "model_list[0].litellm_params.api_version",
        "model_list[0].litellm_params.rpm",
        "model_list[1].litellm_params.api_key",
        "model_list[6].litellm_params.model",
        "model_list[7].model_name",
        "litellm_settings.fallbacks.gpt-4o",
        "litellm_settings.context_window_fallbacks",
        "litellm_settings.drop_params",
        "router_settings.model_group_alias.gone",
        "router_settings.redis_host",
        "general_settings.master_key",
        "general_settings.database_url",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:#?}");
    }
    let all = format!("{imported:?}");
    assert!(!all.contains("never-be-in-a-file") && !all.contains("sk-1234"));
}

#[test]
fn a_configuration_of_nothing_says_so() {
    let imported = import(&json!({"surprise": 1}));
    let paths: Vec<&str> = imported.notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(paths, ["model_list", "surprise"]);
}
