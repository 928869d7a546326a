"""Column of a table that holds its images: encoded pictures, or numbers in lists, nested or not."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from vae_search.core.text import did_you_mean, first_few, printable
from vae_search.data.formats.conversions import in_command
from vae_search.data.formats.roles import names_no_images
from vae_search.errors import BadData

USUAL_NAMES = ("image", "img")
MOST_DEPTH = 3  # lists in lists: rows, columns, channels
MOST_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageColumn:
    """Column of images.

    Args:
        depth: lists around each number; 0 for encoded pictures.
        is_listed: each row is a list of pictures, of which there must be one.
        shape: of each image, where the type says it; else empty.
    """

    name: str
    depth: int
    is_listed: bool = False
    shape: tuple[int, ...] = ()


def choose_column(schema: pa.Schema, *, column: str | None, where: str) -> ImageColumn:
    """Choose the column that holds images.

    Args:
        column: the one that the spec names, if it does.

    Raises:
        BadData: No column can hold images, or several can and nothing says which does.
    """
    found = {field.name: image for field in schema if (image := _image_column(field)) is not None}
    if column is not None:
        if column not in schema.names:
            hint = did_you_mean(column, schema.names)
            raise BadData(f"{where}: data.column is {printable(column)}, but there is no such column. {hint}")
        if column not in found:
            kind = printable(str(schema.field(column).type))
            law = "data.column must hold encoded pictures or lists of pixels"
            raise BadData(f"{where}: {law}, but {printable(column)} holds {kind}.")
        return found[column]
    fitting = [*found]
    simple = [name for name, image in found.items() if image.depth <= 1 and not image.is_listed]
    likely = [name for name in fitting if not names_no_images(name)]
    named = [name for name in fitting if name.lower() in USUAL_NAMES]
    for choice in (named, simple, fitting, likely):
        if len(choice) == 1:
            return found[choice[0]]
    if fitting:
        raise BadData(
            f"{where}: one column must hold the images, but {len(fitting)} may: {first_few(fitting, MOST_SHOWN)}.\n"
            f"Say which: data.column: {printable(fitting[0])}"
        )
    raise BadData(_nothing(schema, where))


def pixel_names(names: Sequence[str], schema: pa.Schema) -> list[str]:
    """Columns that may be a pixel each: numbers, not called anything else."""
    return [name for name in names if _is_number(schema.field(name).type) and not names_no_images(name)]


def _nothing(schema: pa.Schema, where: str) -> str:
    for field in schema:
        if pa.types.is_struct(field.type) and field.type.get_field_index("path") >= 0:
            file, name = in_command(where.rpartition("/")[2]), in_command(field.name, "COLUMN")
            return (
                f"{where}: column {name} names files, which are not followed. Give their folder instead, or put them "
                f"in:\npython -c \"import pandas; t = pandas.read_parquet('{file}'); t['{name}'] = [open(i['path'], "
                f"'rb').read() for i in t['{name}']]; t.to_parquet('new.parquet')\""
            )
    columns = [f"{field.name} ({field.type})" for field in schema]
    return (
        f"{where}: a column must hold encoded pictures or lists of pixels, but none does: "
        f"{printable(first_few(columns, MOST_SHOWN), 300)}.\nSave the images as a .npy file, (count, height, width)."
    )


def _image_column(field: pa.Field) -> ImageColumn | None:
    kind, shape = field.type, ()
    if isinstance(kind, pa.FixedShapeTensorType):
        kind, shape = kind.storage_type, tuple(kind.shape)
    elif isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if _holds_pictures(kind):
        return ImageColumn(name=field.name, depth=0)
    if _is_list(kind) and _holds_pictures(kind.value_type):
        return ImageColumn(name=field.name, depth=0, is_listed=True)
    depth = 0
    while _is_list(kind):
        kind, depth = kind.value_type, depth + 1
    if 0 < depth <= MOST_DEPTH and _is_number(kind):
        return ImageColumn(name=field.name, depth=depth, shape=shape)
    return None


def _holds_pictures(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_pictures(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
