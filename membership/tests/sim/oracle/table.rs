//! What is kept of each node, by its id: looked at for every packet.

/// One value per node. What was never touched is as it begins.
#[derive(Clone, Debug, Default)]
pub struct Table<T>(Vec<T>);

impl<T: Default> Table<T> {
    /// The node's.
    pub fn at(&mut self, id: u32) -> &mut T {
        let place = id as usize;
        if place >= self.0.len() {
            self.0.resize_with(place + 1, T::default);
        }
        &mut self.0[place]
    }

    /// The same, if there is any.
    pub fn get(&self, id: u32) -> Option<&T> {
        self.0.get(id as usize)
    }

    /// All that there are, by node.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.0)
    }
}

/// Some nodes.
#[derive(Clone, Debug, Default)]
pub struct Met {
    bits: [u64; NODES_MAX / 64],
    count: usize,
}

impl Met {
    /// `false`: it was among them.
    pub fn insert(&mut self, id: u32) -> bool {
        let (word, bit) = (&mut self.bits[id as usize / 64], 1 << (id % 64));
        let new = *word & bit == 0;
        *word |= bit;
        self.count += usize::from(new);
        new
    }

    pub fn contains(&self, id: u32) -> bool {
        self.bits[id as usize / 64] >> (id % 64) & 1 == 1
    }

    pub fn len(&self) -> usize {
        self.count
    }
}

/// More than a cluster has, with its witness.
const NODES_MAX: usize = 192;
