//! A bounded table whose entries end: the least recently used goes first.
//!
//! Invariant: the three orders name the same keys, `max` at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

pub(super) struct Cache<K, V> {
    max: usize,
    entries: BTreeMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
    by_end: BTreeSet<(Instant, K)>,
    uses: u64,
}

struct Entry<V> {
    value: V,
    used: u64,
    ends: Instant,
}

impl<K: Copy + Ord, V> Cache<K, V> {
    /// Room for `max` entries, one at least.
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            entries: BTreeMap::new(),
            by_use: BTreeMap::new(),
            by_end: BTreeSet::new(),
            uses: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps a value until `ends`, in the place of the one before under this key.
    pub(super) fn insert(&mut self, key: K, value: V, ends: Instant) {
        self.remove(&key);
        while self.entries.len() >= self.max
            && let Some((_, oldest)) = self.by_use.first_key_value().map(|(at, key)| (*at, *key))
        {
            self.remove(&oldest);
        }
        let used = self.next_use();
        self.by_use.insert(used, key);
        self.by_end.insert((ends, key));
        self.entries.insert(key, Entry { value, used, ends });
    }

    /// The value under this key, which counts as used now; none that has ended.
    pub(super) fn get_mut(&mut self, now: Instant, key: &K) -> Option<&mut V> {
        let used = self.next_use();
        let entry = self.entries.get_mut(key).filter(|entry| now < entry.ends)?;
        self.by_use.remove(&entry.used);
        self.by_use.insert(used, *key);
        entry.used = used;
        Some(&mut entry.value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.by_use.remove(&entry.used);
        self.by_end.remove(&(entry.ends, *key));
        Some(entry.value)
    }

    /// Lets go of what has ended.
    pub(super) fn drop_ended(&mut self, now: Instant) {
        while let Some((_, key)) = self.by_end.first().copied().filter(|(ends, _)| *ends <= now) {
            self.remove(&key);
        }
    }

    /// When the next entry ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.by_end.first().map(|(ends, _)| *ends)
    }

    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_ended_is_not_found_and_is_let_go() {
        let now = Instant::now();
        let mut cache = Cache::new(4);
        cache.insert(1, "one", now + Duration::from_secs(1));
        cache.insert(2, "two", now + Duration::from_secs(2));
        let later = now + Duration::from_secs(1);
        assert_eq!(cache.get_mut(later, &1), None);
        assert_eq!(cache.get_mut(later, &2), Some(&mut "two"));
        assert_eq!(cache.next_end(), Some(later));
        cache.drop_ended(later);
        assert_eq!((cache.len(), cache.next_end()), (1, Some(now + Duration::from_secs(2))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// The model: a list in the order of use.
        #[test]
        fn the_least_recently_used_goes(
            steps in prop::collection::vec((0u8..12, 0u8..3), 1..300),
        ) {
            let now = Instant::now();
            let ends = now + Duration::from_secs(9);
            let (mut cache, mut model) = (Cache::new(5), Vec::<u8>::new());
            for (key, step) in steps {
                let known = model.contains(&key);
                model.retain(|other| *other != key);
                match step {
                    0 => {
                        cache.insert(key, key, ends);
                        model.push(key);
                        if model.len() > 5 {
                            model.remove(0);
                        }
                    }
                    1 => {
                        prop_assert_eq!(cache.get_mut(now, &key).is_some(), known);
                        model.extend(known.then_some(key));
                    }
                    _ => prop_assert_eq!(cache.remove(&key), known.then_some(key)),
                }
                let kept: Vec<u8> = cache.by_use.values().copied().collect();
                prop_assert_eq!(&kept, &model);
                let sizes = (cache.len(), cache.by_end.len());
                prop_assert_eq!(sizes, (model.len(), model.len()));
            }
        }
    }
}
