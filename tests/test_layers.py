"""The import rules of ARCHITECTURE.md, as a test."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vae_search"
WORDS = {"config", "errors", "problems", "space", "space_checks", "spec", "states"} | {
    f"spec_{part}" for part in ("best", "fields", "file", "parts", "space", "wording", "yaml")
}
DATA = WORDS | {"data"}
# What each file or folder may import: our own names first, then libraries; the standard library is free. A file without
# an entry of its own takes its folder's; one with neither is a KeyError.
MAY_IMPORT = {
    "__init__": {"asking", "asking_sql", "champions", "cli_options", "exports", "live", "reporting"}
    | {"service", "spec", "store", "vae", "pandas"},
    "__main__": {"cli"},
    "config": WORDS,
    "errors": set(),
    "problems": WORDS,
    "space": WORDS,
    "space_checks": WORDS,
    "spec": WORDS | {"pydantic"},
    "spec_best": WORDS | {"ruamel"},
    "spec_fields": WORDS | {"pydantic"},
    "spec_file": WORDS | {"ruamel"},
    "spec_parts": WORDS | {"pydantic"},
    "spec_space": WORDS | {"pydantic"},
    "spec_wording": WORDS | {"pydantic", "pydantic_core"},
    "spec_yaml": WORDS | {"ruamel"},
    "states": set(),
    "template": set(),
    "data": DATA | {"numpy", "PIL", "pyarrow", "sklearn", "filelock"},
    "store": DATA | {"store", "pyarrow", "duckdb"},
    "store/per_image": DATA | {"store", "numpy", "pyarrow"},
    "store/object_store": DATA | {"store", "obstore"},
    "vae": DATA | {"vae", "numpy", "tensorflow", "keras", "h5py", "PIL"},
    "search": DATA | {"store", "vae", "search", "numpy", "optuna", "ray"},
    "search/jobs": DATA | {"store", "search", "ray", "requests", "aiohttp", "vae_search"},
    "search/dashboard": DATA | {"store", "search", "optuna", "optuna_dashboard"},
    "registry": DATA | {"store", "registry", "numpy", "scipy"},
    "reports": DATA | {"store", "registry", "reports", "numpy"},
    "reports/figures": {"store", "reports", "plotly"},
    "reports/plots_search": DATA | {"store", "reports", "plotly"},
    "reports/plots_front": DATA | {"store", "reports", "plotly"},
    "reports/plots_quality": {"store", "reports"},
    "reports/plots_parameters": DATA | {"store", "reports", "plotly"},
    "reports/plots_runs": DATA | {"reports"},
    "reports/page": DATA | {"store", "registry", "reports", "jinja2", "markupsafe", "plotly"},
    "exports/frames": DATA | {"store", "pandas", "pyarrow"},
    "exports/targets": DATA,
    "exports/tensorboard": DATA | {"store", "tensorboardX"},
    "service": DATA | {"store", "vae", "search", "version"},
    "native": set(),
    "workshop": DATA | {"store", "vae", "registry", "numpy"},
    "champions": DATA | {"store", "vae", "registry", "workshop", "native", "numpy"},
    "pictures": DATA | {"store", "vae", "champions", "native", "numpy"},
    "finished": DATA | {"store", "vae", "search", "registry", "native", "pictures"},
    "reporting": DATA | {"store", "search", "registry", "reports", "service", "champions", "pictures"},
    "asking": DATA | {"store", "registry"},
    "asking_sql": {"store", "registry", "pyarrow"},
    "comparing": {"errors", "store", "asking"},
    "render_comparison": {"comparing", "render", "render_tables"},
    "completion": {"errors", "store", "typer"},
    "render": DATA | {"store", "search", "service", "render_front", "render_tables", "rich"},
    "render_front": {"store"},
    "render_tables": {"problems", "rich"},
    "render_answers": DATA | {"store", "service", "asking", "render", "render_front", "render_tables"},
    "watch": DATA | {"store", "search", "service", "live", "render", "render_front", "render_tables", "rich"},
    "exporting": DATA | {"store", "search", "exports"},
    "render_models": DATA | {"registry", "champions", "render", "render_tables"},
    "render_store": DATA | {"store", "service", "registry", "finished", "render"},
    "live": DATA | {"store", "search", "render", "render_front", "rich"},
    "cli_options": DATA | {"completion", "typer"},
    "doctor": {"errors", "search", "spec_parts"},
    "checkup": {"errors", "store", "search", "doctor", "spec_parts"},
    "render_doctor": {"errors", "doctor", "render"},
    "cli_doctor": {"completion", "checkup", "render_doctor", "spec_parts", "cli_options", "typer"},
    "cli_models": DATA
    | {"store", "champions", "pictures", "render", "render_models", "completion", "cli_options", "typer"},
    "version": set(),
    "submitting": DATA | {"store", "search", "service"},
    "cli_run": DATA
    | {"store", "search", "service", "champions", "render", "render_answers", "render_models", "live"}
    | {"cli_options", "typer"},
    "cli_cluster": DATA
    | {"store", "search", "submitting", "render", "live", "service", "cli_run", "cli_options", "typer"},
    "cli_ask": DATA
    | {"store", "service", "submitting", "asking", "asking_sql", "watch", "completion", "cli_options", "typer"}
    | {"render", "render_store", "render_answers", "comparing", "render_comparison"},
    "cli_store": DATA
    | {"store", "service", "finished", "render", "render_store", "completion", "cli_options", "typer"},
    "cli_report": DATA | {"store", "reporting", "render", "cli_options", "typer"},
    "cli_export": DATA | {"store", "exporting", "render", "cli_options", "typer"},
    "cli": DATA
    | {
        "render",
        "template",
        "cli_run",
        "cli_cluster",
        "cli_ask",
        "cli_store",
        "cli_models",
        "cli_report",
        "cli_export",
        "cli_doctor",
        "cli_options",
        "typer",
    },
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.stat().st_size > 0)


def imported_names(path: Path) -> set[str]:
    """What `path` imports, anywhere in it: a part of ours ("store") or a library ("ray")."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    parts = [name.split(".") for name in names]
    ours = {part[1] for part in parts if part[0] == PACKAGE.name and len(part) > 1}
    libraries = {part[0] for part in parts} - {PACKAGE.name} - sys.stdlib_module_names
    return ours | libraries


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_it_may(path: Path):
    name = path.relative_to(PACKAGE).with_suffix("").as_posix()
    allowed = MAY_IMPORT[name] if name in MAY_IMPORT else MAY_IMPORT[name.split("/")[0]]

    assert imported_names(path) <= allowed


def test_the_rule_notices_an_import_against_it(tmp_path):
    offender = tmp_path / "ledger.py"
    offender.write_text("def late():\n    from tensorflow.keras import Model\n    return Model\n")

    assert not imported_names(offender) <= MAY_IMPORT["store"]


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["best", "none"],
        ["watch", "none"],
        ["query", "SELECT count(*) FROM trials"],
        ["status"],
        ["validate", "search_spaces/digits.yaml"],
        ["schema"],
        ["doctor"],
    ],
    ids=lambda command: command[0],
)
def test_light_commands_load_neither_ray_nor_tensorflow(command: list[str], tmp_path):
    code = (
        "import sys\n"
        "from vae_search.cli import main\n"
        f"sys.argv = ['vae-search', *{command!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'ray', 'tensorflow', 'keras', 'optuna', 'sklearn', 'obstore', 'plotly', 'jinja2', 'pandas'}\n"
        "heavy &= set(sys.modules)\n"
        "print('loaded:', *sorted(heavy))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        env={"PATH": "", "HOME": str(tmp_path), "VAE_SEARCH_STORE": str(tmp_path / "store")},
        text=True,
        capture_output=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "loaded:", done.stdout


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys\nbefore = set(sys.modules)\nimport vae_search\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print('loaded:', *sorted(new - sys.stdlib_module_names))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, text=True, capture_output=True, check=True)

    assert done.stdout == "loaded: vae_search\n"
