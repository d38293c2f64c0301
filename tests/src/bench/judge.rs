//! Judges of sound that nobody here wrote, in a virtual environment of their own.
//!
//! Source: the packages `pesq` (ITU-T P.862.2, wide band) and `pystoi` of PyPI, in fixed versions,
//! so that a figure means the same tomorrow. The environment is made once and kept.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What is installed. numpy and scipy decide no figure, so any version does.
const PACKAGES: [&str; 4] = ["pesq==0.0.4", "pystoi==0.4.1", "numpy", "scipy"];
/// What the judge says by Python.
const PROGRAM: &str = include_str!("judge.py");

/// What the public packages say about one recording.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub(super) struct Verdict {
    /// PESQ-WB, 1.0 to 4.64.
    pub(super) pesq_wb: f64,
    /// STOI, up to 1.
    pub(super) stoi: f64,
}

/// An environment in which the packages can be used.
#[derive(Debug)]
pub(super) struct Judge {
    python: PathBuf,
}

impl Judge {
    /// Uses the environment at `home`, and makes it where it does not serve.
    ///
    /// # Errors
    /// What went wrong and what to type, for people.
    pub(super) fn at(home: &Path) -> Result<Self, String> {
        let python = home.join("bin").join("python3");
        let judge = Self { python };
        if judge.serves() {
            return Ok(judge);
        }
        eprintln!("Installing {} into {}", PACKAGES.join(", "), home.display());
        let directory = home.display().to_string();
        let made = told(Command::new("python3").args(["-m", "venv", "--clear", &directory]))
            .and_then(|_| {
                let pip = ["-m", "pip", "install", "--quiet"];
                told(Command::new(&judge.python).args(pip).args(PACKAGES))
            });
        match made {
            Ok(_) if judge.serves() => Ok(judge),
            Ok(_) => Err(help(home, "the packages are installed and cannot be used")),
            Err(why) => Err(help(home, &why)),
        }
    }

    fn serves(&self) -> bool {
        let mut command = Command::new(&self.python);
        command.args(["-c", "import pesq, pystoi, scipy"]).stderr(Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    }

    /// Judges each recording against the clean one, to which they are aligned.
    ///
    /// # Errors
    /// What Python says.
    pub(super) fn judge(&self, clean: &Path, heard: &[PathBuf]) -> Result<Vec<Verdict>, String> {
        let mut command = Command::new(&self.python);
        let output = told(command.args(["-c", PROGRAM]).arg(clean).args(heard))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdicts: Result<Vec<Verdict>, _> = text.lines().map(serde_json::from_str).collect();
        let verdicts = verdicts.map_err(|error| format!("{error} in {text}"))?;
        if verdicts.len() == heard.len() {
            return Ok(verdicts);
        }
        Err(format!("{} recordings, {} verdicts", heard.len(), verdicts.len()))
    }
}

/// The last lines that a failed program said say best why.
const LINES_TOLD: usize = 5;

fn told(command: &mut Command) -> Result<Output, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES_TOLD)..].join("\n");
    Err(format!("{program}: {}\n{last}", output.status))
}

fn help(home: &Path, why: &str) -> String {
    let home = home.display();
    let packages = PACKAGES.join(" ");
    format!(
        "The judges of sound could not be installed: {why}\nType this, then try again:\n    \
         ./x setup && python3 -m venv --clear {home} && {home}/bin/pip install {packages}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Scratch;

    #[test]
    fn an_environment_that_cannot_be_made_says_what_to_type() {
        let scratch = Scratch::new("judge").unwrap();
        let file = scratch.join("file");
        std::fs::write(&file, "in the way").unwrap();
        let why = Judge::at(&file).unwrap_err();
        assert!(why.contains("pip install pesq==0.0.4 pystoi==0.4.1"), "{why}");
        assert!(why.contains("python3: "), "{why}");
    }
}
