//! Identity of token blocks, the thing a router compares to find cached prefixes.

use std::num::NonZeroUsize;

use dynamo_runtime::Fnv;

/// Names of the Cargo features this crate was compiled with.
#[must_use]
pub fn features() -> Vec<&'static str> {
    [
        ("kv-indexer", cfg!(feature = "kv-indexer")),
        ("media-ffmpeg", cfg!(feature = "media-ffmpeg")),
        ("media-nixl", cfg!(feature = "media-nixl")),
    ]
    .into_iter()
    .filter_map(|(name, enabled)| enabled.then_some(name))
    .collect()
}

/// Hashes each whole block of tokens. A block's hash covers its predecessors, so equal hashes mean
/// equal prefixes; a partial block at the end has none.
#[must_use]
pub fn block_hashes(tokens: &[u32], block_size: NonZeroUsize) -> Vec<u64> {
    tokens
        .chunks_exact(block_size.get())
        .scan(Fnv::default(), |state, block| {
            *state = block
                .iter()
                .fold(*state, |state, token| state.mix(&token.to_le_bytes()));
            Some(state.value())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::block_hashes;

    #[test]
    fn a_common_prefix_has_common_hashes() {
        let size = 2.try_into().expect("not zero");
        let one = block_hashes(&[1, 2, 3, 4, 5], size);
        let other = block_hashes(&[1, 2, 9, 4, 5, 6], size);
        assert_eq!((one.len(), other.len()), (2, 3));
        assert_eq!(one[0], other[0]);
        assert_ne!(one[1], other[1]);
    }
}
