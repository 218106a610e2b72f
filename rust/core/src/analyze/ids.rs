//! Maps and lists by trace id. The ids come from files, so hashing is seeded: nobody can choose ids
//! that collide. Their hashes are computed once and go with them from state to state.

use std::sync::OnceLock;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};

/// The hash of an id, the same in this process wherever it is computed.
pub(crate) fn hash_id(id: &[u8]) -> u64 {
    static STATE: OnceLock<ahash::RandomState> = OnceLock::new();
    STATE.get_or_init(ahash::RandomState::new).hash_one(id)
}

#[derive(Debug, Clone)]
struct Row<V> {
    hash: u64,
    id: Box<[u8]>,
    value: V,
}

/// A map from ids.
#[derive(Debug, Clone)]
pub(crate) struct IdMap<V>(HashTable<Row<V>>);

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

impl<V> IdMap<V> {
    pub(crate) fn get(&self, hash: u64, id: &[u8]) -> Option<&V> {
        self.0.find(hash, |row| *row.id == *id).map(|row| &row.value)
    }

    pub(crate) fn get_mut(&mut self, hash: u64, id: &[u8]) -> Option<&mut V> {
        self.0.find_mut(hash, |row| *row.id == *id).map(|row| &mut row.value)
    }

    /// The value of an id; a new one where there is none.
    pub(crate) fn entry(&mut self, hash: u64, id: &[u8]) -> &mut V
    where
        V: Default,
    {
        let entry = self.0.entry(hash, |row| *row.id == *id, |row| row.hash);
        let new = || Row { hash, id: id.into(), value: V::default() };
        &mut entry.or_insert_with(new).into_mut().value
    }

    /// All of it: hashes, ids and values.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &[u8], &V)> {
        self.0.iter().map(|row| (row.hash, &*row.id, &row.value))
    }

    pub(crate) fn remove(&mut self, hash: u64, id: &[u8]) -> Option<V> {
        let entry = self.0.find_entry(hash, |row| *row.id == *id).ok()?;
        Some(entry.remove().0.value)
    }

    /// Adds a value, or makes of the one that is there and the new one what `replace` says.
    pub(crate) fn put(
        &mut self,
        hash: u64,
        id: impl Into<Box<[u8]>> + AsRef<[u8]>,
        value: V,
        replace: impl FnOnce(&mut V, V),
    ) {
        match self.0.entry(hash, |row| *row.id == *id.as_ref(), |row| row.hash) {
            Entry::Occupied(mut entry) => replace(&mut entry.get_mut().value, value),
            Entry::Vacant(entry) => {
                entry.insert(Row { hash, id: id.into(), value });
            }
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|row| &row.value)
    }

    /// All of it: hashes, ids and values.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (u64, Box<[u8]>, V)> {
        self.0.into_iter().map(|row| (row.hash, row.id, row.value))
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.0.into_iter().map(|row| row.value)
    }
}

/// By id, so that equal maps are written alike. Hashes are this process's own.
impl<V: Serialize> Serialize for IdMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows: Vec<_> = self.0.iter().map(|row| (Bytes::new(&row.id), &row.value)).collect();
        rows.sort_unstable_by_key(|(id, _)| *id);
        serializer.collect_seq(rows)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for IdMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Self::default();
        for (id, value) in Vec::<(ByteBuf, V)>::deserialize(deserializer)? {
            map.put(hash_id(&id), id.into_vec(), value, |old, new| *old = new);
        }
        Ok(map)
    }
}

/// Ids in the order in which they were added, repeated ones too, packed.
#[derive(Debug, Clone, Default)]
pub(super) struct IdList {
    bytes: Vec<u8>,
    /// The hash of each, and where it ends.
    ends: Vec<(u64, usize)>,
}

impl IdList {
    pub(super) fn push(&mut self, hash: u64, id: &[u8]) {
        self.bytes.extend_from_slice(id);
        self.ends.push((hash, self.bytes.len()));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(hash, end)| {
            let id = &self.bytes[start..end];
            start = end;
            (hash, id)
        })
    }

    pub(super) fn extend(&mut self, other: &Self) {
        for (hash, id) in other.iter() {
            self.push(hash, id);
        }
    }

    /// How long each is.
    fn lengths(&self) -> Vec<u64> {
        self.iter().map(|(_, id)| id.len() as u64).collect()
    }

    /// A set of them, to look ids up in.
    pub(super) fn to_set(&self) -> IdMap<()> {
        let mut set = IdMap::default();
        for (hash, id) in self.iter() {
            set.put(hash, id, (), |(), ()| {});
        }
        set
    }
}

impl Serialize for IdList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.lengths(), Bytes::new(&self.bytes)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IdList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lengths, bytes) = <(Vec<u64>, ByteBuf)>::deserialize(deserializer)?;
        let mut list = Self::default();
        let mut rest = &bytes[..];
        for length in lengths {
            let length = usize::try_from(length).map_err(D::Error::custom)?;
            let (id, behind) = rest
                .split_at_checked(length)
                .ok_or_else(|| D::Error::custom("an id is missing"))?;
            list.push(hash_id(id), id);
            rest = behind;
        }
        Ok(list)
    }
}
