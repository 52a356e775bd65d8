//! Maps and sets whose order of iteration does not depend on the machine.

use foldhash::fast::FixedState;

/// A hash map with a fixed hasher.
pub type HashMap<K, V> = hashbrown::HashMap<K, V, FixedState>;
/// A hash set with a fixed hasher.
pub type HashSet<K> = hashbrown::HashSet<K, FixedState>;
