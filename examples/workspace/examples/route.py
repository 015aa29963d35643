"""Which of three workers each block of a text goes to."""

from dynamo import runtime

TEXT = "the router sends equal prefixes to the same worker"
WORKERS = ["decode-0", "decode-1", "decode-2"]

for number, block in enumerate(runtime.block_hashes(TEXT.encode(), 16)):
    print(number, f"{block:016x}", WORKERS[runtime.pick_worker(block, WORKERS)])
