//! Things kept under small numbers that are found at once and not soon used again.
//!
//! A key is a place (16 bits) and how often the place was used before (16 bits): a late event for
//! something gone does not meet its successor.

/// Names a thing in a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u32);

pub(super) struct Slab<T> {
    places: Vec<(u16, Option<T>)>,
    free: Vec<u16>,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Keeps a thing; [`None`] if there is no place left.
    pub(super) fn insert(&mut self, thing: T) -> Option<Key> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = u16::try_from(self.places.len()).ok()?;
                self.places.push((0, None));
                place
            }
        };
        let (uses, kept) = &mut self.places[usize::from(place)];
        *kept = Some(thing);
        self.len += 1;
        Some(Key(u32::from(*uses) << 16 | u32::from(place)))
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let (uses, kept) = self.places.get(key.0 as usize & 0xffff)?;
        kept.as_ref().filter(|_| u32::from(*uses) == key.0 >> 16)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (uses, kept) = self.places.get_mut(key.0 as usize & 0xffff)?;
        kept.as_mut().filter(|_| u32::from(*uses) == key.0 >> 16)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let place = (key.0 & 0xffff) as u16;
        let (uses, kept) = &mut self.places[usize::from(place)];
        *uses = uses.wrapping_add(1);
        self.free.push(place);
        self.len -= 1;
        kept.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(place, (uses, kept))| {
            let key = Key(u32::from(*uses) << 16 | place as u32);
            kept.as_ref().map(|thing| (key, thing))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_something_gone_does_not_find_its_successor() {
        let mut slab = Slab::new();
        let old = slab.insert("old").unwrap();
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new").unwrap();
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(new), Some(&"new"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn a_slab_says_when_it_is_full() {
        let mut slab = Slab::new();
        assert!((0..1 << 16).all(|n| slab.insert(n).is_some()));
        assert_eq!(slab.insert(0), None);
    }
}
