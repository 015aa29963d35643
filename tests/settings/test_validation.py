"""Settings are checked once, and kept as they were found right for just these values."""

import copy
from unittest import mock

import pytest
from pydantic import ValidationError

from dynbuild import disk_cache
from dynbuild.settings import validation
from dynbuild.settings.validation import checked
from tests.support import CATALOG


def looked_up(values, cache):
    """The catalog, and whether it was checked for that."""
    disk_cache.code.cache_clear()
    with mock.patch.object(validation, "_checked", wraps=validation._checked) as checking:
        catalog = checked(values, cache)
    assert catalog == checked(values, None)
    return checking.called


def changed(value):
    other = copy.deepcopy(CATALOG)
    other["request"]["no_cache"] = value
    return other


def test_the_same_values_are_checked_once(tmp_path):
    assert looked_up(CATALOG, tmp_path)
    assert not looked_up(copy.deepcopy(CATALOG), tmp_path)
    assert looked_up(changed(value=True), tmp_path)
    assert not looked_up(CATALOG, tmp_path)


def test_without_a_folder_they_are_checked_each_time():
    assert checked(CATALOG, None) == checked(CATALOG, None)


@pytest.mark.parametrize("value", [1, "true", None])
def test_what_is_wrong_is_not_kept(value, tmp_path):
    """Among it what is equal to a value that was right, and of another type."""
    looked_up(changed(value=True), tmp_path)
    for _ in range(2):
        with pytest.raises(ValidationError):
            checked(changed(value), tmp_path)


def test_other_code_of_a_checkout_checks_anew(tmp_path, monkeypatch):
    code = tmp_path / "models.py"
    code.write_text("one")
    monkeypatch.setattr(validation, "_CODE", (code,))
    assert looked_up(CATALOG, tmp_path)
    assert not looked_up(CATALOG, tmp_path)
    code.write_text("other")
    assert looked_up(CATALOG, tmp_path)


def test_a_damaged_catalog_does_not_count(tmp_path):
    looked_up(CATALOG, tmp_path)
    (file,) = tmp_path.glob("catalog-*.pickle")
    file.write_bytes(file.read_bytes()[:-1])
    assert looked_up(CATALOG, tmp_path)


def test_a_folder_that_others_can_write_in_is_not_read(tmp_path):
    looked_up(CATALOG, tmp_path)
    tmp_path.chmod(0o777)
    assert looked_up(CATALOG, tmp_path)
