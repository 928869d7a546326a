"""How a file is brought to the disk itself."""

import os

from vae_search.store.backends import local_io


def test_on_macos_the_disks_own_cache_is_emptied_as_well(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(local_io.sys, "platform", "darwin")
    monkeypatch.setattr(local_io.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(local_io.fcntl, "fcntl", lambda handle, command: calls.append(command))
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append("fsync"))

    local_io.write_durably(tmp_path / "file", b"content")
    local_io.sync_folder(tmp_path)

    assert calls == [51, 51]
