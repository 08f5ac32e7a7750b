//! The network between nodes: each direction of each pair has its own faults.

use membership::LinkId;
use membership::message::Message;

use crate::rng::Rng;

/// One direction of one pair.
#[derive(Clone, Debug, Default)]
pub struct Path {
    pub cut_until: u64,
    pub link_cut_until: [u64; 8],
    pub loss_permille: u64,
    pub loss_until: u64,
    pub slow_us: u64,
    pub slow_until: u64,
    /// Datagrams longer than this are lost: a link of a smaller MTU than the others'.
    pub narrow_bytes: usize,
    pub narrow_until: u64,
    /// Every packet is late by so much: order stays.
    pub late_us: u64,
    /// Streams keep their order.
    pub stream_at: u64,
    /// What is lost on this path while everything else arrives: for scenarios.
    pub swallows: Option<fn(&Message) -> bool>,
}

#[derive(Debug)]
pub struct Net {
    nodes: u32,
    /// From one node to another, of each first to node 1.
    paths: Vec<Path>,
    pub delay_us: (u64, u64),
    /// One packet in a thousand times this is late by up to `tail_us`.
    pub tail_permille: u64,
    pub tail_us: u64,
    pub loss_permille: u64,
    pub dup_permille: u64,
    pub dropped: u64,
    pub duplicated: u64,
}

impl Net {
    pub fn new(nodes: u32) -> Self {
        Self {
            nodes,
            paths: vec![Path::default(); (nodes * nodes) as usize],
            delay_us: (100, 400),
            tail_permille: 0,
            tail_us: 0,
            loss_permille: 0,
            dup_permille: 0,
            dropped: 0,
            duplicated: 0,
        }
    }

    fn at(&self, from: u32, to: u32) -> usize {
        ((from - 1) * self.nodes + to - 1) as usize
    }

    /// Every path, with the node where it begins.
    pub fn all(&mut self) -> impl Iterator<Item = (u32, &mut Path)> {
        let nodes = self.nodes as usize;
        let numbered = self.paths.iter_mut().enumerate();
        numbered.map(move |(at, path)| ((at / nodes) as u32 + 1, path))
    }

    pub fn path(&mut self, from: u32, to: u32) -> &mut Path {
        let at = self.at(from, to);
        &mut self.paths[at]
    }

    pub fn open(&self, now: u64, from: u32, to: u32) -> bool {
        now >= self.paths[self.at(from, to)].cut_until
    }

    /// Long datagrams are lost there now.
    pub fn is_narrow(&self, now: u64, from: u32, to: u32) -> bool {
        now < self.paths[self.at(from, to)].narrow_until
    }

    pub fn cut(&mut self, from: u32, to: u32, until: u64) {
        let path = self.path(from, to);
        path.cut_until = path.cut_until.max(until);
    }

    pub fn cut_both(&mut self, a: u32, b: u32, until: u64) {
        self.cut(a, b, until);
        self.cut(b, a, until);
    }

    pub fn heal(&mut self) {
        for path in &mut self.paths {
            *path = Path {
                stream_at: path.stream_at,
                ..Path::default()
            };
        }
    }

    /// Is this very message lost, whatever becomes of others?
    pub fn swallowed(&mut self, from: u32, to: u32, message: &Message) -> bool {
        let Some(swallows) = self.path(from, to).swallows else {
            return false;
        };
        let lost = swallows(message);
        self.dropped += u64::from(lost);
        lost
    }

    /// When a datagram and a copy of it arrive, if they do.
    pub fn datagram(
        &mut self,
        rng: &mut Rng,
        now: u64,
        (from, to): (u32, u32),
        link: LinkId,
        bytes: usize,
    ) -> [Option<u64>; 2] {
        let (loss, dup) = (self.loss_permille, self.dup_permille);
        let path = self.path(from, to);
        let link_cut = path.link_cut_until.get(usize::from(link)).copied();
        let cut = now < path.cut_until || now < link_cut.unwrap_or(0);
        let too_long = now < path.narrow_until && bytes > path.narrow_bytes;
        let burst = if now < path.loss_until {
            path.loss_permille
        } else {
            0
        };
        if cut || too_long || (loss + burst > 0 && rng.permille(loss + burst)) {
            self.dropped += 1;
            return [None, None];
        }
        let first = now + self.delay(rng, now, from, to);
        let twice = dup > 0 && rng.permille(dup);
        let again = twice.then(|| now + self.delay(rng, now, from, to));
        self.duplicated += u64::from(twice);
        [Some(first), again]
    }

    /// When a record on the stream arrives, if the stream stands.
    pub fn stream(&mut self, rng: &mut Rng, now: u64, from: u32, to: u32) -> Option<u64> {
        if !self.open(now, from, to) || !self.open(now, to, from) {
            self.dropped += 1;
            return None;
        }
        let at = now + self.delay(rng, now, from, to);
        let path = self.path(from, to);
        path.stream_at = path.stream_at.max(at) + 1;
        Some(path.stream_at)
    }

    fn delay(&mut self, rng: &mut Rng, now: u64, from: u32, to: u32) -> u64 {
        let (low, high) = self.delay_us;
        let tail = self.tail_permille > 0 && rng.permille(self.tail_permille);
        let late = if tail { rng.below(self.tail_us) } else { 0 };
        let path = self.path(from, to);
        let slow = if now < path.slow_until {
            path.slow_us
        } else {
            0
        };
        let late = late + path.late_us;
        rng.range(low, high) + late + rng.below(slow + 1)
    }
}
