"""Names that say which part of a data set they hold: folders, files and arrays."""

import re
from typing import Literal

Role = Literal["train", "validation", "test"]
ROLE_NAMES: tuple[Role, ...] = ("train", "validation", "test")
# A folder's whole name, in letters: `train`, `Training_set`, `test2017`, `seg_test`, `validation`. Not `class_test`.
_WORDS: dict[Role, str] = {
    "train": "train(?:ing)?",
    "test": "test(?:ing)?",
    "validation": "val(?:id(?:ation)?)?|dev(?:el(?:opment)?)?|eval(?:uation)?|holdout|heldout",
}
_FOLDERS = {
    role: re.compile(rf"(?:images?|imgs?|data|seg)?(?:{words})(?:set|data|images?|imgs?|split)?[0-9]*")
    for role, words in _WORDS.items()
}
_WORD = {role: re.compile(rf"x?(?:{words})(?:set|data|images?|imgs?|x)?") for role, words in _WORDS.items()}
# Parts of an array's or file's name that say that it holds no images.
_NO_IMAGES = re.compile(
    "y|lab(?:el)?s?|labelnames|class(?:es)?|target|targets|latents?|attr(?:ibute)?s?|masks?|seg(?:mentation)?s?|ids?|"
    "index|annotations?|bbox(?:es)?|boxes|names?|filenames?|fold|weights?|meta(?:data)?"
)
_TOKEN = re.compile(r"[A-Za-z]+")


def role_of(name: str) -> Role | None:
    """Part of a data set that a folder's name says it is."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((role for role, pattern in _FOLDERS.items() if pattern.fullmatch(letters)), None)


def role_within(name: str) -> Role | None:
    """Part that one word of a file's or array's name says it is, as in `kmnist-train-imgs`, `val_images`, `xTest`."""
    found = {role for word in words_of(name) for role, pattern in _WORD.items() if pattern.fullmatch(word)}
    return found.pop() if len(found) == 1 else None


def names_no_images(name: str) -> bool:
    """True if a word of the name says that it holds labels, masks or other things beside the images."""
    return any(_NO_IMAGES.fullmatch(word) for word in words_of(name))


def words_of(name: str) -> list[str]:
    """Words of a name in small letters: split at signs, digits and humps."""
    spread = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in _TOKEN.findall(spread)]
