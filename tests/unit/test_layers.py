"""The import rules of ARCHITECTURE.md, as a test."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "vae_search"
# What each room may import: our own rooms first, then libraries; the standard library, `errors` and `version` are free.
# A row covers the folders in its room, unless they have a row of their own. Heavy libraries have one home each.
MAY_IMPORT = {
    "core": "numpy",
    "spec": "core pydantic pydantic_core ruamel",
    "spec/own_code": "core",
    "data": "core spec filelock numpy PIL pyarrow sklearn h5py scipy",
    "vae/quiet_import": "",
    "vae/networks": "core spec data numpy keras tensorflow",
    "vae/priors": "data vae/networks numpy tensorflow sklearn",
    "vae/objective": "core spec data vae/networks vae/priors numpy tensorflow",
    "vae/training": "core spec data vae/networks vae/objective vae/priors numpy tensorflow",
    "vae/inference": "core spec data vae numpy tensorflow keras h5py PIL",
    "vae/measuring": "core spec data vae numpy keras",
    "store/paths": "",
    "store/backends": "core store/paths obstore",
    "store/logs": "store/paths store/backends",
    "store/leases": "spec store/paths store/backends",
    "store/sweeps": "core spec store/paths store/backends store/leases",
    "store/control": "core spec store/paths store/backends store/leases store/logs store/sweeps",
    "store/ledger": "core spec store/paths store/backends store/leases store/sweeps numpy pyarrow",
    "store/queries": "core spec store duckdb pyarrow",
    "store/maintenance": "core spec store",
    "search": "core spec data store numpy",
    "search/study": "core spec store search optuna optuna_dashboard",
    "search/worker": "core spec data store search vae numpy",
    "runtime": "core spec data store search vae/quiet_import ray requests aiohttp",
    "registry": "core spec store numpy scipy",
    "queue": "core store",
    "server": "core spec store queue services fastapi starlette pydantic uvicorn h11 pyarrow",
    "server/pages": "core spec store queue services server fastapi starlette jinja2",
    "reports": "core spec store registry numpy plotly jinja2 markupsafe",
    "exports": "core spec store pandas pyarrow tensorboardX",
    "access": "core spec store search registry queue services",
    "services": "core spec data vae store search runtime registry queue reports exports numpy pyarrow",
    "display": "core spec store search runtime registry services rich",
    "cli": "core spec store runtime registry services access display server typer",
    "api": "core spec store vae search exports services display pandas",
}
ROOT_MODULES = {"__init__", "__main__", "errors", "version"}  # the first two only re-export; the others import nothing
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.stat().st_size > 0
}


def room_of(module: str) -> str:
    """The row of `MAY_IMPORT` that `module` ("store/ledger/rows") falls under: the longest one that fits."""
    return max((room for room in MAY_IMPORT if f"{module}/".startswith(f"{room}/")), key=len, default=module)


def imported_rooms(path: Path) -> Iterator[str]:
    """Rooms ("store/ledger") and libraries ("ray") that the file imports, at its top or late."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == PACKAGE.name:
                yield room_of("/".join(rest))
            elif first not in sys.stdlib_module_names:
                yield first


def top_level_imports(path: Path) -> Iterator[str]:
    """Modules of ours that are imported when this one is."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE.name}."):
            package = (node.module or "").partition(".")[2].replace(".", "/")
            for alias in node.names:
                yield f"{package}/{alias.name}" if f"{package}/{alias.name}" in MODULES else package


def forbidden_imports(room: str, path: Path) -> set[str]:
    """What the file imports although its room may not."""
    free = {room, "errors", "version", *MAY_IMPORT[room].split()}
    return {name for name in imported_rooms(path) if not any(f"{name}/".startswith(f"{room}/") for room in free)}


@pytest.mark.parametrize("module", [name for name in MODULES if name not in ROOT_MODULES])
def test_a_file_imports_only_what_its_room_may(module: str):
    assert not forbidden_imports(room_of(module), MODULES[module])


@pytest.mark.parametrize(
    ("room", "line", "offence"),
    [("core", "from vae_search.spec.fields import x", "spec"), ("spec", "import ray.tune", "ray")],
)
def test_the_rule_notices_an_import_against_it(room, line, offence, tmp_path):
    offender = tmp_path / "late.py"
    offender.write_text(f"def late():\n    {line}\n")

    assert forbidden_imports(room, offender) == {offence}


def test_light_commands_load_neither_ray_nor_tensorflow(tmp_path):
    """All in one process: what a command loads is found after it, so the first that loads something is named."""
    commands = [
        ["--help"],
        ["best", "none"],
        ["watch", "none"],
        ["query", "SELECT count(*) FROM trials"],
        ["status"],
        ["validate", "search_spaces/digits.yaml"],
        ["schema"],
        ["doctor"],
        ["token", "create", "ada", "--role", "viewer", "--tokens", f"{tmp_path}/tokens.json"],
        ["queue", "add", "search_spaces/digits.yaml"],
        ["queue", "list"],
        ["fork", "none", "new", "--queue"],
        ["queue", "run", "--help"],
        ["serve", "--help"],
    ]
    code = (
        "import sys\n"
        "from vae_search.cli.app import main\n"
        "heavy = {'ray', 'tensorflow', 'keras', 'optuna', 'sklearn', 'obstore', 'plotly', 'jinja2', 'pandas',\n"
        "         'fastapi', 'uvicorn'}\n"
        f"for command in {commands!r}:\n"
        "    sys.argv = ['vae-search', *command]\n"
        "    try:\n        main()\n    except SystemExit:\n        pass\n"
        "    if heavy & set(sys.modules):\n        sys.exit(f'{command} loaded {heavy & set(sys.modules)}')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        env={"PATH": "", "HOME": str(tmp_path), "VAE_SEARCH_STORE": str(tmp_path / "store")},
        text=True,
        capture_output=True,
    )

    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys\nbefore = set(sys.modules)\nimport vae_search\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print('loaded:', *sorted(new - sys.stdlib_module_names))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, text=True, capture_output=True, check=True)

    assert done.stdout == "loaded: vae_search\n"


def test_no_two_modules_import_each_other_in_a_circle():
    graph = {module: set(top_level_imports(path)) for module, path in MODULES.items()}

    order = [*TopologicalSorter(graph).static_order()]  # raises CycleError, which names the circle

    assert set(graph) <= set(order)


def test_rooms_stay_small():
    folders = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.stem != "__init__")

    assert sum(path.suffix == ".py" for path in PACKAGE.iterdir()) <= 6
    assert {folder.name: count for folder, count in folders.items() if count > 12} == {}
