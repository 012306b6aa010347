//! The program that measures how soon a cluster agrees; all of it is in the library's `convergence`.

use clap::Parser;
use trunkline_tests::convergence::{self, Options};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    convergence::run(&Options::parse()).await
}
