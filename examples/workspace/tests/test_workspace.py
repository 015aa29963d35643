"""Tests of the installed wheels; unittest, so that an image needs nothing else to run them."""

from __future__ import annotations

import importlib.util
import unittest

from dynamo import hello, runtime


def installed(name: str) -> bool:
    """Whether an optional wheel is there."""
    return importlib.util.find_spec(name) is not None


class Core(unittest.TestCase):
    """ai-dynamo and ai-dynamo-runtime."""

    def test_a_shared_prefix_has_shared_hashes(self) -> None:
        first = runtime.block_hashes([1, 2, 3, 4, 5], 2)
        second = runtime.block_hashes([1, 2, 9, 4, 5, 6], 2)
        self.assertEqual((len(first), len(second)), (2, 3))
        self.assertEqual(first[0], second[0])
        self.assertNotEqual(first[1], second[1])

    def test_wrong_arguments_are_python_errors(self) -> None:
        with self.assertRaisesRegex(ValueError, "block_size"):
            runtime.block_hashes([1], 0)
        with self.assertRaises(OverflowError):
            runtime.block_hashes([-1], 1)
        with self.assertRaises(TypeError):
            runtime.block_hashes(["1"], 1)

    def test_a_worker_keeps_its_keys_when_another_leaves(self) -> None:
        workers = ["a", "b", "c"]
        for key in range(100):
            chosen = runtime.pick_worker(key, workers)
            if chosen < 2:
                self.assertEqual(runtime.pick_worker(key, workers[:2]), chosen)

    def test_both_wheels_share_the_namespace(self) -> None:
        report = hello.report("abcdefgh")
        self.assertEqual(report["ai-dynamo"], report["ai-dynamo-runtime"])
        self.assertEqual(len(report["blocks"]), 2)


@unittest.skipUnless(installed("kvbm"), "kvbm is not installed")
class Kvbm(unittest.TestCase):
    """The block manager."""

    def test_pool(self) -> None:
        import kvbm

        self.assertEqual(kvbm.layout(1000, 100, 64), (7, 128, 104))
        self.assertEqual(kvbm.usage([1, 2, 1, 3, 2, 1], 2), (1, 3))


@unittest.skipUnless(installed("gpu_memory_service"), "gpu_memory_service is not installed")
class Gms(unittest.TestCase):
    """The arena."""

    def test_ranges_are_aligned_and_joined_again(self) -> None:
        from gpu_memory_service import Arena

        arena = Arena(1024, alignment=128)
        offsets = [arena.allocate(size) for size in (1, 128, 129)]
        self.assertEqual(offsets, [0, 128, 256])
        self.assertEqual((arena.used, arena.largest), (512, 512))
        for offset in (0, 256, 128):
            arena.release(offset)
        self.assertEqual((arena.used, arena.largest), (0, 1024))
        with self.assertRaises(ValueError):
            arena.release(0)
        with self.assertRaises(MemoryError):
            arena.allocate(1025)


if __name__ == "__main__":
    unittest.main()
