//! All architectures side by side: tables, and pictures for `docs/lab`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::rings::{Kind, Weather, row};
use super::{Row, USERS_EACH, overlay};
use crate::lab::paper;
use crate::lab::svg::{Axis, Chart, Line, Scale};

/// Sizes that are compared, in super-peers.
pub const SIZES: [u32; 3] = [200, 600, 2_000];
/// Super-peers while lives and deaths are compared.
const NODES: u32 = 400;
/// Median lives that are compared, in minutes. Skype's super-peers lived 5.5 h (Guha et al., IPTPS
/// 2006); 1.4 min is the hardest that Rhea et al. (USENIX 2004) tried.
const LIVES: [f64; 4] = [330.0, 60.0, 10.0, 1.4];
/// Shares that die at once.
const SHARES: [f64; 4] = [0.0, 0.1, 0.3, 0.5];
/// How long the dead are not noticed without structure: half a ping's period and the patience time.
const NOTICED_AFTER: f64 = 9.0;
/// Searches among unstructured overlays.
const SEARCHES: usize = 100;

/// One comparison: the same weather for all.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What is varied, and its value.
    pub x: f64,
    /// What came of it, an architecture each.
    pub rows: Vec<Row>,
}

/// All architectures in that weather.
#[must_use]
pub fn compare(weather: &Weather) -> Vec<Row> {
    let users = (weather.nodes * USERS_EACH) as usize;
    let mean_life = weather.session.map(|s| s.as_secs_f64() / std::f64::consts::LN_2);
    let unnoticed = mean_life.map_or(0.0, |life| NOTICED_AFTER / (NOTICED_AFTER + life));
    let dead = weather.fail.max(unnoticed);
    let mut rows: Vec<Row> = Kind::ALL.into_iter().map(|kind| row(kind, weather)).collect();
    rows.push(overlay::central_index(users, dead));
    rows.push(overlay::super_peer_flooding(weather.nodes as usize, dead, SEARCHES, 1));
    rows.push(overlay::flooding(users, dead, SEARCHES, 1));
    rows.push(overlay::walks(users, dead, SEARCHES, 1));
    rows
}

/// Compares by size, by lives and by deaths at once; writes `docs/lab`'s files there and gives the
/// tables.
///
/// # Errors
/// When a file cannot be written.
pub fn write_all(out: &Path, mut told: impl FnMut(&str)) -> std::io::Result<String> {
    std::fs::create_dir_all(out)?;
    let mut text = String::from(HEAD);
    let hour = Some(Duration::from_secs(3600));
    let by_size = |nodes| Weather { nodes, session: hour, fail: 0.0 };
    let sizes: Vec<Comparison> = SIZES
        .into_iter()
        .map(|nodes| {
            told(&format!("{nodes} super-peers"));
            Comparison { x: f64::from(nodes), rows: compare(&by_size(nodes)) }
        })
        .collect();
    let lives: Vec<Comparison> = LIVES
        .into_iter()
        .map(|minutes| {
            told(&format!("lives of {minutes} min"));
            let session = Some(Duration::from_secs_f64(60.0 * minutes));
            let weather = Weather { nodes: NODES, session, fail: 0.0 };
            Comparison { x: minutes, rows: compare(&weather) }
        })
        .collect();
    let deaths: Vec<Comparison> = SHARES
        .into_iter()
        .map(|fail| {
            told(&format!("{fail} of all die"));
            let weather = Weather { nodes: NODES, session: None, fail };
            Comparison { x: 100.0 * fail, rows: compare(&weather) }
        })
        .collect();
    for (what, unit, comparisons) in [
        ("By size", "super-peers", &sizes),
        ("By median life", "minutes", &lives),
        ("By the share that dies at once", "percent", &deaths),
    ] {
        writeln!(text, "\n## {what}\n").expect("a string takes everything");
        for comparison in comparisons {
            let x = crate::report::decimal(comparison.x);
            writeln!(text, "### {x} {unit}\n\n{}", table(&comparison.rows))
                .expect("a string takes everything");
        }
    }
    let n = Axis { label: "super-peers", scale: Scale::Log };
    let life = Axis { label: "median life of a super-peer, minutes", scale: Scale::Log };
    let share = Axis { label: "percent of super-peers that die at once", scale: Scale::Linear };
    let of = |label| Axis { label, scale: Scale::Log };
    let pct = Axis { label: "percent of searches that succeed", scale: Scale::Linear };
    for picture in [
        picture("messages", "Messages of one search", n, of("messages"), &sizes, |r| r.messages),
        picture("bytes", "Bytes of one search", n, of("bytes"), &sizes, |r| r.bytes),
        picture("time", "Time of one search", n, of("ms"), &sizes, |r| r.ms),
        picture("hops", "Hops to the record", n, of("hops"), &sizes, |r| r.hops),
        picture("busiest", "The busiest node", n, of("mean loads"), &sizes, |r| r.busiest),
        picture("upkeep", "Upkeep of one node", n, of("bytes a second"), &sizes, |r| r.upkeep),
        picture("lives", "Success by lives", life, pct, &lives, |r| r.success_pct),
        picture("deaths", "Success after deaths", share, pct, &deaths, |r| r.success_pct),
    ] {
        let Picture { file, title, x, y, of, value } = picture;
        let chart = Chart { title: title.to_owned(), x, y, lines: lines(of, value) };
        std::fs::write(out.join(format!("{file}.svg")), chart.to_svg())?;
        writeln!(text, "![{title}]({file}.svg)").expect("a string takes everything");
    }
    text.push_str(&paper::tables());
    std::fs::write(out.join("README.md"), &text)?;
    Ok(text)
}

/// A picture that is drawn.
struct Picture<'a> {
    file: &'static str,
    title: &'static str,
    x: Axis,
    y: Axis,
    of: &'a [Comparison],
    value: fn(&Row) -> f64,
}

const fn picture<'a>(
    file: &'static str,
    title: &'static str,
    x: Axis,
    y: Axis,
    of: &'a [Comparison],
    value: fn(&Row) -> f64,
) -> Picture<'a> {
    Picture { file, title, x, y, of, value }
}

const HEAD: &str = "\
# The laboratory

What `./x sim --rivals` printed last; `tests/src/lab/rivals/` says how each was modelled. Ten users
for each super-peer; round trips of 80 ms; one life's end is another's beginning. Hops are counted
to the node that has the record.
";

fn lines(comparisons: &[Comparison], value: fn(&Row) -> f64) -> Vec<Line> {
    let Some(first) = comparisons.first() else { return Vec::new() };
    let line = |at: usize, row: &Row| Line {
        name: row.name.to_owned(),
        points: comparisons.iter().map(|c| (c.x, value(&c.rows[at]))).collect(),
    };
    first.rows.iter().enumerate().map(|(at, row)| line(at, row)).collect()
}

/// A table in Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | nodes | success % | hops | ms | messages | bytes | busiest | state, bytes | upkeep, B/s |
|---|---|---|---|---|---|---|---|---|---|
",
    );
    for row in rows {
        let numbers = [
            (row.success_pct, 2),
            (row.hops, 2),
            (row.ms, 0),
            (row.messages, 0),
            (row.bytes, 0),
            (row.busiest, 1),
            (row.state, 0),
            (row.upkeep, 0),
        ];
        let cells: String = numbers
            .into_iter()
            .map(|(number, decimals)| match number.is_finite() {
                true => format!(" {number:.decimals$} |"),
                false => " – |".to_owned(),
            })
            .collect();
        writeln!(text, "| {} | {} |{cells}", row.name, row.nodes)
            .expect("a string takes everything");
    }
    text
}
