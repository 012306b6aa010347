//! `proto/` is a module that buf takes as it is.

use std::process::Command;

use trunkline_tests::foreign::{folder, python, run};

async fn buf(arguments: &[&str]) {
    let mut command = Command::new(python().with_file_name("buf"));
    command.args(arguments).current_dir(folder("../proto"));
    run(command).await;
}

#[tokio::test]
async fn the_contract_builds_and_keeps_to_its_style() {
    buf(&["build", "--output", "/dev/null"]).await;
    buf(&["lint"]).await;
}
