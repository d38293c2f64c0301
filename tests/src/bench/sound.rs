//! `bench sound`: recorded speech through our codec and jitter buffer, judged by PESQ-WB and STOI.
//!
//! Source: the figure to reach: PESQ-WB of at least 4.2 at 32 kb/s without loss. The settings are
//! those of a call, silence left out included.

use std::io::Write;
use std::path::{Path, PathBuf};

use earshot_audio::codec::EncoderSettings;
use earshot_audio::frame::{FrameLength, SAMPLE_RATE_HZ};
use serde_json::json;

use super::judge::{Judge, Verdict};
use super::limit::Limit;
use super::line::{Line, Loss, Reports};
use super::{Stop, mean, step};
use crate::align;
use crate::demo::script;
use crate::demo::sound::Recording;
use crate::report::Report;
use crate::stoi::stoi;

/// Of the worst line without loss.
const PESQ_WB: Limit = Limit::at_least("sound.pesq_wb", 4.2);
/// How far our STOI may be from the reference: both resample by filters of their own.
const STOI_APART: Limit = Limit::at_most("sound.stoi_apart", 0.01);
/// What is checked, in its order.
pub(super) const LIMITS: [Limit; 2] = [PESQ_WB, STOI_APART];
/// The loss table, each with reports and without.
const LOSSES: [Loss; 4] = [
    Loss::OneByOne { pct: 5 },
    Loss::OneByOne { pct: 10 },
    Loss::OneByOne { pct: 20 },
    Loss::InBursts { pct: 30, packets: 5 },
];
/// One fate of the packets is luck; each loss is the mean of three.
const SEEDS: u64 = 3;
/// Pieces by which what was heard is aligned: half a second.
const WINDOW: usize = SAMPLE_RATE_HZ as usize / 2;
/// Delays that are looked for: up to 400 ms.
const LAG_MAX: i64 = 4 * SAMPLE_RATE_HZ as i64 / 10;

/// One row of the table: lines that differ by their seed only.
struct Row {
    frame: FrameLength,
    loss: Loss,
    reports: Reports,
}

/// One line, judged.
struct Judged {
    stoi: f64,
    concealed_pct: f64,
    payload_bps: f64,
    file: PathBuf,
}

impl Row {
    fn all() -> Vec<Self> {
        let row = |frame, loss, reports| Self { frame, loss, reports };
        let lossless = [FrameLength::Ms20, FrameLength::Ms10]
            .map(|frame| row(frame, Loss::Nothing, Reports::Heeded));
        let lossy = LOSSES.into_iter().flat_map(|loss| {
            [Reports::Absent, Reports::Heeded].map(|reports| row(FrameLength::Ms20, loss, reports))
        });
        lossless.into_iter().chain(lossy).collect()
    }

    const fn seeds(&self) -> u64 {
        match self.loss {
            Loss::Nothing => 1,
            Loss::OneByOne { .. } | Loss::InBursts { .. } => SEEDS,
        }
    }

    /// Lost of a hundred, and the mean length of a run.
    const fn lost(&self) -> (u8, u8) {
        match self.loss {
            Loss::Nothing => (0, 0),
            Loss::OneByOne { pct } => (pct, 1),
            Loss::InBursts { pct, packets } => (pct, packets),
        }
    }

    fn line(&self, seed: u64) -> Line {
        let encoder = EncoderSettings { frame: self.frame, ..EncoderSettings::default() };
        Line { encoder, loss: self.loss, reports: self.reports, seed }
    }

    const fn reports(&self) -> &'static str {
        match self.reports {
            Reports::Heeded => "heeded",
            Reports::Absent => "absent",
        }
    }

    fn frame_ms(&self) -> String {
        (self.frame.samples() * 1_000 / SAMPLE_RATE_HZ as usize).to_string()
    }
}

/// Measures it.
pub(super) fn run<W: Write>(venv: &Path, out: &Path, report: &mut Report<W>) -> Result<(), Stop> {
    let judge = step(report, "sound.judges", || Judge::at(venv).map_err(Stop::CannotBegin))?;
    let spoken = script::recorded().map_err(|why| {
        Stop::CannotBegin(format!("{why}\nType this, then try again:\n    ./x setup"))
    })?;
    let spoken = spoken.concat();
    let clean = out.join("sound-clean.wav");
    write(&clean, &spoken)?;
    let lines = step(report, "sound.lines", || {
        let rows = Row::all();
        let fates = rows.iter().flat_map(|row| (1..=row.seeds()).map(move |seed| (row, seed)));
        fates.map(|(row, seed)| judged(row, seed, &spoken, out)).collect::<Result<Vec<_>, _>>()
    })?;
    let files: Vec<PathBuf> = lines.iter().map(|line| line.file.clone()).collect();
    let verdicts =
        step(report, "sound.verdicts", || judge.judge(&clean, &files).map_err(Stop::Failed))?;
    keep(out, &lines, &verdicts)?;
    tell(&lines, &verdicts, report);
    Ok(())
}

fn judged(row: &Row, seed: u64, spoken: &[f32], out: &Path) -> Result<Judged, Stop> {
    let heard = row.line(seed).carry(spoken).map_err(Stop::failed)?;
    let lost = || Stop::Failed("nothing that was said was heard".to_owned());
    let aligned = align::followed(spoken, &heard.sound, WINDOW, 0..=LAG_MAX).ok_or_else(lost)?;
    let ((pct, run), reports) = (row.lost(), row.reports());
    let name = format!("sound-{}ms-loss{pct}x{run}-{reports}-{seed}.wav", row.frame_ms());
    let file = out.join(name);
    write(&file, &aligned)?;
    let stoi = stoi(spoken, &aligned, SAMPLE_RATE_HZ).ok_or_else(lost)?;
    let concealed_pct = f64::from(heard.stats.concealed_pct());
    Ok(Judged { stoi, concealed_pct, payload_bps: heard.payload_bps, file })
}

fn write(path: &Path, samples: &[f32]) -> Result<(), Stop> {
    let recording = Recording { samples: samples.to_vec(), sample0_ns: None };
    recording.write(path).map_err(Stop::Failed)
}

fn keep(out: &Path, lines: &[Judged], verdicts: &[Verdict]) -> Result<(), Stop> {
    let rows: String = lines
        .iter()
        .zip(verdicts)
        .map(|(line, verdict)| {
            let file = line.file.file_name().map(|name| name.to_string_lossy().into_owned());
            let row = json!({
                "file": file, "pesq_wb": verdict.pesq_wb, "pystoi": verdict.stoi,
                "stoi": line.stoi, "concealedPct": line.concealed_pct,
                "payloadBps": line.payload_bps,
            });
            format!("{row}\n")
        })
        .collect();
    std::fs::write(out.join("sound.jsonl"), rows).map_err(Stop::failed)
}

fn tell<W: Write>(lines: &[Judged], verdicts: &[Verdict], report: &mut Report<W>) {
    let mut worst = f64::INFINITY;
    let mut first = 0;
    for row in Row::all() {
        let these = first..first + row.seeds() as usize;
        first = these.end;
        let (pct, run) = row.lost();
        let (frame_ms, loss_pct, run) = (row.frame_ms(), pct.to_string(), run.to_string());
        let with = [
            ("frame_ms", frame_ms.as_str()),
            ("loss_pct", &loss_pct),
            ("run", &run),
            ("reports", row.reports()),
        ];
        let (lines, verdicts) = (&lines[these.clone()], &verdicts[these]);
        let pesq_wb = mean(verdicts.iter().map(|verdict| verdict.pesq_wb));
        report.figure("sound.pesq_wb", pesq_wb, "mos_lqo", &with);
        report.figure("sound.stoi", mean(lines.iter().map(|line| line.stoi)), "stoi", &with);
        let pystoi = mean(verdicts.iter().map(|verdict| verdict.stoi));
        report.figure("sound.pystoi", pystoi, "stoi", &with);
        let concealed = mean(lines.iter().map(|line| line.concealed_pct));
        report.figure("sound.concealed_pct", concealed, "%", &with);
        let payload = mean(lines.iter().map(|line| line.payload_bps)) / 1_000.0;
        report.figure("sound.payload_kbps", payload, "kb/s", &with);
        if row.loss == Loss::Nothing {
            worst = worst.min(pesq_wb);
        }
    }
    let apart = lines.iter().zip(verdicts).map(|(line, verdict)| (line.stoi - verdict.stoi).abs());
    let apart = apart.fold(0.0, f64::max);
    PESQ_WB.check(report, Some(worst));
    STOI_APART.check(report, Some(apart));
}
