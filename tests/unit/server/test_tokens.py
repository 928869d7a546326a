"""The tokens' file: hashes only, readable by its owner alone, whole whoever writes it."""

import json
import threading
from pathlib import Path

import pytest

from tests.support.web_service import NOW
from vae_search.errors import Conflict, InvalidSpec, NotFound, VaeSearchError
from vae_search.server.tokens import Person, Role, TokenFile


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "new" / "tokens.json")


def test_a_token_names_its_holder_and_is_kept_as_a_hash_alone(file):
    token = file.create("ada", Role.SUBMITTER, now=NOW)

    assert file.person(token) == Person(name="ada", role=Role.SUBMITTER)
    assert file.person(token[:-1]) is None
    assert token not in file.path.read_text()
    assert token.removeprefix("vaes_") not in file.path.read_text()
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_tokens_are_long_and_never_the_same(file):
    tokens = {file.create(f"t{number}", Role.VIEWER, now=NOW) for number in range(20)}

    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 43  # 256 bits in base 64


def test_roles_are_nested():
    assert [[each.reaches(other) for other in Role] for each in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_name_is_given_once(file):
    file.create("ada", Role.VIEWER, now=NOW)

    with pytest.raises(Conflict):
        file.create("ada", Role.APPROVER, now=NOW)


@pytest.mark.parametrize("name", ["", "Ada", "a b", "../a", "a\n", "a" * 64, "dispätcher"])
def test_a_name_that_would_not_stand_well_in_a_log_is_refused(name, file):
    with pytest.raises(InvalidSpec):
        file.create(name, Role.VIEWER, now=NOW)


def test_revoking_takes_one_token_away(file):
    ada, grace = (file.create(name, Role.VIEWER, now=NOW) for name in ("ada", "grace"))
    file.revoke("ada")

    assert file.person(ada) is None
    assert file.person(grace) is not None
    with pytest.raises(NotFound):
        file.revoke("ada")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_file_that_others_may_touch_is_not_read(mode, file):
    token = file.create("ada", Role.VIEWER, now=NOW)
    file.path.chmod(mode)

    with pytest.raises(VaeSearchError, match="chmod 600"):
        file.person(token)
    with pytest.raises(VaeSearchError, match="chmod 600"):
        file.create("grace", Role.VIEWER, now=NOW)


def test_every_cut_and_every_flipped_bit_of_the_file_lets_nobody_in_who_was_not(file):
    token = file.create("ada", Role.VIEWER, now=NOW)
    whole = file.path.read_bytes()
    for length in range(len(whole) - 2):
        file.path.write_bytes(whole[:length])
        with pytest.raises(VaeSearchError):
            TokenFile(file.path).person(token)
    for place in range(len(whole)):
        file.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = TokenFile(file.path).person(token)
        except VaeSearchError:
            continue
        assert found is None or found.role is Role.VIEWER


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"null", b'{"tokens": [1]}', b'{"tokens": [{"name": "a"}]}', b"\xff", b" " * 2_000_000],
)
def test_a_damaged_file_is_told_in_two_lines(content, file):
    file.create("ada", Role.VIEWER, now=NOW)
    file.path.write_bytes(content)

    with pytest.raises(VaeSearchError) as caught:
        TokenFile(file.path).records()
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_is_told_with_the_command_that_makes_it(file):
    with pytest.raises(NotFound, match="token create"):
        file.records()


def test_of_many_that_create_at_once_none_is_lost(file, without_fsync):
    tokens: dict[str, str] = {}

    def create(number: int) -> None:
        tokens[f"t{number}"] = TokenFile(file.path).create(f"t{number}", Role.VIEWER, now=NOW)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {name: file.person(token).name for name, token in tokens.items()} == {name: name for name in tokens}
    assert len(json.loads(file.path.read_text())["tokens"]) == 16


def test_a_file_that_is_nested_deeply_is_told_as_damaged(tmp_path):
    path = tmp_path / "tokens.json"
    path.write_text("[" * 100_000)
    path.chmod(0o600)

    with pytest.raises(VaeSearchError, match="damaged"):
        TokenFile(path).records()
