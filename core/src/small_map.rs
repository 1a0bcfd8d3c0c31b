//! A map that keeps few entries where it stands: a simulated cluster has a hundred thousand agents, and most
//! have one job, one lease and one executor. What is looked up together lies together.

use core::ops::Index;
use smallvec::SmallVec;

/// Keys and values in the order of the keys; the first `N` need no memory of their own.
#[derive(Clone, Debug)]
pub(crate) struct SmallMap<K, V, const N: usize>(SmallVec<[(K, V); N]>);

impl<K, V, const N: usize> Default for SmallMap<K, V, N> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<K: Copy + Ord, V, const N: usize> SmallMap<K, V, N> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.find(*key).is_ok()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(*key).ok()?;
        Some(&self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(*key).ok()?;
        Some(&mut self.0[at].1)
    }

    /// Puts a value in; the one it replaces comes back.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(key) {
            Ok(at) => Some(core::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(*key).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Where a key is, or where it would be.
    #[inline]
    fn find(&self, key: K) -> Result<usize, usize> {
        match self.0.as_slice() {
            [] => Err(0),
            [(only, _)] if *only == key => Ok(0),
            entries => entries.binary_search_by_key(&key, |(key, _)| *key),
        }
    }
}

impl<K: Copy + Ord, V, const N: usize> Index<&K> for SmallMap<K, V, N> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        self.get(key).expect("the caller knows that the key is there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        /// It behaves as a map of the standard library does.
        #[test]
        fn agrees_with_a_tree(steps in proptest::collection::vec((any::<bool>(), 0..8u8, any::<u16>()), 0..60)) {
            let mut small: SmallMap<u8, u16, 2> = SmallMap::default();
            let mut tree = BTreeMap::new();
            for (inserts, key, value) in steps {
                if inserts {
                    prop_assert_eq!(small.insert(key, value), tree.insert(key, value));
                } else {
                    prop_assert_eq!(small.remove(&key), tree.remove(&key));
                }
                prop_assert_eq!(small.get(&key), tree.get(&key));
                prop_assert_eq!(small.contains_key(&key), tree.contains_key(&key));
                prop_assert_eq!(small.len(), tree.len());
                prop_assert!(small.iter().eq(tree.iter()) && small.keys().eq(tree.keys()));
            }
        }
    }
}
