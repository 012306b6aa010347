//! The rule for links in Markdown: a relative link leads to a file that exists. Links to the web
//! are not followed: a test must not fail because somebody else's page is down.

use std::path::Path;

use super::tree::{File, Finding};

/// `exists` tells whether a path from the repository root is there.
pub(crate) fn resolve(file: &File, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.path.ends_with(".md") {
        return findings;
    }
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut fenced = false;
    for (number, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        for target in targets(line).into_iter().filter(|_| !fenced) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !exists(&folder.join(path)) {
                findings.push(file.finding(number + 1, format!("`{target}` leads nowhere")));
            }
        }
    }
    findings
}

/// The relative targets of `[text](target)` and `[text]: target`, outside of inline code.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let defined = prose.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let all = inline.chain(defined.map(|(_, target)| target));
    let targets = all.filter_map(|target| target.split_whitespace().next());
    targets.filter(|target| !target.contains(':')).map(str::to_owned).collect()
}
