//! `keys`: makes, lists and revokes API keys.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tonic::Status;
use trunkline_proto::admin::v1::{CreateKeyRequest, RevokeKeyRequest};

use super::get;
use crate::Failure;
use crate::cli::{Format, GetArgs, KeysCreateArgs, KeysRevokeArgs, KeysVerb, Kind, RoleArg};
use crate::connect::Admin;
use crate::render;
use crate::rows;

/// Makes, lists or revokes.
///
/// # Errors
/// The router's answer, or an `out` that does not take it.
pub async fn run(
    admin: &mut Admin,
    verb: KeysVerb,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match verb {
        KeysVerb::Create(args) => create(admin, args, format, out).await,
        KeysVerb::List => {
            get::run(admin, GetArgs { kind: Kind::Keys, watch: false }, format, out).await
        }
        KeysVerb::Revoke(args) => revoke(admin, args, format, out).await,
    }
}

async fn create(
    admin: &mut Admin,
    args: KeysCreateArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let dry_run = args.dry_run;
    let entry_json = entry(&args)?.to_string();
    let asked = CreateKeyRequest { entry_json, reason: args.reason, dry_run };
    let answer = admin.create_key(asked).await.map_err(of_the_entry)?.into_inner();
    let entry = rows::key(&answer.entry.unwrap_or_default());
    if format.is_data() {
        let key = (!dry_run).then_some(answer.key);
        let answer =
            json!({"revision": answer.revision, "dry_run": dry_run, "key": key, "entry": entry});
        return Ok(render::data(&answer, format, out)?);
    }
    if dry_run {
        writeln!(out, "a key like this would be made:")?;
    } else {
        writeln!(out, "{}", answer.key)?;
        writeln!(out, "\nnobody can show this key again: keep it now")?;
    }
    Ok(render::one(&entry, format, out)?)
}

/// The entry of the keys document that the flags describe.
fn entry(args: &KeysCreateArgs) -> Result<Value, Failure> {
    let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
    let role = args.role.map(|role| match role {
        RoleArg::Viewer => "viewer",
        RoleArg::Operator => "operator",
        RoleArg::Admin => "admin",
    });
    let expires_at_ms = args.expires.map(|span| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|_| Failure::Usage("this machine's clock is before 1970".into()))?;
        Ok::<_, Failure>(u64::try_from((now + span).as_millis()).unwrap_or(u64::MAX))
    });
    let mut data = Map::new();
    put(&mut data, "jurisdictions", list(&args.jurisdiction));
    put(&mut data, "max_retention_days", args.max_retention_days.map(Value::from));
    put(&mut data, "no_training", args.no_training.then_some(Value::from(true)));
    let mut spend = Map::new();
    put(&mut spend, "day", args.spend_day.map(Value::from));
    put(&mut spend, "week", args.spend_week.map(Value::from));
    put(&mut spend, "month", args.spend_month.map(Value::from));
    put(&mut spend, "lifetime", args.spend_lifetime.map(Value::from));
    let mut entry = Map::new();
    put(&mut entry, "note", args.note.clone().map(Value::from));
    put(&mut entry, "role", role.map(Value::from));
    put(&mut entry, "expires_at_ms", expires_at_ms.transpose()?.map(Value::from));
    put(&mut entry, "networks", list(&args.from));
    put(&mut entry, "models", list(&args.model));
    put(&mut entry, "providers", list(&args.provider));
    put(&mut entry, "requests_per_minute", args.rpm.map(Value::from));
    put(&mut entry, "max_concurrency", args.max_concurrency.map(Value::from));
    put(&mut entry, "spend", (!spend.is_empty()).then_some(Value::Object(spend)));
    put(&mut entry, "data", (!data.is_empty()).then_some(Value::Object(data)));
    Ok(Value::Object(entry))
}

fn put(into: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        into.insert(name.to_owned(), value);
    }
}

/// The entry is made of flags: what is wrong in it is told without the name of the message's field.
fn of_the_entry(refused: Status) -> Status {
    match refused.message().strip_prefix("entry_json: ") {
        Some(told) => Status::with_details(refused.code(), told, refused.details().to_vec().into()),
        None => refused,
    }
}

async fn revoke(
    admin: &mut Admin,
    args: KeysRevokeArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let asked = RevokeKeyRequest {
        id: args.id.clone(),
        reason: args.how.reason,
        expected_revision: args.how.expect_revision,
        dry_run: args.how.dry_run,
        force: args.how.force,
    };
    let revision = admin.revoke_key(asked).await?.into_inner().revision;
    if format.is_data() {
        let answer = json!({"revision": revision, "dry_run": args.how.dry_run, "id": args.id});
        return Ok(render::data(&answer, format, out)?);
    }
    let done = if args.how.dry_run { "would be" } else { "is" };
    Ok(writeln!(out, "key {} {done} refused from revision {revision}", args.id)?)
}
