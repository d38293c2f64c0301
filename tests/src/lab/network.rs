//! The network between super-peers: how long a datagram takes, whether it arrives, and who is
//! parted from whom.
//!
//! A question is tried as the product tries it ([`TRIES_MAX`] datagrams); it fails when each try
//! has lost its question or its answer.

use earshot_proto::entropy::Stream;
use earshot_proto::secure::questions::asker::{TRIES_MAX, WAIT_UNMEASURED};

use super::queue::Moment;
use super::unit;

/// Where super-peers stand: latitude and longitude in degrees. Our choice: a spread over all
/// continents, every city as likely as the others.
const CITIES: [(f64, f64); 16] = [
    (40.7, -74.0),
    (37.8, -122.4),
    (41.9, -87.6),
    (19.4, -99.1),
    (-23.5, -46.6),
    (51.5, -0.1),
    (52.5, 13.4),
    (48.9, 2.3),
    (55.8, 37.6),
    (30.0, 31.2),
    (-26.2, 28.0),
    (19.1, 72.9),
    (1.4, 103.8),
    (35.7, 139.7),
    (31.2, 121.5),
    (-33.9, 151.2),
];
/// Kilometres a millisecond along the great circle: light in glass does 200, and cables go round
/// about. Our choice.
const KM_PER_MS: f64 = 130.0;
/// Microseconds one way at both ends together: last miles and queues. Our choice.
const ENDS_US: Moment = 8_000;
const EARTH_KM: f64 = 6_371.0;

/// How long a datagram is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delays {
    /// Every round trip takes 80 ms.
    Fixed,
    /// By the matrix of sixteen cities.
    Cities,
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Datagrams that the asker sends.
    pub tries: u64,
    /// After so long the question arrives, if one of them gets through.
    pub arrives: Option<Moment>,
}

/// The network.
#[derive(Debug)]
pub struct Network {
    delays: Delays,
    matrix: Vec<Moment>,
    /// Share of datagrams that are lost.
    loss: f64,
    /// While it lasts, nothing passes between nodes of even and of odd number.
    is_parted: bool,
    lots: Stream,
}

impl Network {
    /// A network with these delays that loses that share of all datagrams.
    #[must_use]
    pub fn new(delays: Delays, loss: f64, lots: Stream) -> Self {
        let pairs = CITIES.iter().flat_map(|from| CITIES.iter().map(move |to| (from, to)));
        let matrix = pairs.map(|(from, to)| way(*from, *to)).collect();
        Self { delays, matrix, loss, is_parted: false, lots }
    }

    /// Parts nodes of even number from those of odd number.
    pub const fn part(&mut self) {
        self.is_parted = true;
    }

    /// Brings them together again.
    pub const fn heal(&mut self) {
        self.is_parted = false;
    }

    /// How long a datagram takes from one node to another.
    #[must_use]
    pub fn one_way(&self, from: u32, to: u32) -> Moment {
        match self.delays {
            Delays::Fixed => 40_000,
            Delays::Cities => {
                let [from, to] = [from, to].map(|node| node as usize % CITIES.len());
                self.matrix[from * CITIES.len() + to]
            }
        }
    }

    /// What becomes of a question to a node that answers.
    pub fn fate(&mut self, from: u32, to: u32) -> Fate {
        let one_way = self.one_way(from, to);
        if self.is_parted && (from ^ to) % 2 == 1 {
            return Fate { tries: TRIES_MAX as u64, arrives: None };
        }
        if self.loss == 0.0 {
            return Fate { tries: 1, arrives: Some(one_way) };
        }
        let both = (1.0 - self.loss) * (1.0 - self.loss);
        let wait = WAIT_UNMEASURED.as_micros() as Moment;
        for before in 0..TRIES_MAX as u64 {
            if unit(&mut self.lots) < both {
                return Fate { tries: before + 1, arrives: Some(before * wait + one_way) };
            }
        }
        Fate { tries: TRIES_MAX as u64, arrives: None }
    }
}

/// One way between two places, in microseconds.
fn way(from: (f64, f64), to: (f64, f64)) -> Moment {
    let [(lat1, lon1), (lat2, lon2)] =
        [from, to].map(|(lat, lon)| (lat.to_radians(), lon.to_radians()));
    let sine = |x: f64| (x / 2.0).sin().powi(2);
    let half = sine(lat2 - lat1) + lat1.cos() * lat2.cos() * sine(lon2 - lon1);
    let km = 2.0 * EARTH_KM * half.sqrt().min(1.0).asin();
    ENDS_US + (km / KM_PER_MS * 1000.0) as Moment
}

#[cfg(test)]
mod tests {
    use super::super::lots;
    use super::*;

    #[test]
    fn neighbours_are_near_and_antipodes_far() {
        let network = Network::new(Delays::Cities, 0.0, lots(1, 0));
        let (london, paris, sydney) = (5, 7, 15);
        assert_eq!(network.one_way(london, london), ENDS_US);
        assert!(network.one_way(london, paris) < 12_000);
        let far = network.one_way(london, sydney);
        assert!((120_000..160_000).contains(&far) && far == network.one_way(sydney, london));
    }

    #[test]
    fn questions_are_tried_three_times_and_no_more() {
        let mut network = Network::new(Delays::Fixed, 0.5, lots(2, 0));
        let fates: Vec<Fate> = (0..10_000).map(|_| network.fate(0, 1)).collect();
        let failed = fates.iter().filter(|fate| fate.arrives.is_none()).count();
        assert!((3_900..4_500).contains(&failed), "three quarters, three times: {failed}");
        assert!(fates.iter().all(|fate| (1..=3).contains(&fate.tries)));
        network.part();
        assert_eq!(network.fate(0, 3).arrives, None);
        network.heal();
    }
}
