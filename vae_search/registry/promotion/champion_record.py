"""The champion's record: its evidence in later contests, read from the files of its version."""

from collections.abc import Mapping
from typing import Any

from vae_search.errors import CorruptStore
from vae_search.registry.promotion.evidence import Evidence, training_options, training_sha256
from vae_search.registry.promotion.gates import MIN_SEEDS
from vae_search.registry.version_files import CARD_FILE, PER_IMAGE_FILE
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.ledger.image_bounds_file import seeds_from_parquet


def evidence_of(files: Mapping[str, bytes], *, where: str) -> Evidence:
    """Evidence of a version, from its files.

    Raises:
        CorruptStore: The card or the bounds are not what this program writes.
    """
    try:
        card: Any = from_json_bytes(files[CARD_FILE], where=f"{where}/{CARD_FILE}")
        bounds = seeds_from_parquet(files[PER_IMAGE_FILE], where=f"{where}/{PER_IMAGE_FILE}")
        silent, remark = silent_seeds(card, sorted(bounds))
        options = training_options(precision=card.get("precision", "float32"), mirror=bool(card["data"].get("mirror")))
        return Evidence(
            comparability_key=card["provenance"]["comparability_key"],
            artifact_seed=card["provenance"]["artifact_seed"],
            bounds=bounds,
            silent=silent,
            trainings=frozenset(
                training_sha256(
                    card["params"], epochs=each.get("epochs", card["epochs"]), seed=each["seed"], options=options
                )
                for each in card["seeds"]
                if each["confirm_seed"] in set(bounds) - silent
            ),
            remark=remark,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptStore(
            f"has no card of this program: {error}.", path=where, advice="Install a newer vae-search."
        ) from error


def silent_seeds(card: Mapping[str, Any], judged: list[int]) -> tuple[frozenset[int], str]:
    """The seeds of a version that do not testify for it, and a remark on them.

    Of a card from before that was written the first seed may have chosen the config, by judge images: it is left out
    where enough others remain.
    """
    if all("testifies" in each for each in card["seeds"]):
        return frozenset(each["confirm_seed"] for each in card["seeds"] if not each["testifies"]), ""
    others = [seed for seed in judged if seed != 1]
    of_old = "The champion is of an older version of this program, which could choose it by its first seed"
    if len(others) >= MIN_SEEDS:
        return frozenset({1} & set(judged)), f"{of_old}: that one is left out, {len(others)} testify."
    return (
        frozenset(),
        f"{of_old}: that one still testifies, since only {len(others)} others are there. It may flatter.",
    )
