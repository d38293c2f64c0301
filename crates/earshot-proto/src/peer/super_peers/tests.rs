//! What liars can do to the list, and what they cannot.

use proptest::prelude::*;

use super::*;
use crate::entropy::Entropy;
use crate::ids::NodeId;
use crate::wire::certificate::AgreeKey;

const DAY: Duration = Duration::from_secs(24 * 3600);
const NOW: UnixTime = UnixTime(1_700_000_000_000);

fn jitter() -> Stream {
    Entropy::new([1; 32]).jitter
}

fn at(ip: [u8; 4]) -> Door {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&ip);
    Door { address: (ip, 4433).into(), key: AgreeKey(key) }
}

/// The honest super-peer of that number: each has a prefix of its own.
fn honest(number: u8) -> Door {
    at([20 + number / 100, number, 0, 1])
}

fn node(door: Door) -> NodeEntry {
    NodeEntry { node: NodeId([0; 20]), address: door.address, key: door.key }
}

/// Every door that a liar may name: so many of one prefix after the other.
fn lies(per_prefix: usize) -> impl Iterator<Item = NodeEntry> {
    (0..).map(move |number: usize| {
        let prefix = number / per_prefix;
        let [low, high] = [(number % per_prefix) as u8, ((number % per_prefix) >> 8) as u8];
        node(at([100 + (prefix >> 8) as u8, prefix as u8, high, low]))
    })
}

fn doors(list: &SuperPeers) -> Vec<Door> {
    list.by_hope(&mut jitter())
}

#[test]
fn a_list_full_of_lies_cannot_push_out_whom_we_met() {
    let mut list = SuperPeers::default();
    list.met(honest(1), NOW);
    list.heard(&lies(1).take(1000).collect::<Vec<_>>());
    assert_eq!(list.len(), SUPER_PEERS_MAX);
    assert_eq!(doors(&list)[0], honest(1));
}

#[test]
fn who_makes_up_nodes_leads_no_search_alone() {
    let mut list = SuperPeers::default();
    let (liar, teller) = (honest(1), honest(2));
    list.told(&liar, &lies(1).take(50).collect::<Vec<_>>(), NOW, &[]);
    list.told(&teller, &(3..9).map(|n| node(honest(n))).collect::<Vec<_>>(), NOW, &[]);
    list.met_at(&NodeEntry { node: NodeId([9; 20]), ..node(honest(9)) }, NOW);
    let starts = list.starts(&teller, 7, &mut jitter());
    let told = (3..9).filter(|n| starts.contains(&node(honest(*n)))).count();
    assert_eq!((starts.len(), told), (7, 3));
    assert!(starts.iter().any(|start| start.node == NodeId([9; 20])), "whom we met");
    // Who has answered is as good as met.
    let made_up = starts.iter().find(|s| s.node == NodeId([0; 20])).expect("someone told of");
    list.was_silent(&made_up.node);
    list.answered(&NodeId([9; 20]), NOW);
    assert_eq!(list.met_count(), 1);
}

#[test]
fn whoever_does_not_answer_is_tried_last() {
    let mut list = SuperPeers::default();
    list.invited(&[honest(1), honest(2)]);
    list.missed(&honest(1));
    assert_eq!(doors(&list), [honest(2), honest(1)]);
}

#[test]
fn even_if_those_we_met_failed_every_second_knock_is_at_one_of_them() {
    let mut list = SuperPeers::default();
    for number in 0..10 {
        list.met(honest(number), NOW);
        list.missed(&honest(number));
    }
    list.heard(&lies(1).take(1000).collect::<Vec<_>>());
    let soon = doors(&list).into_iter().take(20);
    assert_eq!(soon.filter(|door| (0..10).any(|number| honest(number) == *door)).count(), 10);
}

#[test]
fn one_prefix_takes_a_tenth_of_the_list_at_most() {
    let mut list = SuperPeers::default();
    for (teller, some) in lies(60_000).take(3_000).collect::<Vec<_>>().chunks(300).enumerate() {
        list.told(&honest(teller as u8), some, NOW, &[]);
    }
    assert_eq!(list.diversity(&[]), (1, PREFIX_MAX));
    list.told(&honest(50), &[node(honest(60))], NOW, &[]);
    assert!(doors(&list).contains(&honest(60)));
}

#[test]
fn one_teller_takes_a_quarter_of_the_list_and_no_more() {
    let mut list = SuperPeers::default();
    for teller in 0..4 {
        let some: Vec<_> = (0..45).map(|number| node(honest(teller * 50 + number))).collect();
        list.told(&honest(240 + teller), &some, NOW, &[]);
    }
    let liar = at([9, 9, 9, 9]);
    list.told(&liar, &lies(1).take(5_000).collect::<Vec<_>>(), NOW.plus(DAY), &[]);
    assert_eq!(list.len(), SUPER_PEERS_MAX);
    let kept = doors(&list).into_iter();
    let honest_ones = kept.filter(|door| (0..200).any(|number| honest(number) == *door)).count();
    assert_eq!(honest_ones, SUPER_PEERS_MAX - TELLER_MAX);
}

#[test]
fn the_policys_own_ranges_are_taken_address_by_address() {
    let lan: Range = "10.0.0.0/8".parse().expect("a range");
    let (mut apart, mut one) = (SuperPeers::default(), SuperPeers::default());
    let some: Vec<_> = (0..40).map(|number| node(at([10, 0, 0, number]))).collect();
    apart.told(&honest(1), &some, NOW, &[lan]);
    one.told(&honest(1), &some, NOW, &[]);
    assert_eq!((apart.len(), one.len()), (40, PREFIX_MAX));
}

#[test]
fn ipv6_addresses_of_one_provider_are_one_prefix() {
    let mut list = SuperPeers::default();
    let some = (0..100u16).map(|number| {
        let ip = Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 1);
        node(Door { address: (ip, 4433).into(), key: AgreeKey([1; 32]) })
    });
    list.told(&honest(1), &some.collect::<Vec<_>>(), NOW, &[]);
    assert_eq!(list.len(), PREFIX_MAX);
}

#[test]
fn who_was_heard_of_long_ago_makes_room_for_news_of_the_same_kind() {
    let mut list = SuperPeers::default();
    let teller = honest(1);
    list.told(&teller, &lies(1).take(TELLER_MAX).collect::<Vec<_>>(), NOW, &[]);
    list.told(&teller, &[node(honest(2))], NOW.plus(DAY), &[]);
    assert!(!doors(&list).contains(&honest(2)), "what is there is fresh");
    list.told(&teller, &[node(honest(2))], NOW.plus(STALE_AFTER), &[]);
    assert!(doors(&list).contains(&honest(2)));
    assert_eq!(list.len(), TELLER_MAX);
}

#[test]
fn another_key_is_believed_only_where_nobody_answers_to_the_first() {
    let mut list = SuperPeers::default();
    let other = Door { key: AgreeKey([9; 32]), ..honest(1) };
    list.told(&honest(5), &[node(honest(1)), node(other)], NOW, &[]);
    assert_eq!(doors(&list), [honest(1)]);
    list.missed(&honest(1));
    list.told(&honest(5), &[node(other)], NOW, &[]);
    assert_eq!(doors(&list), [other]);
    list.met(honest(1), NOW);
    list.missed(&honest(1));
    list.told(&honest(5), &[node(other)], NOW.plus(DAY), &[]);
    assert_eq!(doors(&list), [honest(1)], "it was met lately");
}

#[test]
fn only_those_we_can_vouch_for_are_handed_out() {
    let mut list = SuperPeers::default();
    for number in 0..20 {
        list.met(honest(number), NOW);
    }
    list.missed(&honest(0));
    list.met(honest(30), NOW.minus(DAY * 8));
    list.heard(&lies(1).take(500).collect::<Vec<_>>());
    let mut lots = jitter();
    let all = list.sample(100, NOW, &mut lots);
    assert_eq!(all.len(), 19);
    assert!(all.iter().all(|door| (1..20).any(|number| honest(number) == *door)));
    let (some, others) = (list.sample(5, NOW, &mut lots), list.sample(5, NOW, &mut lots));
    assert_eq!(some.len(), 5);
    assert_ne!(some, others, "by lot");
}

/// As it was written before there was anything but door, meeting and failures.
#[derive(Encode, Decode)]
#[cbor(map)]
struct KnownBefore {
    #[n(0)]
    door: Door,
    #[n(1)]
    met: Option<UnixTime>,
    #[n(2)]
    failures: u32,
}

#[test]
fn a_list_from_before_is_read_and_one_of_now_is_read_by_a_program_from_before() {
    let before = KnownBefore { door: honest(1), met: Some(NOW), failures: 3 };
    let bytes = minicbor::to_vec(vec![before]).expect("it is written");
    let list: SuperPeers = minicbor::decode(&bytes).expect("it is read");
    let (met, heard, teller) = (Some(NOW), None, None);
    let known = Known { door: honest(1), met, failures: 3, heard, teller, node: None };
    assert_eq!(list.0, [known]);
    let mut list = SuperPeers::default();
    list.told(&honest(2), &[node(honest(1))], NOW, &[]);
    let bytes = minicbor::to_vec(&list).expect("it is written");
    let before: Vec<KnownBefore> = minicbor::decode(&bytes).expect("it is read");
    assert_eq!(before[0].door, honest(1));
}

/// What an attacker, or time, does to the list.
#[derive(Clone, Debug)]
enum Act {
    /// A teller of this number names so many of one prefix, from that prefix on.
    Flood {
        teller: u8,
        per_prefix: usize,
        from: usize,
        count: usize,
    },
    /// The same without a teller.
    Hearsay {
        from: usize,
        count: usize,
    },
    Missed(usize),
    Days(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let per_prefix = prop::sample::select(vec![1, 5, 1000]);
    prop_oneof![
        4 => (0u8..6, per_prefix, 0usize..5000, 1usize..400).prop_map(
            |(teller, per_prefix, from, count)| Act::Flood { teller, per_prefix, from, count }
        ),
        1 => (0usize..5000, 1usize..400).prop_map(|(from, count)| Act::Hearsay { from, count }),
        2 => (0usize..200).prop_map(Act::Missed),
        2 => (0u64..4).prop_map(Act::Days),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_flood_cuts_a_peer_off_or_fills_the_list_from_one_side(
        met in 1u8..=100,
        acts in prop::collection::vec(act(), 1..40),
    ) {
        let (mut list, mut now) = (SuperPeers::default(), NOW);
        for number in 0..met {
            list.met(honest(number), now);
        }
        for act in acts {
            match act {
                Act::Flood { teller, per_prefix, from, count } => {
                    let some: Vec<_> = lies(per_prefix).skip(from).take(count).collect();
                    list.told(&at([99, teller, 0, 0]), &some, now, &[]);
                }
                Act::Hearsay { from, count } => {
                    list.heard(&lies(1).skip(from).take(count).collect::<Vec<_>>());
                }
                Act::Missed(lot) => {
                    let door = list.0.get(lot).map(|known| known.door);
                    door.iter().for_each(|door| list.missed(door));
                }
                Act::Days(days) if now.since(NOW) < DAY * 25 => now = now.plus(DAY * days as u32),
                Act::Days(_) => {}
            }
            prop_assert!(list.len() <= SUPER_PEERS_MAX);
            let order = doors(&list);
            let is_met = |door: &&Door| (0..met).any(|number| honest(number) == **door);
            let ours = order.iter().filter(is_met).count();
            prop_assert_eq!(ours, usize::from(met), "nobody whom we met is pushed out");
            let soon = order.iter().take(2 * ours).filter(is_met).count();
            prop_assert!(soon == ours, "they are knocked at in turn with the others");
            prop_assert!(list.diversity(&[]).1 <= PREFIX_MAX);
            for teller in list.0.iter().filter_map(|known| known.teller) {
                let told = list.0.iter().filter(|known| known.teller == Some(teller)).count();
                prop_assert!(told <= TELLER_MAX);
            }
        }
    }
}
