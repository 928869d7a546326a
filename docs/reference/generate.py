"""Reference pages, generated from the code when the manual is built: they cannot disagree with it.

MkDocs calls `on_files` (mkdocs.yml, `hooks`) and gets pages that exist in memory alone.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import click
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from vae_search import api, errors
from vae_search.cli.app import app
from vae_search.server.app import create_app
from vae_search.server.problems import STATUSES
from vae_search.server.service import Options
from vae_search.spec.hyperparameters import RULES, Config, Rule
from vae_search.spec.networks.plugins import installed_families
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.ledger.rows import EpochRow, TrialRow
from vae_search.store.queries import sql_views
from vae_search.store.queries.sql_views import SCHEMAS

# What Python calls a type, and what a writer of YAML calls it.
WORDS = (
    (r"Annotated\[(\w+), .*?\)\]", r"\1"),
    (r"Union\[(.*), (.*)\]", r"\1 or \2"),
    (r"tuple\[dict\[.*", "list of mappings"),
    (r"dict\[str, .*\]", "mapping"),
    (r"tuple\[float, float\]", "[number, number]"),
    (r"tuple\[(.*), \.\.\.\]", r"list of \1"),
    (r"\b(SearchSpace|Promote|Pruning)\b", "mapping"),
    (r"\bstr\b", "text"),
    (r"\bint\b", "whole number"),
    (r"\bfloat\b", "number"),
)
GENERATED = "This page is generated from the code.\n"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages; the names are those in the navigation of mkdocs.yml."""
    for name, page in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    architecture = (Path(config.config_file_path).parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    inside = architecture.replace("](docs/development/", "](").replace("(decisions)", "(decisions/index.md)")
    files.append(File.generated(config, "development/architecture.md", content=inside))
    return files


def spec_page() -> str:
    """Every key of a spec with its type, default and meaning, and every parameter of a search space."""
    lines = [
        "# Spec",
        GENERATED,
        "`vae-search init` writes a commented spec, `vae-search schema` prints the JSON Schema for an editor.",
        "Unknown keys are refused; all mistakes are told at once, with their lines.",
        "",
        "## Keys",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
        *(_row(f"`{key}`", kind, default, meaning) for key, kind, default, meaning in _spec_keys(SweepSpec)),
        "",
        "## Families of networks",
        "Those that were installed when this page was built; [others](../guides/own_networks.md) come by entry points.",
        "",
        "| `architecture` | encoder; the decoder is its mirror image | parameters of its own |",
        "|---|---|---|",
        *(
            _row(f"`{name}`", family.meaning, ", ".join(f"`{each}`" for each in family.parameters) or "–")
            for name, family in installed_families().items()
        ),
        "",
        "## Parameters of `search_space`",
        "A parameter is a value, a range (`low`, `high`, both included; `log`, `step`), `choices`, or a list of",
        "alternatives, each with its own `when`. What is not named keeps its default.",
        "",
        "| parameter | limits | default | meaning |",
        "|---|---|---|---|",
        *(
            _row(f"`{name}`", _limits(rule), f"`{getattr(Config(), name)}`", rule.meaning)
            for name, rule in RULES.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Every command with its arguments and options."""
    group = typer.main.get_command(app)
    lines = ["# Commands", GENERATED, "`--help` of a command prints the same.", ""]
    context = click.Context(group, info_name="vae-search")  # type: ignore[arg-type]  # Typer vendors its own click
    for name in group.list_commands(context):  # type: ignore[attr-defined]
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        if command.hidden:
            continue
        if isinstance(command, typer.core.TyperGroup):
            lines += [f"## {name}", _plain((command.help or "").partition("Example: ")[0]), ""]
            for below, each in command.commands.items():
                lines += _command_lines(f"{name} {below}", each, level="###")
            continue
        lines += _command_lines(name, command)
    return "\n".join(lines)


def _command_lines(name: str, command: click.Command, *, level: str = "##") -> list[str]:
    text, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
    lines = [f"{level} {name}", _plain(text)]
    if example:
        lines += ["", "```sh", example.strip(), "```"]
    lines += ["", "| argument or option | meaning |", "|---|---|"] if command.params else []
    for parameter in command.params:
        names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = f"`{parameter.metavar or str(parameter.name).upper()}`"
        lines.append(_row(names, _plain(getattr(parameter, "help", None) or "")))
    return [*lines, ""]


def python_page() -> str:
    """The functions of the Python API with their signatures and docstrings."""
    lines = ["# Python API", GENERATED, inspect.cleandoc(api.__doc__ or "").partition("\n")[0], ""]
    for name in ("run", "resume", "fork", "best", "query", "report", "load_model", "SweepResult"):
        item = getattr(api, name)
        signature = _short_names(str(inspect.signature(item))).replace("'", "")
        lines += [f"## {name}", "```python", f"vae_search.{name}{signature}", "```", "", *_docstring(item), ""]
    return "\n".join(lines)


def tables_page() -> str:
    """Every table that SQL can see, and every column of the ledger's rows with its meaning."""
    lines = [
        "# Tables and columns",
        GENERATED,
        "One finished trial is one row in one Parquet file. NULL means that a column does not apply.",
        "NaN is never a value.",
        "`vae-search query` and `vae_search.query` see these tables.",
        "",
    ]
    meanings = {"trials": _comments(TrialRow), "epochs": _comments(EpochRow)}
    meanings["finalists"] = {**_comments(TrialRow), **_comments(ConfirmRow)}
    meanings["front"] = {**_schema_comments(sql_views), **_comments(TrialRow)}
    for table, schema in SCHEMAS.items():
        known = meanings.get(table) or {**_comments(TrialRow), **_schema_comments(sql_views)}
        lines += [f"## {table}", "| column | type | meaning |", "|---|---|---|"]
        for field in schema:
            meaning = known.get(field.name) or _parameter_meaning(field.name)
            lines.append(_row(f"`{field.name}`", str(field.type), meaning))
        lines.append("")
    return "\n".join(lines)


def exit_codes_page() -> str:
    """Every exit code with the errors behind it."""
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    lines = [
        "# Exit codes and environment",
        GENERATED,
        "Errors are one to three lines on standard error; of a spec, eight mistakes and the count of the others. "
        "`--debug` shows the traceback, `--version` the version.",
        "",
        "| code | error | meaning |",
        "|---|---|---|",
        "| 0 | – | Done. |",
        *(
            _row(str(kind.exit_code), f"`{kind.__name__}`", (kind.__doc__ or "").partition("\n")[0])
            for kind in sorted(kinds, key=lambda kind: kind.exit_code)
            if kind is not errors.VaeSearchError
        ),
        "| 1 | any other | A bug of ours. |",
        "",
        "## Environment",
        "| variable | meaning |",
        "|---|---|",
        "| `VAE_SEARCH_STORE` | Folder, `s3://bucket/prefix` or `gs://bucket/prefix`; default `./vae-store`. |",
        "| `VAE_SEARCH_DEBUG` | Show tracebacks, as `--debug` does. |",
        "| `XDG_CACHE_HOME` | Downloads are kept in its folder `vae-search`; default `~/.cache`. |",
        "| `KERAS_HOME` | MNIST and Fashion-MNIST are looked for in its folder `datasets` first; default `~/.keras`. |",
        "| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` | "
        "Access to a bucket; never written anywhere. |",
        "| `GOOGLE_APPLICATION_CREDENTIALS` | Access to a bucket of Google's; never written anywhere. |",
        "| `RAY_AUTH_TOKEN`, `RAY_AUTH_TOKEN_PATH` | Token of a cluster; else `~/.ray/auth_token`. |",
    ]
    return "\n".join(lines) + "\n"


def http_page() -> str:
    """Every operation of the HTTP API, from its OpenAPI document."""
    store = LocalStore(Path("vae-store"))
    document = create_app(Options(store=store, location=store.location)).openapi()
    lines = [
        "# HTTP API",
        GENERATED,
        "`GET /openapi.json` of a running service is the OpenAPI 3.1 document, with examples. Errors are problem",
        "documents (RFC 9457); `exit_code` is that of the command, `errors` has every mistake of a spec with its line.",
        "",
        "## Operations",
        "| operation | role | what it does |",
        "|---|---|---|",
    ]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            lines.append(_row(f"`{method.upper()} {path}`", operation["x-role"], operation["description"]))
    lines += ["", "## Errors", "| error | status | exit code |", "|---|---|---|"]
    lines += [_row(f"`{kind.__name__}`", f"{status:d}", f"{kind.exit_code}") for kind, status in STATUSES.items()]
    return "\n".join(lines) + "\n"


def _spec_keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and meaning of each field, those of nested parts in their place."""
    for name, field in model.model_fields.items():
        nested = [kind for kind in (field.annotation, *_arguments(field.annotation)) if _is_part(kind)]
        own = (f"{prefix}{field.alias or name}", _kind(field), _default(field), field.description or "")
        if not nested or field.description:
            yield own
        for part in nested:
            yield from _spec_keys(part, f"{prefix}{name}.")


def _arguments(annotation: object) -> tuple[object, ...]:
    return tuple(getattr(annotation, "__args__", ()))


def _is_part(kind: object) -> bool:
    return inspect.isclass(kind) and issubclass(kind, BaseModel)


def _kind(field: FieldInfo) -> str:
    text = str(field.annotation) if _arguments(field.annotation) else getattr(field.annotation, "__name__", "")
    text = re.sub(r"typing\.Literal\[(.*?)\]", lambda match: match[1].replace("'", "").replace(", ", " or "), text)
    text = _short_names(text).replace(" | None", "")
    for python, plain in WORDS:
        text = re.sub(python, plain, text)
    return text.replace(" | ", " or ")


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "–"
    if value is PydanticUndefined:
        return "see meaning"
    return "none" if value is None or value in ((), {}) else f"`{value}`"


def _limits(rule: Rule) -> str:
    if rule.choices:
        return ", ".join(f"`{choice}`" for choice in rule.choices)
    return f"{'above ' if rule.above_low else ''}{rule.low:g} to {rule.high:g}"


def _comments(row: type) -> dict[str, str]:
    """The comment beside each field of a row class."""
    found = re.findall(r"^    (\w+): .*?  # (.+)$", inspect.getsource(row), re.MULTILINE)
    return {name: meaning for name, meaning in found if name in {field.name for field in fields(row)}}


def _schema_comments(module: ModuleType) -> dict[str, str]:
    """The comment beside each column of a schema that is spelled out."""
    return dict(re.findall(r'^        \("(\w+)", .*?\),  # (.+)$', inspect.getsource(module), re.MULTILINE))


def _parameter_meaning(column: str) -> str:
    if column == "params_json":
        return "the active parameters as JSON"
    rule = RULES.get(column.removeprefix("param_"))
    return f"{rule.meaning}; NULL where it is not active" if rule is not None else ""


def _docstring(item: object) -> Iterator[str]:
    """A docstring as Markdown: its sections as bold words, their entries as lists."""
    for line in inspect.cleandoc(item.__doc__ or "").splitlines():
        section = re.fullmatch(r"(Args|Returns|Raises):", line)
        entry = re.match(r"    (\w+): (.*)", line)
        if section:
            yield f"\n**{section[1]}**\n"
        elif entry:
            yield f"- `{entry[1]}`: {entry[2]}"
        else:
            yield line if not line.startswith("    ") else f"  {line.strip()}"


def _short_names(text: str) -> str:
    """Types without the modules that they come from: `pathlib.Path` as `Path`."""
    return re.sub(r"\b(?:[a-z_]\w*\.)+([A-Z]\w*)", r"\1", text)


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    return " ".join(text.replace("\\[", "[").split())


PAGES: dict[str, Callable[[], str]] = {
    "spec": spec_page,
    "commands": commands_page,
    "python": python_page,
    "tables": tables_page,
    "exit_codes": exit_codes_page,
    "http": http_page,
}
