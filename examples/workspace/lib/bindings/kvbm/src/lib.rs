//! `kvbm._core`: sizes a pool of cache blocks and replays accesses against it.

use std::collections::{BTreeMap, HashMap};

use pyo3_ffi::{Args, Error, module};

/// Blocks that fit, distance between them, and bytes left over.
fn plan(pool: u64, block: u64, alignment: u64) -> Option<[u64; 3]> {
    if block == 0 || !alignment.is_power_of_two() {
        return None;
    }
    let stride = block.checked_next_multiple_of(alignment)?;
    let count = pool / stride;
    Some([count, stride, pool - count * stride])
}

/// Hits and evictions of a least-recently-used pool of `capacity` blocks.
fn replay(accesses: &[u64], capacity: usize) -> [u64; 2] {
    let mut last_use: HashMap<u64, usize> = HashMap::new();
    let mut by_age: BTreeMap<usize, u64> = BTreeMap::new();
    let [mut hits, mut evictions] = [0, 0];
    for (now, &block) in accesses.iter().enumerate() {
        if let Some(then) = last_use.insert(block, now) {
            by_age.remove(&then);
            hits += 1;
        }
        by_age.insert(now, block);
        if by_age.len() > capacity {
            if let Some((_, oldest)) = by_age.pop_first() {
                last_use.remove(&oldest);
                evictions += 1;
            }
        }
    }
    [hits, evictions]
}

/// Version of the CUDA runtime and number of GPUs; nothing where it was compiled without.
fn cuda() -> Vec<u64> {
    #[cfg(cuda)]
    {
        unsafe extern "C" {
            fn kvbm_cuda(version: *mut u64, devices: *mut u64);
        }
        let [mut version, mut devices] = [0, 0];
        // SAFETY: both are places for one number.
        unsafe { kvbm_cuda(&mut version, &mut devices) };
        vec![version, devices]
    }
    #[cfg(not(cuda))]
    Vec::new()
}

fn cuda_runtime(args: &Args) -> Result<Vec<u64>, Error> {
    args.expect(0)?;
    Ok(cuda())
}

fn version(args: &Args) -> Result<&'static str, Error> {
    args.expect(0)?;
    Ok(env!("CARGO_PKG_VERSION"))
}

fn plan_pool(args: &Args) -> Result<Vec<u64>, Error> {
    args.expect(3)?;
    plan(args.integer(0)?, args.integer(1)?, args.integer(2)?)
        .map(Vec::from)
        .ok_or_else(|| {
            Error::value("a block has at least 1 byte and an alignment is a power of two")
        })
}

fn replay_accesses(args: &Args) -> Result<Vec<u64>, Error> {
    args.expect(2)?;
    let capacity = usize::try_from(args.integer(1)?).map_err(Error::value)?;
    Ok(replay(&args.integers(0)?, capacity).into())
}

module!(PyInit__core, c"_core", c"The block manager's core.", {
    c"version": version, c"version() -> str\n\nVersion of the crate.";
    c"cuda": cuda_runtime, c"cuda() -> list[int]\n\nVersion of the CUDA runtime, GPUs; or nothing.";
    c"plan_pool": plan_pool,
        c"plan_pool(pool, block, alignment) -> list[int]\n\nBlocks, stride and bytes left over.";
    c"replay": replay_accesses,
        c"replay(accesses, capacity) -> list[int]\n\nHits and evictions of an LRU pool.";
});

#[cfg(test)]
mod tests {
    use super::{plan, replay};

    #[test]
    fn strides_are_aligned() {
        assert_eq!(plan(1000, 100, 64), Some([7, 128, 104]));
        assert_eq!(plan(1000, 100, 3), None);
    }

    #[test]
    fn the_oldest_block_goes() {
        assert_eq!(replay(&[1, 2, 1, 3, 2, 1], 2), [1, 3]);
        assert_eq!(replay(&[1, 1], 0), [0, 2]);
    }
}
