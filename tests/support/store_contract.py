"""Contract of every store; a test class per implementation inherits all of it."""

import subprocess
import sys

import pytest

from vae_search.errors import NotFound
from vae_search.store.backends.base import AlreadyThere, Store, prove_exclusive

CREATE_FIFTY = """
import sys
from vae_search.store.backends.base import AlreadyThere
from vae_search.store.backends.uri import open_store

store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    try:
        store.create(f"race/{number:03d}", sys.argv[2].encode() * 1000)
    except AlreadyThere:
        continue
    print(number)
"""


class StoreContract:
    """The tests; a subclass gives the fixture `store`, an empty store."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.mark.parametrize("content", [b"", b"one line\n", bytes(range(256)) * 20_000], ids=["empty", "text", "5 MB"])
    def test_what_was_created_can_be_read(self, store: Store, content: bytes) -> None:
        store.create("folder/deeper/file.bin", content)

        assert store.read("folder/deeper/file.bin") == content

    def test_a_second_create_fails_and_changes_nothing(self, store: Store) -> None:
        store.create("file", b"first")

        with pytest.raises(AlreadyThere, match="file") as failure:
            store.create("file", b"second")

        assert failure.value.path == "file"
        assert store.read("file") == b"first"

    def test_of_eight_processes_that_create_the_same_paths_exactly_one_wins_each(self, store: Store) -> None:
        arguments = [sys.executable, "-c", CREATE_FIFTY, store.location]
        racers = [
            subprocess.Popen([*arguments, str(name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for name in range(8)
        ]
        for racer in racers:
            racer.stdout.readline()

        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        wins = {name: [int(line) for line in racer.communicate()[0].split()] for name, racer in enumerate(racers)}

        assert [racer.returncode for racer in racers] == [0] * 8
        assert sorted(number for won in wins.values() for number in won) == list(range(50))
        for name, won in wins.items():
            for number in won:
                assert store.read(f"race/{number:03d}") == str(name).encode() * 1000

    def test_a_replaced_file_has_the_last_content(self, store: Store) -> None:
        store.replace("heartbeat", b"1")
        store.replace("heartbeat", b"22")

        assert store.read("heartbeat") == b"22"

    def test_a_missing_file_is_not_found_by_name(self, store: Store) -> None:
        store.create("there/file", b"")

        with pytest.raises(NotFound, match="there/other"):
            store.read("there/other")

    def test_a_path_through_a_file_is_not_found(self, store: Store) -> None:
        store.create("file", b"")

        with pytest.raises(NotFound, match="file/below"):
            store.read("file/below")

    def test_a_list_holds_the_files_of_a_folder_and_below_in_order(self, store: Store) -> None:
        for path in ("a/2", "a/10", "a/b/c", "ab/1", "c"):
            store.create(path, b"")

        assert store.list("a") == ["a/10", "a/2", "a/b/c"]

    def test_the_list_of_a_missing_folder_is_empty(self, store: Store) -> None:
        assert store.list("nowhere") == []

    def test_the_folders_right_in_a_folder_are_named_in_order(self, store: Store) -> None:
        for path in ("a/c/1", "a/b/x/2", "a/b/x/3", "a/file", "ab/1"):
            store.create(path, b"")

        assert store.folders("a") == ["b", "c"]
        assert store.folders("") == ["a", "ab"]
        assert store.folders("nowhere") == store.folders("a/file") == []

    def test_sizes_are_those_of_the_listed_files(self, store: Store) -> None:
        for path, content in (("a/2", b"12345"), ("a/10", b""), ("a/b/c", b"x" * 70_000), ("ab/1", b"1")):
            store.create(path, content)
        store.replace("a/2", b"123")

        assert list(store.sizes("a").items()) == [("a/10", 0), ("a/2", 3), ("a/b/c", 70_000)]
        assert store.sizes("nowhere") == {}

    def test_a_removed_file_is_gone_and_may_be_created_again(self, store: Store) -> None:
        store.create("a/1", b"old")

        store.remove("a/1")

        assert store.list("a") == []
        store.create("a/1", b"new")
        assert store.read("a/1") == b"new"

    def test_removing_what_is_missing_is_fine(self, store: Store) -> None:
        store.create("file", b"")

        store.remove("other")
        store.remove("file/below")
        store.remove_tree("nowhere")

        assert store.read("file") == b""

    def test_a_removed_tree_takes_nothing_else_with_it(self, store: Store) -> None:
        for path in ("a/b/1", "a/b/c/2", "a/bc/3", "a/4"):
            store.create(path, b"")

        store.remove_tree("a/b")

        assert store.list("a") == ["a/4", "a/bc/3"]

    def test_a_removed_tree_may_be_written_again(self, store: Store) -> None:
        store.create("a/b/1", b"old")
        store.remove_tree("a")

        store.create("a/b/1", b"new")

        assert store.read("a/b/1") == b"new"

    @pytest.mark.parametrize(
        "path", ["/etc/passwd", "../outside", "a/../../outside", ".hidden", "a/.hidden", "./a", "a//b"]
    )
    def test_a_path_that_leads_out_or_is_hidden_is_refused(self, store: Store, path: str) -> None:
        for call in (
            store.read,
            store.remove,
            store.list,
            store.folders,
            store.sizes,
            store.remove_tree,
            lambda it: store.create(it, b""),
        ):
            with pytest.raises(ValueError, match="relative"):
                call(path)

    def test_it_proves_that_it_is_exclusive_and_leaves_no_trace(self, store: Store) -> None:
        prove_exclusive(store)

        assert store.list("probes") == []
