//! `man`: the manual pages, from the same words as `--help`.

use std::fs;
use std::io::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::Failure;
use crate::cli::{Cli, ManArgs};

/// Writes the first page, or one for each verb into a folder.
///
/// # Errors
/// When a file or `out` does not take it.
pub fn run(args: &ManArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    match &args.folder {
        None => Ok(Man::new(command).render(out)?),
        Some(folder) => {
            fs::create_dir_all(folder)?;
            let count = pages(&command, "", folder)?;
            Ok(writeln!(out, "wrote {count} pages to {}", folder.display())?)
        }
    }
}

/// Writes the page of a command and of all below it; how many there are.
fn pages(command: &Command, above: &str, folder: &Path) -> Result<usize, Failure> {
    let name = if above.is_empty() {
        command.get_name().to_owned()
    } else {
        format!("{above}-{}", command.get_name())
    };
    let mut page = Vec::new();
    Man::new(command.clone().display_name(&name)).title(&name).render(&mut page)?;
    fs::write(folder.join(format!("{name}.1")), page)?;
    let mut count = 1;
    for below in command.get_subcommands() {
        count += pages(below, &name, folder)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(command: &Command, above: &str, found: &mut Vec<String>) {
        let name = if above.is_empty() {
            command.get_name().to_owned()
        } else {
            format!("{above}-{}", command.get_name())
        };
        assert!(command.get_about().is_some(), "{name} does not say what it does");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
        }
        for below in command.get_subcommands() {
            every(below, &name, found);
        }
        found.push(name);
    }

    #[test]
    fn every_verb_says_what_it_does_and_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs { folder: Some(folder.path().to_owned()) };
        run(&args, &mut Vec::new()).unwrap();
        let mut verbs = Vec::new();
        let mut command = Cli::command();
        command.build();
        every(&command, "", &mut verbs);
        assert!(verbs.len() > 20, "{verbs:?}");
        for verb in &verbs {
            let page = std::fs::read_to_string(folder.path().join(format!("{verb}.1"))).unwrap();
            assert!(page.contains(&format!(".TH {verb}")), "{verb}: {page}");
            assert!(page.contains(".SH SYNOPSIS"), "{verb}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), verbs.len());
    }
}
