//! How good the line of a home is: delay, jitter, loss, rate; and whether it is there at all.
//!
//! Source: nft(8) for loss (`numgen random`) and darkness, tc-tbf(8) for the rate; delay and jitter
//! are made by [`super::shim`], since not every kernel has netem. Invariant: both directions alike.

use std::time::Duration;

/// What one can lose in so many.
const LOSS_OF: u32 = 1_000;
/// The table of the backbone that holds what is lost and dark.
const TABLE: &str = "inet weather";
/// What a rate-limited line holds before it drops: a home router's buffer, at least one large
/// datagram.
const BUFFER: &str = "burst 16kb latency 200ms";

/// A line's properties; perfect by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// One way.
    pub delay: Duration,
    /// Each packet is late by up to so much more, and none overtakes another.
    pub jitter: Duration,
    /// Packets lost of a thousand, each way.
    pub loss_permille: u32,
    /// Kilobits per second, each way; unlimited if absent.
    pub rate_kbps: Option<u32>,
}

impl Line {
    /// Reads `delay=MS,jitter=MS,loss=PERMILLE,rate=KBPS`, any of them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut line = Self::default();
        for part in text.split(',') {
            let bad =
                || format!("`{part}` is none of delay=MS, jitter=MS, loss=PERMILLE, rate=KBPS");
            let (name, number) = part.split_once('=').ok_or_else(bad)?;
            let number: u32 = number.parse().map_err(|_| bad())?;
            match name {
                "delay" => line.delay = Duration::from_millis(number.into()),
                "jitter" => line.jitter = Duration::from_millis(number.into()),
                "loss" if number <= LOSS_OF => line.loss_permille = number,
                "rate" if number > 0 => line.rate_kbps = Some(number),
                _ => return Err(bad()),
            }
        }
        Ok(line)
    }

    /// Whether packets must be held back.
    #[must_use]
    pub fn is_late(&self) -> bool {
        !self.delay.is_zero() || !self.jitter.is_zero()
    }

    /// The backbone's table, in which nothing is lost yet.
    #[must_use]
    pub fn table() -> String {
        format!(
            "table {TABLE} {{\nset dark {{ type ifname; }}\n\
             chain lossy {{ }}\n\
             chain forward {{\ntype filter hook forward priority 0;\n\
             iifname @dark drop\noifname @dark drop\njump lossy\n}}\n}}\n"
        )
    }

    /// What this line loses, by the backbone's device that it hangs on.
    #[must_use]
    pub fn loss(&self, device: &str) -> String {
        let loss = self.loss_permille;
        if loss == 0 {
            return String::new();
        }
        let rule = |way: &str| {
            let lost = format!("{way} {device} numgen random mod {LOSS_OF} < {loss} drop");
            format!("add rule {TABLE} lossy {lost}\n")
        };
        rule("iifname") + &rule("oifname")
    }

    /// The arguments of `tc` that hold a device to the rate.
    #[must_use]
    pub fn rate(&self, device: &str) -> Option<String> {
        let rate = self.rate_kbps?;
        Some(format!("qdisc add dev {device} root tbf rate {rate}kbit {BUFFER}"))
    }

    /// Nothing passes the line at this device.
    #[must_use]
    pub fn dark(device: &str) -> String {
        format!("add element {TABLE} dark {{ {device} }}\n")
    }

    /// Everything does again.
    #[must_use]
    pub fn bright(device: &str) -> String {
        format!("delete element {TABLE} dark {{ {device} }}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let line = Line::parse("delay=40,jitter=10,loss=20,rate=2000").unwrap();
        assert_eq!(line.delay + line.jitter, Duration::from_millis(50));
        assert_eq!((line.loss_permille, line.rate_kbps), (20, Some(2_000)));
        assert!(line.is_late() && !Line::default().is_late());
        for bad in ["", "delay", "delay=x", "loss=1001", "rate=0", "colour=3"] {
            assert!(Line::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_perfect_line_loses_nothing_and_has_no_limit() {
        let line = Line::default();
        assert_eq!((line.loss("s11"), line.rate("s11")), (String::new(), None));
        let lossy = Line { loss_permille: 5, ..line };
        assert!(lossy.loss("s11").contains("oifname s11 numgen random mod 1000 < 5 drop"));
    }
}
