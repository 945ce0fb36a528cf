"""Cold starts: nothing is compiled again where the program's folders may not be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpu_cluster.cutout import compiled


def test_a_folder_that_may_not_be_written_is_copied_for_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    (shipped / "alpha_1").mkdir(parents=True)
    (shipped / "alpha_1" / "f.nbi").write_bytes(b"index")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(shipped))
    monkeypatch.setattr(os, "access", lambda path, how: False)  # Root may write everywhere.
    compiled.prepare()
    own = Path(os.environ["NUMBA_CACHE_DIR"])
    assert own != shipped
    assert (own / "alpha_1" / "f.nbi").read_bytes() == b"index"
    assert own.stat().st_mode & 0o077 == 0


def test_a_folder_that_may_be_written_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiled.prepare()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)
