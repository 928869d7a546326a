"""The one primitive: created once, whole, and durable."""

import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.store_contract import StoreContract
from vae_search.errors import CorruptStore, StoreUnavailable
from vae_search.store.backends import local, local_io
from vae_search.store.backends.base import AlreadyThere, prove_exclusive
from vae_search.store.backends.local import LocalStore
from vae_search.store.backends.local_io import name_exclusively, sync_folder
from vae_search.store.backends.uri import open_store

CREATE_ONE = """
import sys
from pathlib import Path
from vae_search.errors import StoreUnavailable
from vae_search.store.backends.local import LocalStore

store = LocalStore(Path(sys.argv[1]))
try:
    store.create("folder/file", b"x" * 100_000)
except StoreUnavailable as error:
    print(error)
"""
CREATE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from vae_search.store.backends.local import LocalStore

store = LocalStore(Path(sys.argv[1]))
for number in itertools.count(int(sys.argv[2])):
    store.create(f"files/{number:06d}", f"{number:06d}".encode() * 5_000)
    print(number, flush=True)
"""


def every_file(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, store: LocalStore) -> LocalStore:
        return store


def test_create_leaves_nothing_but_the_file_and_the_version(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    store.create("a/b", b"1")
    with pytest.raises(AlreadyThere):
        store.create("a/b", b"2")
    store.replace("a/c", b"3")

    assert every_file(tmp_path) == ["a/b", "a/c", "store.json"]
    assert json.loads(store.read("store.json")) == {"store_version": 1}


def test_hidden_files_are_not_listed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create("a/b", b"1")
    (tmp_path / "a" / ".b.123.tmp").write_bytes(b"half")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"")

    assert store.list("") == ["a/b", "store.json"]


def test_opening_a_store_writes_nothing(tmp_path: Path) -> None:
    open_store(str(tmp_path / "new"))

    assert not (tmp_path / "new").exists()


def test_a_store_can_be_opened_again_also_as_a_url(tmp_path: Path) -> None:
    open_store(str(tmp_path)).create("file", b"1")

    assert open_store(f"file://{tmp_path}").read("file") == b"1"


def test_an_unknown_scheme_is_refused_with_what_is_supported() -> None:
    with pytest.raises(StoreUnavailable, match=r"must be a folder, .* or s3://bucket/prefix, but got gs://"):
        open_store("gs://bucket")


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailable, match="this is a file"):
        open_store(str(tmp_path / "file"))


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"store_version": 2}')

    with pytest.raises(StoreUnavailable, match="up to version 1, but this one has version 2"):
        open_store(str(tmp_path))


def test_a_damaged_version_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"store_ver')

    with pytest.raises(CorruptStore, match=r"store\.json: must be JSON"):
        open_store(str(tmp_path))


def test_a_store_that_lets_a_second_create_pass_is_found_out(tmp_path: Path) -> None:
    class Overwriting(LocalStore):
        def create(self, path: str, content: bytes) -> None:
            self.replace(path, content)

    with pytest.raises(StoreUnavailable, match="one writer only"):
        prove_exclusive(Overwriting(tmp_path))

    assert every_file(tmp_path) == ["store.json"]


def test_a_link_whose_answer_got_lost_is_ours(tmp_path: Path) -> None:
    (tmp_path / "partial").write_text("ours")
    os.link(tmp_path / "partial", tmp_path / "target")

    assert name_exclusively(tmp_path / "partial", tmp_path / "target")


def test_a_link_to_another_file_of_the_same_content_is_not_ours(tmp_path: Path) -> None:
    for name in ("partial", "target"):
        (tmp_path / name).write_text("same")

    assert not name_exclusively(tmp_path / "partial", tmp_path / "target")


def test_a_link_whose_answer_is_an_error_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a soft mount of NFS: the link is made, and the answer is EIO."""
    (tmp_path / "partial").write_text("ours")
    link = os.link

    def link_and_fail(source: Path, target: Path) -> None:
        link(source, target)
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "link", link_and_fail)

    assert name_exclusively(tmp_path / "partial", tmp_path / "target")


@pytest.fixture(params=[errno.EPERM, errno.ENOTSUP, errno.ENOSYS], ids=errno.errorcode.get)
def no_hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links; their errors are those of exFAT, Azure Files and Cloud Storage FUSE."""

    def refuse(source: Path, target: Path) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("no_hard_links")
def test_without_hard_links_a_file_is_still_created_by_one_writer_only(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    store.create("folder/file", b"first")

    with pytest.raises(AlreadyThere):
        store.create("folder/file", b"second")
    assert store.read("folder/file") == b"first"
    prove_exclusive(store)
    assert every_file(tmp_path) == ["folder/file", "store.json"]


@pytest.mark.usefixtures("no_hard_links")
def test_a_file_system_that_can_do_neither_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_io, "_renameat2", lambda: None)  # as on macOS, or an old C library

    with pytest.raises(StoreUnavailable, match=r"neither hard links nor a renaming .*\nGive a --store on another file"):
        LocalStore(tmp_path).create("folder/file", b"first")


def test_a_stale_handle_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS while a file is replaced."""
    store = LocalStore(tmp_path)
    store.replace("heartbeat.json", b"2")
    failures, read_bytes = [OSError(errno.ESTALE, "stale file handle")] * 2, Path.read_bytes

    def read(path: Path) -> bytes:
        if failures:
            raise failures.pop()
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)

    assert store.read("heartbeat.json") == b"2"


def test_a_killed_writer_leaves_only_whole_files_and_all_that_it_reported(tmp_path: Path) -> None:
    store, random_delay = LocalStore(tmp_path), random.Random(20)
    acknowledged: list[int] = []
    for _ in range(30):
        first = len(store.list("files"))
        writer = subprocess.Popen(
            [sys.executable, "-c", CREATE_FOR_EVER, str(tmp_path), str(first)], stdout=subprocess.PIPE, text=True
        )
        acknowledged.append(int(writer.stdout.readline()))
        time.sleep(random_delay.uniform(0, 0.01))  # somewhere within the next few creates
        writer.kill()
        acknowledged += [int(line) for line in writer.communicate()[0].split()]

    visible = store.list("files")
    assert {f"files/{number:06d}" for number in acknowledged} <= set(visible)
    for path in visible:
        assert store.read(path) == path.removeprefix("files/").encode() * 5_000


@pytest.fixture
def strace() -> str:
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "true"], capture_output=True).returncode:
        pytest.skip("strace is not there, or may not trace")
    return found


def create_under(strace: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """One create in another process, traced. Its calls are on stderr, its failure on stdout."""
    calls = "trace=fsync,fdatasync,link,linkat,unlink,unlinkat"
    program = [sys.executable, "-c", CREATE_ONE, str(folder)]
    return subprocess.run([strace, "-f", "-y", "-e", calls, *options, *program], capture_output=True, text=True)


def test_content_is_durable_before_its_name_and_the_name_before_create_returns(strace: str, tmp_path: Path) -> None:
    LocalStore(tmp_path).create("other", b"")  # so that the version is there already

    trace = create_under(strace, tmp_path).stderr

    calls = [line for line in trace.splitlines() if str(tmp_path) in line and "store.json" not in line]
    steps = [re.sub(r"^(?:\[pid +\d+\] )?(\w+)\(.*", r"\1", line) for line in calls]
    own = steps[steps.index("link") - 1 :]
    assert own == ["fsync", "link", "fsync", "unlink"]
    assert re.search(r"fsync\(\d+<.*/folder/\.file\.\w+\.tmp>\)", calls[steps.index("link") - 1])
    assert re.search(r"fsync\(\d+<.*/folder>\)", calls[steps.index("link") + 1])
    assert any(re.search(rf"fsync\(\d+<{re.escape(str(tmp_path))}>\)", call) for call in calls[: steps.index("link")])


def test_a_folder_s_way_is_made_durable_once_and_again_after_it_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def sync(folder: Path) -> None:
        synced.append(folder.relative_to(tmp_path).as_posix())
        sync_folder(folder)

    monkeypatch.setattr(local, "sync_folder", sync)
    store = LocalStore(tmp_path)
    store.create("a/b/c/1", b"")
    synced.clear()

    store.create("a/b/d/2", b"")
    assert synced == ["a/b", "a/b/d"]  # the new folder's name, then the file's
    synced.clear()
    store.create("a/b/d/3", b"")
    assert synced == ["a/b/d"]
    store.remove_tree("a/b")
    synced.clear()
    store.create("a/b/d/2", b"")
    assert synced == ["a/b", "a", "a/b/d"]


# Counted from the first of its kind: the version takes two (file, folder), then the new folder's parent is synced.
@pytest.mark.parametrize("fault", [f"fsync:error=EIO:when={n}" for n in (1, 2, 3, 4, 5)] + ["link:error=EDQUOT:when=2"])
def test_after_a_failed_write_nothing_is_there(strace: str, tmp_path: Path, fault: str) -> None:
    found = create_under(strace, tmp_path, "-e", f"inject={fault}")

    assert "cannot be written" in found.stdout
    assert found.stdout.rstrip().endswith("then run the same command again.")
    assert every_file(tmp_path) in ([], ["store.json"])


@pytest.mark.parametrize("step", ["fsync:when=4", "link:when=2", "fsync:when=5", "unlink:when=2"])
def test_a_writer_killed_at_any_step_leaves_a_whole_file_or_none(strace: str, tmp_path: Path, step: str) -> None:
    call, when = step.split(":")

    found = create_under(strace, tmp_path, "-e", f"inject={call}:signal=SIGKILL:{when}")

    assert found.returncode == -9
    visible = LocalStore(tmp_path).list("folder")
    assert visible in ([], ["folder/file"])
    assert all(LocalStore(tmp_path).read(path) == b"x" * 100_000 for path in visible)
    LocalStore(tmp_path).replace("folder/file", b"again")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("may not mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_named_with_its_free_space_and_can_be_used_again(small_disk: Path) -> None:
    store = LocalStore(small_disk)
    store.create("sweeps/a/first", b"x" * 100_000)

    with pytest.raises(StoreUnavailable) as failure:
        store.create("sweeps/a/second", b"y" * 300_000)

    assert re.fullmatch(
        rf"{small_disk}/sweeps/a/second: cannot be written: No space left on device; 0\.\d MB free on {small_disk}\.\n"
        r"Free some space, then run the same command again\.",
        str(failure.value),
    )
    assert every_file(small_disk) == ["store.json", "sweeps/a/first"]
    store.remove("sweeps/a/first")
    store.create("sweeps/a/second", b"y" * 100_000)
    assert store.read("sweeps/a/second") == b"y" * 100_000


def test_a_replace_on_a_full_disk_keeps_the_old_file(small_disk: Path) -> None:
    store = LocalStore(small_disk)
    store.replace("heartbeat", b"old")

    with pytest.raises(StoreUnavailable, match="No space left"):
        store.replace("heartbeat", b"y" * 300_000)

    assert every_file(small_disk) == ["heartbeat", "store.json"]
    assert store.read("heartbeat") == b"old"


def test_a_read_only_disk_says_so(small_disk: Path) -> None:
    store = LocalStore(small_disk)
    store.create("first", b"1")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    with pytest.raises(StoreUnavailable, match=r"Read-only file system; .* free on .*\n.*another --store"):
        store.create("second", b"2")
    with pytest.raises(StoreUnavailable, match="cannot be removed"):
        store.remove("first")

    assert store.list("") == ["first", "store.json"]


def test_a_file_where_a_folder_must_be_is_an_error_of_the_store(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create("file", b"")

    with pytest.raises(StoreUnavailable, match=r"file/below: cannot be written"):
        store.create("file/below", b"")


def test_an_unreadable_folder_is_an_error_and_not_an_empty_list(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create("loop/file", b"")
    shutil.rmtree(tmp_path / "loop")
    (tmp_path / "loop").symlink_to("loop")  # also root cannot open it

    with pytest.raises(StoreUnavailable, match=os.strerror(errno.ELOOP)):
        store.list("loop")
