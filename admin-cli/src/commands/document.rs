//! `policy …` and `catalog …`: documents in files, and their versions.

mod file;
mod planned;
mod replay;

use std::io::Write;

use serde_json::{Value, json};
use trunkline_proto::admin::v1::{
    ApplyDocumentRequest, DocumentKind, DocumentPlan, GetDocumentRequest,
    ListDocumentVersionsRequest, PlanDocumentRequest, PlanImpactRequest, ValidateDocumentRequest,
    apply_document_request, plan_document_request,
};
use trunkline_spec::diff;
use trunkline_spec::versioned::Versioned;

use crate::Failure;
use crate::cli::{
    ApplyArgs, Connection, DiffArgs, DocumentVerb, Format, HowArgs, OverruleArgs, PlanArgs,
    RollbackArgs, ShowArgs, ValidateArgs,
};
use crate::connect::{self, Admin};
use crate::render::{self, List};
use crate::rows;

pub use file::File;
pub use planned::{Planned, short};
use replay::Replay;

/// How versions are listed.
pub const VERSIONS: &[(&str, &str)] = &[
    ("VERSION", "short"),
    ("IN_FORCE", "in_force"),
    ("SINCE", "at"),
    ("BY", "by"),
    ("HOW", "how"),
    ("REASON", "reason"),
];

/// A command about a document.
pub struct Command<'a> {
    /// Which document.
    pub kind: Versioned,
    /// The router, where one is needed.
    pub connection: &'a Connection,
    /// How the answer is written.
    pub format: Format,
}

impl Command<'_> {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a document that is wrong, [`Failure::Refused`] for a plan that would be refused;
    /// else the router's answer, a file that cannot be read, or an `out` that does not take the answer.
    pub async fn run(&self, verb: DocumentVerb, out: &mut dyn Write) -> Result<(), Failure> {
        match verb {
            DocumentVerb::Validate(args) => self.validate(args, out).await,
            DocumentVerb::Diff(args) => self.diff(args, out).await,
            DocumentVerb::Plan(args) => self.plan(args, out).await,
            DocumentVerb::Apply(args) => self.apply(args, out).await,
            DocumentVerb::Log => self.log(out).await,
            DocumentVerb::Show(args) => self.show(args, out).await,
            DocumentVerb::Rollback(args) => self.rollback(args, out).await,
        }
    }

    async fn validate(&self, args: ValidateArgs, out: &mut dyn Write) -> Result<(), Failure> {
        let file = File::read(&args.file.file)?;
        let version = file.written(self.kind)?.version;
        if args.remote {
            let document = file.text.clone();
            let asked = ValidateDocumentRequest { kind: self.kind().into(), document };
            let answer = self.connect().await?.validate_document(asked).await?.into_inner();
            file.right(answer.problems)?;
        }
        if self.format.is_data() {
            return Ok(render::data(
                &json!({"version": version, "problems": []}),
                self.format,
                out,
            )?);
        }
        Ok(writeln!(out, "{} is a {} of version {version}", file.name, self.kind)?)
    }

    async fn diff(&self, args: DiffArgs, out: &mut dyn Write) -> Result<(), Failure> {
        let file = File::read(&args.file.file)?;
        let written = file.written(self.kind)?;
        let version = args.with.unwrap_or_default();
        let asked = GetDocumentRequest { kind: self.kind().into(), version };
        let there = self.connect().await?.get_document(asked).await?.into_inner();
        let found = diff::between(&there.document_json, &written.canonical);
        let differences: Vec<Value> =
            found.iter().map(|d| rows::difference(&d.path, &d.before, &d.after)).collect();
        let list = List { columns: planned::DIFFERENCES, items: differences };
        Ok(render::list(&list, self.format, out)?)
    }

    async fn plan(&self, args: PlanArgs, out: &mut dyn Write) -> Result<(), Failure> {
        let file = File::read(&args.file.file)?;
        file.written(self.kind)?;
        let source = plan_document_request::Source::Document(file.text.clone());
        let mut admin = self.connect().await?;
        let plan = self.ask_for_plan(&mut admin, source).await?;
        file.right(plan.problems.clone())?;
        let asked = PlanImpactRequest {
            document_kind: self.kind.as_str().to_owned(),
            document: file.text.clone(),
            max_calls: 0,
            only_here: false,
        };
        let replay = admin.plan_impact(asked).await?.into_inner();
        let planned = Planned { kind: self.kind, plan: &plan, replay: Some(Replay(&replay)) };
        planned.write(self.format, out)?;
        planned.acceptable(&args.overrule)
    }

    async fn apply(&self, args: ApplyArgs, out: &mut dyn Write) -> Result<(), Failure> {
        let file = File::read(&args.file.file)?;
        file.written(self.kind)?;
        let mut admin = self.connect().await?;
        let source = plan_document_request::Source::Document(file.text.clone());
        let plan = self.ask_for_plan(&mut admin, source).await?;
        file.right(plan.problems.clone())?;
        let source = apply_document_request::Source::Document(file.text);
        self.put_in_force(&mut admin, (source, args.how), &plan, out).await
    }

    async fn rollback(&self, args: RollbackArgs, out: &mut dyn Write) -> Result<(), Failure> {
        let mut admin = self.connect().await?;
        let version = args.version.unwrap_or_default();
        let source = plan_document_request::Source::Version(version);
        let plan = self.ask_for_plan(&mut admin, source).await?;
        if !plan.problems.is_empty() {
            return Err(Failure::Invalid(
                file::problems(plan.problems, "that version").to_string(),
            ));
        }
        // By its whole hash: what was planned is what is applied, whatever comes in between.
        let source = apply_document_request::Source::Version(plan.version.clone());
        self.put_in_force(&mut admin, (source, args.how), &plan, out).await
    }

    /// Shows the plan, then asks for it to be done on the version in force that it was made for.
    async fn put_in_force(
        &self,
        admin: &mut Admin,
        (source, how): (apply_document_request::Source, HowArgs),
        plan: &DocumentPlan,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let planned = Planned { kind: self.kind, plan, replay: None };
        if self.format == Format::Table {
            planned.write(self.format, out)?;
        }
        let OverruleArgs { force, accept_dataflow } = how.overrule;
        let head = how.expect_head.or_else(|| Some(plan.head_version.clone()));
        let asked = ApplyDocumentRequest {
            kind: self.kind().into(),
            reason: how.reason,
            expected_head: head,
            dry_run: how.dry_run,
            force,
            accept_dataflow,
            source: Some(source),
        };
        let answer = admin.apply_document(asked).await?.into_inner();
        if self.format.is_data() {
            let plan = answer.plan.unwrap_or_default();
            let mut value = Planned { kind: self.kind, plan: &plan, replay: None }.value();
            if let Value::Object(value) = &mut value {
                value.insert("applied".to_owned(), json!(answer.applied));
                value.insert("revision".to_owned(), json!(answer.revision));
            }
            return Ok(render::data(&value, self.format, out)?);
        }
        let said = match (answer.applied, how.dry_run) {
            (true, _) => format!("is in force from revision {}", answer.revision),
            (false, true) => "would be in force; nothing was written".to_owned(),
            (false, false) => "is in force already; nothing was written".to_owned(),
        };
        Ok(writeln!(out, "{} {} {said}", self.kind, planned::short(&plan.version))?)
    }

    async fn log(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let asked = ListDocumentVersionsRequest { kind: self.kind().into() };
        let answer = self.connect().await?.list_document_versions(asked).await?.into_inner();
        let items = answer.versions.iter().map(rows::version).collect();
        Ok(render::list(&List { columns: VERSIONS, items }, self.format, out)?)
    }

    /// JSON or YAML, never a table: it is the document as it can be applied again.
    async fn show(&self, args: ShowArgs, out: &mut dyn Write) -> Result<(), Failure> {
        let version = args.version.unwrap_or_default();
        let asked = GetDocumentRequest { kind: self.kind().into(), version };
        let answer = self.connect().await?.get_document(asked).await?.into_inner();
        match serde_json::from_str::<Value>(&answer.document_json) {
            Ok(document) => Ok(render::data(&document, self.format, out)?),
            Err(_) => Ok(writeln!(out, "{}", answer.document_json)?),
        }
    }

    async fn ask_for_plan(
        &self,
        admin: &mut Admin,
        source: plan_document_request::Source,
    ) -> Result<DocumentPlan, Failure> {
        let asked = PlanDocumentRequest { kind: self.kind().into(), source: Some(source) };
        Ok(admin.plan_document(asked).await?.into_inner().plan.unwrap_or_default())
    }

    async fn connect(&self) -> Result<Admin, Failure> {
        connect::connect(self.connection).await
    }

    fn kind(&self) -> DocumentKind {
        match self.kind {
            Versioned::Policy => DocumentKind::Policy,
            Versioned::Catalog => DocumentKind::Catalog,
        }
    }
}
