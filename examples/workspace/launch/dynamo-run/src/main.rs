//! `dynamo-run BLOCK_SIZE TOKEN...`: prints each block's hash and the worker it would go to.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use dynamo_llm::block_hashes;
use dynamo_runtime::pick_worker;

const WORKERS: [&str; 2] = ["decode-0", "decode-1"];

fn parse(mut words: impl Iterator<Item = String>) -> Result<(NonZeroUsize, Vec<u32>), String> {
    let size = words.next().ok_or("a block size is needed")?;
    let size = size.parse().map_err(|error| format!("{size}: {error}"))?;
    let tokens = words
        .map(|word| word.parse().map_err(|error| format!("{word}: {error}")))
        .collect::<Result<_, _>>()?;
    Ok((size, tokens))
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok((size, tokens)) => {
            for hash in block_hashes(&tokens, size) {
                let worker = pick_worker(hash, &WORKERS).map_or("none", |index| WORKERS[index]);
                println!("{hash:016x} {worker}");
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("dynamo-run: {message}");
            ExitCode::from(2)
        }
    }
}
