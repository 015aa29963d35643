//! `dynamo._core`.

use std::num::NonZeroUsize;

use pyo3_ffi::{Args, Error, module};

fn version(args: &Args) -> Result<&'static str, Error> {
    args.expect(0)?;
    Ok(env!("CARGO_PKG_VERSION"))
}

fn features(args: &Args) -> Result<Vec<&'static str>, Error> {
    args.expect(0)?;
    let mut names = dynamo_llm::features();
    if cfg!(feature = "kv-indexer-runtime") {
        names.push("kv-indexer-runtime");
        names.sort_unstable();
    }
    Ok(names)
}

fn block_hashes(args: &Args) -> Result<Vec<u64>, Error> {
    args.expect(2)?;
    let tokens = args
        .integers(0)?
        .into_iter()
        .map(|token| {
            u32::try_from(token).map_err(|_| Error::Value(format!("token {token} is too large")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let size = usize::try_from(args.integer(1)?).map_err(Error::value)?;
    let size =
        NonZeroUsize::new(size).ok_or_else(|| Error::value("block_size must be at least 1"))?;
    Ok(dynamo_llm::block_hashes(&tokens, size))
}

fn pick_worker(args: &Args) -> Result<u64, Error> {
    args.expect(2)?;
    let workers = args.texts(1)?;
    dynamo_runtime::pick_worker(args.integer(0)?, &workers)
        .map(|index| index as u64)
        .ok_or_else(|| Error::value("there is no worker to pick from"))
}

module!(PyInit__core, c"_core", c"The Rust core.", {
    c"version": version, c"version() -> str\n\nVersion of the crate.";
    c"features": features, c"features() -> list[str]\n\nCargo features of this build.";
    c"block_hashes": block_hashes,
        c"block_hashes(tokens, block_size) -> list[int]\n\nChained hashes of the whole blocks.";
    c"pick_worker": pick_worker,
        c"pick_worker(key, workers) -> int\n\nIndex of the worker a key belongs to.";
});
