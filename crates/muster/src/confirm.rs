//! Asking before something is destroyed.

use crate::exit::Usage;
use std::io::{IsTerminal as _, Write as _};

/// Goes on if `yes` was given or a person says so; `act` says what would be done,
/// such as "delete the sensor x".
///
/// # Errors
///
/// If nobody can be asked, or the answer is no.
pub fn confirm(yes: bool, act: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Usage(format!("this would {act}; add --yes to do it")).into());
    }
    eprint!("This will {act}. Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { anyhow::bail!("nothing was done") }
}
