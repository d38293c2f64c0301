//! Line charts as SVG, without a library: axes, grid, lines that differ by colour and by mark, and
//! a legend.

use std::fmt::Write;

/// How an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from zero on.
    Linear,
    /// By powers of ten; what is not positive is left out.
    Log,
}

/// An axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: &'static str,
    /// How it counts.
    pub scale: Scale,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in the order of x.
    pub points: Vec<(f64, f64)>,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The lines; at most nine can be told apart.
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 500.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 370.0;
/// Colours that colour-blind people tell apart. Okabe and Ito 2008, and grey.
const COLOURS: [&str; 9] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f",
    "#8a6d00",
];

impl Chart {
    /// The picture as SVG.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let x = Range::of(self.x.scale, all().map(|point| point.0));
        let y = Range::of(self.y.scale, all().map(|point| point.1));
        let place = |(px, py): (f64, f64)| {
            Some((LEFT + x.share(px)? * (RIGHT - LEFT), BOTTOM - y.share(py)? * (BOTTOM - TOP)))
        };
        let mut svg = String::new();
        self.frame(&mut svg, &x, &y);
        for (number, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let points: Vec<(f64, f64)> = line.points.iter().filter_map(|p| place(*p)).collect();
            let path: String = points.iter().map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
            add(
                &mut svg,
                &format!(
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{}\"/>",
                    path.trim_end()
                ),
            );
            points.iter().for_each(|at| mark(&mut svg, number, *at, colour));
            let height = TOP + 10.0 + 22.0 * number as f64;
            mark(&mut svg, number, (RIGHT + 20.0, height - 4.0), colour);
            text(&mut svg, (RIGHT + 32.0, height), "start", &line.name);
        }
        add(&mut svg, "</svg>");
        svg
    }

    fn frame(&self, svg: &mut String, x: &Range, y: &Range) {
        add(
            svg,
            &format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{}\">",
                escaped(&self.title)
            ),
        );
        add(svg, &format!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>"));
        text(svg, (LEFT, 22.0), "start", &self.title);
        for (value, share) in x.ticks() {
            let at = LEFT + share * (RIGHT - LEFT);
            rule(svg, (at, TOP), (at, BOTTOM));
            text(svg, (at, BOTTOM + 18.0), "middle", &number(value));
        }
        for (value, share) in y.ticks() {
            let at = BOTTOM - share * (BOTTOM - TOP);
            rule(svg, (LEFT, at), (RIGHT, at));
            text(svg, (LEFT - 6.0, at + 4.0), "end", &number(value));
        }
        text(svg, ((LEFT + RIGHT) / 2.0, HEIGHT - 12.0), "middle", self.x.label);
        add(
            svg,
            &format!(
                "<text transform=\"translate(18 {:.0}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
                (TOP + BOTTOM) / 2.0,
                escaped(self.y.label)
            ),
        );
    }
}

/// From where to where an axis goes.
#[derive(Debug)]
struct Range {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Range {
    fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let values = values.filter(|v| v.is_finite() && (scale == Scale::Linear || *v > 0.0));
        let (least, most) = values.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
        if least > most {
            return Self { scale, from: 1.0, to: 10.0 };
        }
        match scale {
            Scale::Linear => Self { scale, from: 0.0, to: nice(most) },
            Scale::Log => {
                let from = 10_f64.powf(least.log10().floor());
                let to = 10_f64.powf(most.log10().ceil());
                Self { scale, from, to: to.max(10.0 * from) }
            }
        }
    }

    fn share(&self, value: f64) -> Option<f64> {
        match self.scale {
            Scale::Linear if value.is_finite() => Some((value - self.from) / (self.to - self.from)),
            Scale::Log if value > 0.0 && value.is_finite() => {
                Some((value / self.from).log10() / (self.to / self.from).log10())
            }
            Scale::Linear | Scale::Log => None,
        }
    }

    fn ticks(&self) -> Vec<(f64, f64)> {
        let values: Vec<f64> = match self.scale {
            Scale::Linear => (0..=5).map(|n| self.to * f64::from(n) / 5.0).collect(),
            Scale::Log => {
                let decades = (self.to / self.from).log10().round() as i32;
                (0..=decades).map(|n| self.from * 10_f64.powi(n)).collect()
            }
        };
        values.into_iter().filter_map(|value| Some((value, self.share(value)?))).collect()
    }
}

/// The next number that five parts divide well.
fn nice(most: f64) -> f64 {
    let power = 10_f64.powf(most.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= most * 0.999_999).unwrap_or(10.0 * power)
}

/// A number as axes show it.
fn number(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", crate::report::decimal(v / 1e6)),
        v if v >= 1e3 => format!("{}k", crate::report::decimal(v / 1e3)),
        v => crate::report::decimal(v),
    }
}

fn mark(svg: &mut String, number: usize, (x, y): (f64, f64), colour: &str) {
    let shape = match number % 3 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\""),
        1 => format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"", x - 3.5, y - 3.5),
        _ => format!("<path d=\"M{x:.1} {:.1}l4 8h-8z\"", y - 4.5),
    };
    let fill = if (number / 3).is_multiple_of(2) { colour } else { "#ffffff" };
    add(svg, &format!("{shape} fill=\"{fill}\" stroke=\"{colour}\"/>"));
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    add(
        svg,
        &format!(
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"#d0d0d0\"/>",
            from.0, from.1, to.0, to.1
        ),
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let words = escaped(words);
    add(svg, &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"));
}

fn add(svg: &mut String, line: &str) {
    writeln!(svg, "{line}").expect("a string takes everything");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_every_line_and_names_it() {
        let line = |name: &str, by: f64| Line {
            name: name.to_owned(),
            points: vec![(10.0, by), (100.0, 2.0 * by), (1000.0, f64::NAN)],
        };
        let x = Axis { label: "nodes", scale: Scale::Log };
        let y = Axis { label: "hops", scale: Scale::Linear };
        let lines = vec![line("ours", 1.0), line("a < b", 2.0)];
        let svg = Chart { title: "Hops".to_owned(), x, y, lines }.to_svg();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 3, "two points and the legend");
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(nice(3.7), 5.0);
        assert_eq!(nice(100.0), 100.0);
        let range = Range::of(Scale::Log, [30.0, 4_000.0].into_iter());
        assert_eq!((range.from, range.to, range.ticks().len()), (10.0, 10_000.0, 4));
        assert_eq!(number(20_000.0), "20k");
    }
}
