"""Modules that the lab's server loads at their first use (images/lab/python/mlinfn_lab.py)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "images/lab/python/mlinfn_lab.py"
SLOW = """
import sys, time
sys.modules.setdefault("loads", []).append(__name__)
time.sleep(0.05)
VALUE = 42
def double(number):
    return 2 * number
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """mlinfn_lab, which defers the modules of a folder: a_module, a_package, and `double` of a_function."""
    (tmp_path / "a_module.py").write_text(SLOW)
    (tmp_path / "a_function.py").write_text(SLOW)
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package/__init__.py").write_text(SLOW)
    (tmp_path / "a_package/inner.py").write_text("NAME = __name__")
    spec = importlib.util.spec_from_file_location("mlinfn_lab", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DEFERRED", {"a_module": (), "a_package": (), "a_function": ("double",)})
    monkeypatch.setattr(sys, "meta_path", [module._Finder, *sys.meta_path])
    monkeypatch.syspath_prepend(tmp_path)
    loads = []
    monkeypatch.setitem(sys.modules, "loads", loads)
    yield loads
    for name in ("a_module", "a_package", "a_package.inner", "a_function"):
        sys.modules.pop(name, None)


def test_module_is_executed_when_a_name_is_looked_up(lab):
    import a_module

    assert lab == []
    assert a_module.VALUE == 42
    assert a_module.double(2) == 4
    assert lab == ["a_module"]


def test_second_import_executes_nothing(lab):
    import a_module  # noqa: F401
    import a_module as again  # noqa: F401

    assert lab == []


def test_function_taken_by_name_is_executed_when_called(lab):
    from a_function import double

    assert lab == []
    assert double(21) == 42
    assert lab == ["a_function"]


def test_name_that_is_not_declared_is_there_at_once(lab):
    from a_function import VALUE

    assert VALUE == 42


def test_import_of_a_submodule_executes_the_package_first(lab):
    import a_package.inner

    assert lab == ["a_package"]
    assert a_package.inner.NAME == "a_package.inner"
    assert a_package.VALUE == 42


def test_name_that_does_not_exist_is_an_attribute_error(lab):
    import a_module

    with pytest.raises(AttributeError):
        a_module.missing  # noqa: B018


def test_many_threads_execute_it_once(lab):
    import a_module

    found = []
    threads = [threading.Thread(target=lambda: found.append(a_module.VALUE)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [42] * 8
    assert lab == ["a_module"]


def test_missing_module_is_missing_as_ever():
    code = "import mlinfn_lab, sys; sys.meta_path.insert(0, mlinfn_lab._Finder); import send2trash.nothing"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=SOURCE.parent)
    assert "ModuleNotFoundError: No module named 'send2trash'" in done.stderr
