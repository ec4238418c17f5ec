//! `posthouse send`
use std::process::ExitCode;

use super::{Place, arguments::Letter};

pub(super) fn run(_place: &Place, _letter: Letter) -> anyhow::Result<ExitCode> {
    anyhow::bail!("later")
}
