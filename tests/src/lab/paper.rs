//! The laboratory's plain Chord beside the numbers of its paper, as a table. Stoica et al., SIGCOMM
//! 2001, section 6.

use std::fmt::Write;

use super::stoica::{Places, as_published, failed_after, keys_per_node, path_lengths};
use super::stoica_churn::failures;

/// The tables in Markdown.
#[must_use]
pub fn tables() -> String {
    let mut text = String::from(
        "\n## Plain Chord beside its paper\n
Stoica et al., SIGCOMM 2001, section 6. Places by lot are what hashes give; at equal distances the
paper's argument for ½ log2 N holds exactly.

| nodes | ½ log2 N | equal distances | by lot | 1st, 99th percentile |
|---|---|---|---|---|
",
    );
    for k in 3..=14 {
        let rings = if k < 10 { 40 } else { 2 };
        let even = path_lengths(k, rings, Places::Even, as_published).mean;
        let lot = path_lengths(k, rings, Places::ByLot, as_published);
        let (half, mean, p1, p99) = (f64::from(k) / 2.0, lot.mean, lot.p1, lot.p99);
        row(&mut text, &format!("2^{k} | {half} | {even:.2} | {mean:.2} | {p1}, {p99}"));
    }
    text.push_str("\n| of 10^4 nodes | the paper | here |\n|---|---|---|\n");
    let keys = keys_per_node(10_000, 500_000, 1, 1);
    let paper = "maximum 9.1 ×, p99 4.6 ×";
    let (max, p99) = (keys.max, keys.p99);
    let here = format!("maximum {max:.1} ×, p99 {p99:.1} ×");
    row(&mut text, &format!("keys of a node, of 5·10^5 | {paper} | {here}"));
    for (virtuals, paper) in [(1, "p1 0, p99 4.8 ×"), (20, "p1 0.5 ×, p99 1.6 ×")] {
        let keys = keys_per_node(10_000, 1_000_000, virtuals, 2);
        let here = format!("p1 {:.2} ×, p99 {:.1} ×", keys.p1, keys.p99);
        row(&mut text, &format!("of 10^6, {virtuals} virtual nodes each | {paper} | {here}"));
    }
    for share in [0.1, 0.3, 0.5] {
        let failed = 100.0 * failed_after(10_000, share, 100_000, 3);
        let percent = 100.0 * share;
        let what = format!("look-ups failed after {percent:.0} % did");
        row(&mut text, &format!("{what} | {percent:.0} % | {failed:.1} %"));
    }
    for (rate, paper) in [(0.01, "some 0.3 %"), (0.1, "some 3 %, slightly worse")] {
        let failed = 100.0 * failures(500, rate, 7_200, 4);
        let what = format!("500 nodes, {rate} join and fail a second: failed look-ups");
        row(&mut text, &format!("{what} | {paper} | {failed:.1} %"));
    }
    text
}

fn row(text: &mut String, cells: &str) {
    writeln!(text, "| {cells} |").expect("a string takes everything");
}
