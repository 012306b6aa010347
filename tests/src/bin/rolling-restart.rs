//! The program that restarts a whole cluster under load; all of it is in the library's `rolling`.

use clap::Parser;
use trunkline_tests::rolling::{self, Options};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rolling::run(&Options::parse()).await
}
