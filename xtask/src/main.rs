//! The project's chores, run as `cargo xtask NAME`.

mod layers;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask layers";

fn main() -> ExitCode {
    let chore = std::env::args().nth(1);
    let result = match chore.as_deref() {
        Some("layers") => layers::check(),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match result {
        Ok(report) => {
            say(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a chore reports on the terminal")]
fn say(text: &str) {
    println!("{text}");
}
