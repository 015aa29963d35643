//! What every other crate needs: a stable hash, and the choice of a worker by it.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a over 64 bits. It is kept as state so that hashes can be chained.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(OFFSET)
    }
}

impl Fnv {
    /// Mixes bytes into the state.
    #[must_use]
    pub fn mix(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |state, byte| {
            (state ^ u64::from(*byte)).wrapping_mul(PRIME)
        }))
    }

    /// The hash of everything mixed in so far.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

/// Picks a worker for a key by rendezvous hashing: when a worker leaves, only its own keys move.
#[must_use]
pub fn pick_worker<S: AsRef<str>>(key: u64, workers: &[S]) -> Option<usize> {
    (0..workers.len()).max_by_key(|&index| {
        let hash = Fnv::default()
            .mix(workers[index].as_ref().as_bytes())
            .mix(&key.to_le_bytes());
        // FNV's low bits are its good ones; comparing needs good high bits.
        hash.value().reverse_bits()
    })
}

#[cfg(test)]
mod tests {
    use super::{Fnv, pick_worker};

    #[test]
    fn known_values() {
        assert_eq!(Fnv::default().mix(b"").value(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::default().mix(b"a").value(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::default().mix(b"foobar").value(), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn only_the_keys_of_a_lost_worker_move() {
        let before = ["a", "b", "c"];
        for key in 0..500 {
            let chosen = pick_worker(key, &before).expect("workers");
            if chosen < 2 {
                assert_eq!(pick_worker(key, &before[..2]), Some(chosen));
            }
        }
        assert_eq!(pick_worker::<&str>(1, &[]), None);
    }
}
