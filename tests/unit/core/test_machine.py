"""What the machine offers, on systems that tell less and in containers that allow less."""

import os
from pathlib import Path

import pytest

from vae_search.core.machine import multiplies_bfloat16, this_machine, usable_cores

GIB = 2**30
DOCKER_V1 = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n"


def write(root: Path, **files: str) -> Path:
    """A made-up file system; `__` stands for a slash, `_DOT_` for a dot."""
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture
def eight_cores(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)


def test_only_cores_that_the_process_may_use_are_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)

    assert this_machine(tmp_path).cores == 3
    assert 1 <= usable_cores() <= 3


def test_without_an_affinity_all_cores_are_counted(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    assert this_machine(tmp_path).cores == 6


def test_a_machine_that_tells_nothing_has_one_core_and_unknown_memory(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)

    machine = this_machine(tmp_path)

    assert (machine.cores, machine.memory_bytes, machine.shared_memory_bytes) == (1, None, None)


@pytest.mark.parametrize(
    ("quota", "cores"), [("50000 100000", 1), ("250000 100000", 2), ("400000 100000", 4), ("max 100000", 8)]
)
def test_the_quota_of_a_container_counts(quota, cores, eight_cores, tmp_path):
    root = write(tmp_path, proc__self__cgroup="0::/\n", sys__fs__cgroup__cpu_DOT_max=f"{quota}\n")

    assert this_machine(root).cores == cores


@pytest.mark.parametrize(("quota", "cores"), [("50000", 1), ("350000", 3), ("-1", 8), ("6400000", 8)])
@pytest.mark.parametrize("below", ["", "docker__abc__"])  # with its own view of /sys, and with the host's
def test_the_quota_of_a_container_counts_in_the_first_version_of_control_groups(
    quota, cores, below, eight_cores, tmp_path
):
    folder = f"sys__fs__cgroup__cpu,cpuacct__{below}"
    files = {f"{folder}cpu_DOT_cfs_quota_us": f"{quota}\n", f"{folder}cpu_DOT_cfs_period_us": "100000\n"}
    root = write(tmp_path, proc__self__cgroup=DOCKER_V1, **files)

    assert this_machine(root).cores == cores


def test_a_group_above_may_allow_less(eight_cores, tmp_path):
    root = write(
        tmp_path,
        proc__self__cgroup="0::/kubepods/pod1/container2\n",
        sys__fs__cgroup__kubepods__pod1__container2__cpu_DOT_max="max 100000\n",
        sys__fs__cgroup__kubepods__pod1__cpu_DOT_max="300000 100000\n",
    )

    machine = this_machine(root)

    assert (machine.cores, machine.quota_cores) == (3, 3.0)


def test_memory_is_what_the_machine_and_the_container_have_left(tmp_path):
    root = write(
        tmp_path,
        proc__meminfo="MemTotal: 33554432 kB\nMemAvailable:   16777216 kB\n",
        proc__self__cgroup="0::/\n",
    )
    assert this_machine(root).memory_bytes == 16 * GIB

    write(
        root,
        sys__fs__cgroup__memory_DOT_max=f"{8 * GIB}\n",
        sys__fs__cgroup__memory_DOT_current=f"{3 * GIB}\n",
        sys__fs__cgroup__memory_DOT_stat=f"anon 5\ninactive_file {GIB}\n",  # pages of files are given back
    )
    assert this_machine(root).memory_bytes == 6 * GIB


def test_memory_is_limited_in_the_first_version_of_control_groups_too(tmp_path):
    root = write(
        tmp_path,
        proc__self__cgroup=DOCKER_V1,
        sys__fs__cgroup__memory__memory_DOT_limit_in_bytes=f"{2 * GIB}\n",
        sys__fs__cgroup__memory__memory_DOT_usage_in_bytes=f"{GIB}\n",
        sys__fs__cgroup__memory__memory_DOT_stat=f"total_inactive_file {GIB // 2}\n",
    )

    assert this_machine(root).memory_bytes == 1.5 * GIB


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor : 0\nflags\t\t: fpu amx_bf16\n", True),
        ("processor : 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor : 0\nmodel name : no avx512_bf16\nflags\t\t: fpu avx512f\n", False),
        ("", None),
    ],
)
def test_products_of_bfloat16_are_among_the_processors_flags(text, expected, tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(text)

    assert multiplies_bfloat16(tmp_path) is expected


def test_files_that_say_nonsense_limit_nothing(eight_cores, tmp_path):
    root = write(
        tmp_path,
        proc__self__cgroup="0::/../..\nnonsense\n",
        sys__fs__cgroup__cpu_DOT_max="0 100000\n",
        sys__fs__cgroup__memory_DOT_max="max\n",
        proc__meminfo="MemAvailable: unknown\n",
    )

    machine = this_machine(root)

    assert (machine.cores, machine.memory_bytes) == (8, None)
