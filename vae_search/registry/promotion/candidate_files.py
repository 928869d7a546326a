"""The part of a promotion that takes long: the artifact made and measured, the champion loaded, the version written."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from vae_search.errors import CorruptStore, NotFound
from vae_search.registry import model_paths
from vae_search.registry.fitted_prior import FittedPriorRecord
from vae_search.registry.promotion.card.card_facts import card_of
from vae_search.registry.promotion.card.card_text import markdown_of
from vae_search.registry.promotion.champion_record import evidence_of
from vae_search.registry.promotion.decision import PromotionDecision
from vae_search.registry.promotion.evidence import Candidate, Evidence
from vae_search.registry.promotion.gate_results import GateInputs, SampleQuality
from vae_search.registry.promotion.model_backend import ModelBackend, TestScore
from vae_search.registry.state import OPEN, ModelState
from vae_search.registry.version_files import (
    CARD_FILE,
    CARD_TEXT_FILE,
    PER_IMAGE_FILE,
    TEST_FILE,
    read_version,
    version_sha256,
    write_file,
    write_version,
)
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.image_bounds_file import seeds_to_parquet
from vae_search.store.sweeps import sweep_record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Champion:
    """The version that a candidate faces."""

    version: int
    evidence: Evidence
    files: Mapping[str, bytes]


class Preparation:
    """Slow part of a promotion: done once for each candidate and champion, however often it is decided again."""

    def __init__(self, store: Store, model: str, candidate: Candidate, backend: ModelBackend) -> None:
        self._store = store
        self._model = model
        self._candidate = candidate
        self._workshop = backend
        self._files: Mapping[str, bytes] | None = None
        self._own_facts: tuple[float | None, SampleQuality, float] | None = None
        self._champion: Champion | None = None
        self._champion_quality: SampleQuality | None = None

    def champion(self, state: ModelState) -> Champion | None:
        """The version that is to be beaten.

        Raises:
            CorruptStore: Its files are damaged.
        """
        if state.champion is None:
            return None
        if self._champion is None or self._champion.version != state.champion:
            promoted = state.promoted(state.champion)
            files = read_version(self._store, self._model, promoted.number, sha256=promoted.manifest_sha256)
            evidence = evidence_of(files, where=model_paths.version(self._model, promoted.number))
            self._champion = Champion(version=promoted.number, evidence=evidence, files=files)
            self._champion_quality = None
        return self._champion

    def facts(self, champion: Champion | None) -> GateInputs:
        """Inputs of the gates beside the confirm runs; those of the candidate are measured once."""
        recorded = self._candidate.evidence.artifact
        if self._own_facts is None:
            files = self._exported()
            self._own_facts = (
                self._workshop.reload_difference(files, recorded),
                self._workshop.sample_quality(files),
                self._workshop.held_out_share_in_train(),
            )
        if champion is not None and self._champion_quality is None:
            self._champion_quality = self._workshop.sample_quality(champion.files)
        difference, quality, share_in_train = self._own_facts
        return GateInputs(
            reload_difference=difference,
            sample_quality=quality,
            champion_sample_quality=self._champion_quality if champion else None,
            held_out_share_in_train=share_in_train,
        )

    def finished(self, state: ModelState) -> tuple[int, str] | None:
        """A version of this candidate that somebody has written and not promoted: its number and manifest's hash."""
        for version in state.versions_of(self._candidate.sha256):
            if version.status not in OPEN:
                continue
            try:
                files = read_version(self._store, self._model, version.number, sha256=version.manifest_sha256)
            except (NotFound, CorruptStore) as trouble:
                logger.info("version %d of %s is passed over: %s", version.number, self._model, trouble)
                continue
            return version.number, version_sha256(files)
        return None

    def write(self, number: int, state: ModelState, ruling: PromotionDecision, *, at: datetime) -> str:
        """Write the files of a number that this process has reserved; the hash of their manifest."""
        candidate, facts = self._candidate, self.facts(self.champion(state))
        test = self._tested(number, state)
        card = card_of(
            candidate,
            sweep_record.read(self._store, candidate.sweep),
            model=self._model,
            version=number,
            created_at=at,
            facts=facts,
            gates=ruling.gates,
            contest=ruling.contest,
            champion=state.champion,
            test=test,
            ladder=self._workshop.importance_ladder(self._exported()),
            fitted=FittedPriorRecord.of(self._exported()),
        )
        files = {
            **self._exported(),
            PER_IMAGE_FILE: seeds_to_parquet(candidate.judged),
            TEST_FILE: _test_bytes(test),
            CARD_FILE: to_json_bytes(card),
            CARD_TEXT_FILE: markdown_of(card).encode(),
        }
        return write_version(self._store, self._model, number, files)

    def recorded_test(self, numbers: Sequence[int]) -> TestScore | None:
        """The test score in one of these versions, whole or not."""
        for number in numbers:
            path = f"{model_paths.version(self._model, number)}/{TEST_FILE}"
            try:
                fields: dict[str, Any] = from_json_bytes(self._store.read(path), where=path)
            except NotFound:
                continue
            return TestScore(**fields)
        return None

    def _tested(self, number: int, state: ModelState) -> TestScore:
        """The candidate's score on the test images, durable before it is returned (invariant I9)."""
        test = self.recorded_test([version.number for version in state.versions_of(self._candidate.sha256)])
        if test is None:
            test = self._workshop.test_score(self._exported())
        write_file(self._store, f"{model_paths.version(self._model, number)}/{TEST_FILE}", _test_bytes(test))
        return test

    def _exported(self) -> Mapping[str, bytes]:
        if self._files is None:
            row = self._candidate.artifact_row
            kept = artifacts.load(self._store, row.sweep, row.key, sha256=row.artifact_sha256)
            self._files = self._workshop.export(self._candidate, kept)
        return self._files


def _test_bytes(test: TestScore) -> bytes:
    return to_json_bytes(asdict(test))
