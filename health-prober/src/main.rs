//! The program: reads its flags and runs one prober until it is told to end.

use clap::Parser;
use health_prober::config::Cli;
use health_prober::{app, check};

#[expect(clippy::print_stdout, reason = "a program talks to whoever started it")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if cli.check {
        return check::check(&cli).map(|()| println!("everything is in order"));
    }
    app::process(cli).await.map_err(anyhow::Error::from_boxed)
}
