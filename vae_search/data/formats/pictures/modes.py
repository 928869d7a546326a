"""One opened picture to pixels: modes, transparency, orientation."""

import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps

from vae_search.data.formats.conversions import pages_conversion
from vae_search.data.formats.pictures.fitting import resize_advice
from vae_search.data.image_checks import LARGEST
from vae_search.errors import BadData

GREY_MODES = ("1", "L", "LA", "La")
COLOUR_MODES = ("RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
PALETTE_MODES = ("P", "PA")
DEEP_MODES = ("I", "F")  # these, and those that begin with I;16
# What Pillow's decoders raise for damaged files, beside OSError.
DAMAGED = (SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
TURNED = range(2, 9)  # EXIF orientations of pictures that do not lie as they are to be seen
LYING = range(5, 9)  # of these, height is width
MOST_PIXELS = 2**27  # of a picture that is brought to another size
BRIGHT = 64  # on black; what is darker can hardly be seen there

Ground = Literal["white", "black"]
GROUND_VALUE = {"white": 255, "black": 0}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """Pixels of a picture.

    Args:
        values: (height, width, channels); uint8 with 1 or 3 channels, or uint16, int32 or float32 with one.
        is_turned: it was set upright, or mirrored.
        visible: pixels that are not transparent, of a picture that has transparent ones; else 0.
        bright: of these, those that could be seen on black.
    """

    values: np.ndarray
    is_turned: bool
    visible: int = 0
    bright: int = 0


def pixels_of(picture: Image.Image, *, ground: Ground, is_resized: bool, where: str) -> Pixels:
    """Pixels of an opened picture, set upright; what is transparent lies on `ground`.

    Args:
        is_resized: it will be brought to another size, so that it may have any.

    Raises:
        BadData: It is too large, moves, or has pixels whose meaning is not clear.
    """
    width, height = picture.size
    if max(picture.size) > LARGEST and not is_resized:
        raise BadData(
            f"{where}: must be at most {LARGEST} pixels high and wide, but it is {height}×{width}.\n"
            f"{resize_advice(height, width)}"
        )
    if width * height > MOST_PIXELS:
        raise BadData(f"{where}: must have at most {MOST_PIXELS:,} pixels, but it has {width * height:,}. Remove it.")
    if getattr(picture, "is_animated", False) and picture.format != "MPO":  # of a camera: the others are previews
        file = getattr(picture, "filename", "")  # empty for one in an archive
        command = f"\nRun this in its folder, and give the new one, pages:\n{pages_conversion(file)}" if file else ""
        raise BadData(f"{where}: must be one picture, but it holds several. Save one file for each.{command}")
    is_deep = picture.mode in DEEP_MODES or picture.mode.startswith("I;16")
    if not is_deep and picture.mode not in (*GREY_MODES, *COLOUR_MODES, *PALETTE_MODES):
        raise BadData(f"{where}: its mode is {picture.mode}, which is not read. Save all pictures as PNG of 8 bits.")
    orientation = _orientation(picture)
    is_turned = orientation in TURNED
    # Pillow 13 mixes up the rows of these; it reads every other TIFF upright by itself.
    if picture.format == "TIFF" and orientation in LYING and picture.info.get("compression") == "raw":
        raise BadData(
            f"{where}: a TIFF that is not compressed must not be turned by its orientation, but this is.\n"
            "Save the pictures upright, or compressed."
        )
    if is_turned:
        ImageOps.exif_transpose(picture, in_place=True)
    if is_deep:
        return Pixels(values=_deep(picture), is_turned=is_turned)
    visible = bright = 0
    if picture.has_transparency_data:
        full = picture.convert("RGBA")
        colour = np.asarray(Image.alpha_composite(Image.new("RGBA", full.size, (0, 0, 0, 255)), full))[..., :3]
        seen = np.asarray(full)[..., 3] > 0
        visible, bright = int(seen.sum()), int((colour[seen].max(axis=-1, initial=0) >= BRIGHT).sum())
        if ground == "white":
            white = Image.new("RGBA", full.size, (255, 255, 255, 255))
            colour = np.asarray(Image.alpha_composite(white, full))[..., :3]
    else:
        colour = np.asarray(picture.convert("RGB"))
    # A palette is colour only if colours are used; the modes of the others say what they are.
    is_grey = picture.mode in GREY_MODES or (picture.mode in PALETTE_MODES and bool((colour == colour[..., :1]).all()))
    values = colour[..., :1] if is_grey else colour
    return Pixels(values=values, is_turned=is_turned, visible=visible, bright=bright)


def _deep(picture: Image.Image) -> np.ndarray:
    """(height, width, 1) uint16 if all values fit, else int32 or float32."""
    values = np.asarray(picture)
    if values.dtype.kind in "iu" and values.min(initial=0) >= 0 and values.max(initial=0) < 1 << 16:
        values = values.astype(np.uint16)
    return values[..., None]


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, from 1 to 8; 1 as well if the metadata are damaged, as viewers have it."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, *DAMAGED):
        return 1
