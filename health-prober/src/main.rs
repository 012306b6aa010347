//! The program: reads its flags and runs one prober until it is told to end.

use clap::Parser;
use health_prober::app;
use health_prober::config::Cli;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    app::process(Cli::parse()).await.map_err(anyhow::Error::from_boxed)
}
