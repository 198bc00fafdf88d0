//! A table of values whose keys are never reused.

use mio::Token;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a mio token must hold slot and generation: the server needs a 64-bit target");

/// The key of a value: its slot, and a generation that tells it from earlier values of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl From<Key> for Token {
    fn from(key: Key) -> Self {
        Token((key.generation as usize) << 32 | key.slot as usize)
    }
}

impl From<Token> for Key {
    fn from(token: Token) -> Self {
        Self { slot: (token.0 & 0xFFFF_FFFF) as u32, generation: (token.0 >> 32) as u32 }
    }
}

/// A table of values. The key of a removed value finds nothing, even if its slot has a new value.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// Empty slots, the last one emptied on top.
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    /// The generation of the current value, or of the next one if the slot is empty.
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// Inserts the value that `make` returns for its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        let key = Key { slot, generation: place.generation };
        place.value = Some(make(key));
        self.len += 1;
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.slot as usize)?;
        slot.value.as_ref().filter(|_| slot.generation == key.generation)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        slot.value.as_mut().filter(|_| slot.generation == key.generation)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        self.len -= 1;
        // A slot is retired when its generations are used up, after four billion values.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(key.slot);
        }
        Some(value)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Iterates over the keys of all values.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns the key of the first value in this slot or a later one. With it, a loop can change the table.
    pub(crate) fn key_from(&self, slot: u32) -> Option<Key> {
        self.iter_from(slot).next().map(|(key, _)| key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.iter_from(0)
    }

    fn iter_from(&self, slot: u32) -> impl Iterator<Item = (Key, &T)> {
        let places = self.slots.get(slot as usize..).unwrap_or_default();
        (slot..).zip(places).filter_map(|(slot, place)| {
            place.value.as_ref().map(|value| (Key { slot, generation: place.generation }, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_finds_the_next_value_of_its_slot() {
        let mut slots = Slots::new();
        let first = slots.insert_with(|_| "first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert_with(|_| "second");
        assert_eq!(second.slot, first.slot);
        assert_ne!(second, first);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn each_value_is_found_from_the_slots_up_to_its_own() {
        let mut slots = Slots::new();
        let keys = [(); 4].map(|()| slots.insert_with(|_| ()));
        slots.remove(keys[0]);
        slots.remove(keys[2]);
        let found: Vec<_> = (0..6).map(|slot| slots.key_from(slot)).collect();
        let [_, second, _, last] = keys.map(Some);
        assert_eq!(found, [second, second, last, last, None, None]);
        assert_eq!(slots.keys().collect::<Vec<_>>(), [keys[1], keys[3]]);
    }

    #[test]
    fn a_token_holds_the_whole_key() {
        for (slot, generation) in [(0, 0), (1, 0), (0, 1), (u32::MAX - 2, 7), (5, u32::MAX)] {
            let key = Key { slot, generation };
            assert_eq!(Key::from(Token::from(key)), key);
        }
    }
}
