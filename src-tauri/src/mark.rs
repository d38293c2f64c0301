//! Our mark in the tray, drawn at any size: a dot and the arcs of its sound
//! (`assets/icon-symbolic.svg`).
//!
//! Drawn and not read from a file, since a tray wants pixels, and some of them in other colours.

/// Colour of someone who is there: the accent, between its light and dark shade, for trays of both.
pub const HERE: Colour = [0x1f, 0xa0, 0x82];
/// Colour of someone who is not.
pub const GONE: Colour = [0x8c, 0x8a, 0x86];
/// Colour of what waits to be read.
const WAITS: Colour = [0xe0, 0x5d, 0x36];

/// Red, green and blue.
pub type Colour = [u8; 3];

/// The side of the square that the mark is designed on.
const DESIGN: f32 = 64.0;
/// The dot, which is the centre of the arcs too.
const DOT: (f32, f32) = (14.0, 32.0);
const DOT_RADIUS: f32 = 9.5;
const ARCS: [f32; 2] = [20.5, 36.7];
/// An arc goes so far to both sides of the horizontal.
const ARC_HALF: f32 = std::f32::consts::PI / 5.0;
const STROKE: f32 = 7.5;
/// The badge, in the corner that the arcs leave free.
const BADGE: (f32, f32) = (12.0, 11.0);
const BADGE_RADIUS: f32 = 10.0;

/// The pixels, rows from above: alpha, red, green, blue (StatusNotifierItem's `IconPixmap`).
#[must_use]
pub fn argb(side: u16, colour: Colour, badge: bool) -> Vec<u8> {
    let scale = DESIGN / f32::from(side);
    let rows = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    rows.flat_map(|(x, y)| {
        let at = ((f32::from(x) + 0.5) * scale, (f32::from(y) + 0.5) * scale);
        let badged = if badge { covered(BADGE_RADIUS - away(at, BADGE), scale) } else { 0.0 };
        let [red, green, blue] = if badged > 0.0 { WAITS } else { colour };
        let alpha = badged.max(covered(inside(at), scale));
        [(alpha * 255.0) as u8, red, green, blue]
    })
    .collect()
}

/// How far a point lies inside the mark.
fn inside(at: (f32, f32)) -> f32 {
    let far = away(at, DOT);
    let angle = (at.1 - DOT.1).atan2(at.0 - DOT.0);
    let arc = |radius: f32| {
        let end = ARC_HALF.copysign(angle);
        let tip = (DOT.0 + radius * end.cos(), DOT.1 + radius * end.sin());
        let from = if angle.abs() <= ARC_HALF { (far - radius).abs() } else { away(at, tip) };
        STROKE / 2.0 - from
    };
    ARCS.into_iter().map(arc).fold(DOT_RADIUS - far, f32::max)
}

fn away(a: (f32, f32), b: (f32, f32)) -> f32 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

/// How much of a pixel is covered whose middle lies so far inside.
fn covered(inside: f32, pixel: f32) -> f32 {
    (inside / pixel + 0.5).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(pixels: &[u8], side: u16, x: u16, y: u16) -> [u8; 4] {
        let at = 4 * usize::from(y * side + x);
        pixels[at..at + 4].try_into().unwrap()
    }

    #[test]
    fn the_mark_is_a_dot_with_arcs_and_perhaps_a_badge() {
        for side in [16, 22, 48, 64] {
            let scaled = |(x, y): (f32, f32)| {
                let of = |v: f32| (v * f32::from(side) / DESIGN) as u16;
                (of(x), of(y))
            };
            let (plain, badged) = (argb(side, HERE, false), argb(side, HERE, true));
            assert_eq!(plain.len(), 4 * usize::from(side) * usize::from(side));
            let (x, y) = scaled(DOT);
            assert_eq!(pixel(&plain, side, x, y), [255, HERE[0], HERE[1], HERE[2]]);
            assert_eq!(pixel(&plain, side, 0, 0)[0], 0);
            let (x, y) = scaled(BADGE);
            assert_eq!(pixel(&badged, side, x, y), [255, WAITS[0], WAITS[1], WAITS[2]]);
        }
    }
}
