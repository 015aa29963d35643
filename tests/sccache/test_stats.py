import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.sccache import cache as compile_cache
from dynbuild.sccache import stats as statistics
from dynbuild.sccache.cache import CompileCache
from dynbuild.sccache.stats import Language, Stats

# What sccache 0.8.2 and 0.14.0 printed, for four C and four C++ files, one file that does not
# compile and one call that only preprocesses; then 0.14.0 for a Rust and a C file, twice each.
_COLD_082 = (
    '{"stats":{"compile_requests":10,"requests_unsupported_compiler":0,"requests_not_compile":0,'
    '"requests_not_cacheable":1,"requests_executed":9,"cache_errors":{"counts":{},"adv_counts":{}},'
    '"cache_hits":{"counts":{},"adv_counts":{}},"cache_misses":{"counts":{"C/C++":8},'
    '"adv_counts":{"c [gcc]":4,"c++ [gcc]":4}},"cache_timeouts":0,"cache_read_errors":0,'
    '"non_cacheable_compilations":0,"forced_recaches":0,"cache_write_errors":0,"cache_writes":8,'
    '"cache_write_duration":{"secs":0,"nanos":29794555},"cache_read_hit_duration":{"secs":0,'
    '"nanos":0},"compiler_write_duration":{"secs":0,"nanos":722172220},"compile_fails":1,'
    '"not_cached":{"-E":1},"dist_compiles":{},"dist_errors":0},"cache_location":"s3, name: cache, '
    'prefix: /amd64/","cache_size":null,"max_cache_size":null,"use_preprocessor_cache_mode":false,'
    '"version":"0.8.2"}'
)
_WARM_014 = (
    '{"stats":{"compile_requests":10,"requests_unsupported_compiler":0,"requests_not_compile":0,'
    '"requests_not_cacheable":1,"requests_executed":9,"cache_errors":{"counts":{},"adv_counts":{}},'
    '"cache_hits":{"counts":{"C/C++":8},"adv_counts":{"c [gcc]":4,"c++ [gcc]":4}},'
    '"cache_misses":{"counts":{},"adv_counts":{}},"cache_timeouts":0,"cache_read_errors":0,'
    '"non_cacheable_compilations":0,"forced_recaches":0,"cache_write_errors":0,"cache_writes":0,'
    '"cache_write_duration":{"secs":0,"nanos":0},"cache_read_hit_duration":{"secs":0,'
    '"nanos":20188851},"compilations":0,"compiler_write_duration":{"secs":0,"nanos":0},'
    '"compile_fails":1,"not_cached":{"-E":1},"dist_compiles":{},"dist_errors":0},'
    '"cache_location":"s3, name: cache, prefix: /amd64/","cache_size":null,"max_cache_size":null,'
    '"use_preprocessor_cache_mode":false,"version":"0.14.0","basedirs":[]}'
)
_RUST_014 = (
    '{"stats":{"compile_requests":4,"requests_unsupported_compiler":0,"requests_not_compile":0,'
    '"requests_not_cacheable":0,"requests_executed":4,"cache_errors":{"counts":{},"adv_counts":{}},'
    '"cache_hits":{"counts":{"C/C++":1,"Rust":1},"adv_counts":{"rust":1,"c [gcc]":1}},'
    '"cache_misses":{"counts":{"Rust":1,"C/C++":1},"adv_counts":{"rust":1,"c [gcc]":1}},'
    '"cache_timeouts":0,"cache_read_errors":0,"non_cacheable_compilations":0,"forced_recaches":0,'
    '"cache_write_errors":0,"cache_writes":2,"cache_write_duration":{"secs":0,"nanos":8773466},'
    '"cache_read_hit_duration":{"secs":0,"nanos":6523509},"compilations":2,'
    '"compiler_write_duration":{"secs":0,"nanos":138994609},"compile_fails":0,"not_cached":{},'
    '"dist_compiles":{},"dist_errors":0},"cache_location":"Local disk: \\"/sccache/amd64\\"",'
    '"cache_size":14576,"max_cache_size":10737418240,"use_preprocessor_cache_mode":true,'
    '"version":"0.14.0","basedirs":[]}'
)

AWS = {"bucket": "cache", "region": "eu-central-1"}


def test_the_statistics_of_a_cold_build():
    stats = statistics.parse(_COLD_082)
    assert (stats.requests, stats.hits, stats.misses, stats.errors) == (10, 0, 8, 0)
    assert (stats.writes, stats.write_errors) == (8, 0)
    assert (stats.not_cacheable, stats.compile_failures) == (1, 1)
    assert stats.hit_rate == 0
    assert stats.compile_seconds == pytest.approx(0.72217222)
    assert stats.write_seconds == pytest.approx(0.029794555)
    assert stats.seconds_per_compile == pytest.approx(0.72217222 / 8)
    assert stats.seconds_saved() == 0
    assert stats.bytes is None
    assert stats.locations == ("s3, name: cache, prefix: /amd64/",)
    assert stats.versions == ("0.8.2",)
    assert stats.languages == (Language(name="C/C++", misses=8),)


def test_the_statistics_of_a_warm_build():
    stats = statistics.parse(_WARM_014)
    assert (stats.hits, stats.misses, stats.hit_rate) == (8, 0, 1)
    assert stats.seconds_per_compile is None
    assert stats.seconds_saved() is None
    assert stats.seconds_saved(0.5) == pytest.approx(4 - 0.020188851)
    assert stats.seconds_saved(0.001) == 0


def test_the_statistics_per_language():
    stats = statistics.parse(_RUST_014)
    assert [(one.name, one.hits, one.misses, one.hit_rate) for one in stats.languages] == [
        ("C/C++", 1, 1, 0.5),
        ("Rust", 1, 1, 0.5),
    ]
    assert stats.bytes == 14576


def test_all_kinds_of_errors_of_the_cache_count():
    found = json.loads(_COLD_082)
    found["stats"]["cache_errors"]["counts"] = {"CUDA": 2}
    found["stats"] |= {"cache_read_errors": 3, "cache_timeouts": 4, "cache_write_errors": 5}
    stats = statistics.parse(json.dumps(found))
    assert (stats.errors, stats.write_errors, stats.compile_failures) == (7, 5, 3)
    assert Language(name="CUDA", failures=2) in stats.languages


def test_statistics_add_up():
    cold, warm, rust = map(statistics.parse, (_COLD_082, _WARM_014, _RUST_014))
    total = cold + warm + rust
    assert (total.requests, total.hits, total.misses) == (24, 10, 10)
    assert total.hit_rate == 0.5
    assert total.languages == (
        Language(name="C/C++", hits=9, misses=9),
        Language(name="Rust", hits=1, misses=1),
    )
    assert total.versions == ("0.14.0", "0.8.2")
    assert total.bytes == 14576
    assert sum((cold, warm), Stats()) == cold + warm


_COUNT = st.integers(0, 1000)
_STATS = st.builds(
    Stats,
    requests=_COUNT,
    hits=_COUNT,
    misses=_COUNT,
    bytes=st.none() | _COUNT,
    locations=st.sampled_from([(), ("a",), ("b",)]),
    languages=st.sampled_from(
        [(), (Language(name="Rust", hits=2),), (Language(name="CUDA", misses=3),)]
    ),
)


@given(_STATS, _STATS, _STATS)
def test_the_order_of_adding_does_not_matter(one, two, three):
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + Stats() == one


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"stats": 1}',
        '{"stats": {"compile_requests": "many"}}',
        '{"stats": {"compile_requests": 1, "cache_hits": {"counts": 1}}}',
        '{"stats": {"compile_requests": 1, "cache_write_duration": 3}}',
    ],
)
def test_what_is_no_statistics_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        statistics.parse(text)


def test_a_server_that_fell_back_is_seen():
    s3, local = compile_cache.s3_cache(**AWS), CompileCache(kind="local")
    cold, disk = statistics.parse(_COLD_082), statistics.parse(_RUST_014)
    assert cold.is_in(s3)
    assert disk.is_in(local)
    assert not disk.is_in(s3)
    assert not (cold + disk).is_in(s3)
    assert not cold.is_in(compile_cache.s3_cache(bucket="cach", region="x"))


# --- variables
