"""What settings say of a cell: which CUDA version is meant."""

import pytest

from dynbuild.settings import cell


@pytest.mark.parametrize(
    ("version", "rows", "row"),
    [
        ("12.9", ("12.9", "13.0"), "12.9"),
        ("12.9.1", ("12.9", "13.0"), "12.9"),
        ("13", ("12.9", "13.0"), "13.0"),
        ("13", ("13.0", "13.1"), ""),
        ("13", ("13", "13.1"), "13"),
        ("1", ("12.9", "13.0"), ""),
        ("12.90", ("12.9",), ""),
        ("", ("12.9",), ""),
        ("12.9", (), ""),
    ],
)
def test_the_row_that_a_version_means(version, rows, row):
    assert cell.row_of(version, rows) == row
