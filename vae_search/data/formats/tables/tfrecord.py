"""Images in TFRecord files of `tf.train.Example`, without TensorFlow.

Framing: https://www.tensorflow.org/tutorials/load_data/tfrecord (length, checksum, content, checksum; checksums are not
compared: a damaged picture is noticed when it is decoded). An Example is a protocol buffer of three levels; the wire
format is https://protobuf.dev/programming-guides/encoding.
"""

import gzip
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from vae_search.core.text import first_few, printable
from vae_search.data.formats.arrays.naming import flat_shape
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.pictures.decoding import decode_parts
from vae_search.data.formats.pictures.encoded_images import Encoded, PictureSet
from vae_search.data.formats.roles import Role
from vae_search.data.formats.safe_reading import Readable, place, reading
from vae_search.data.image_checks import refuse_too_large
from vae_search.errors import BadData

MOST_RECORD_BYTES = 2**27
USUAL = ("image/encoded", "image", "image_raw", "img", "jpeg", "png", "encoded", "image/image", "x")
SIDES = (("height", "width"), ("image/height", "image/width"), ("rows", "cols"))
DEPTHS = ("depth", "channels", "image/channels", "image/depth")
# How the encoded formats begin.
MARKS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"P5", b"P6")
LEAST_FLOAT, MOST_FLOAT = 1e-6, 1e5  # sizes of pixels as floats, in [0, 1], standardised, or 0 … 255
AS_ARRAY = (
    "Save the images as a .npy file: numpy.save('x.npy', numpy.stack([...]))  # (count, height, width), read with the "
    "program that wrote them"
)

Feature = bytes | list[int]


def is_tfrecord(name: str) -> bool:
    """True if a file's name says so: `x.tfrecord`, `x.tfrecords.gz`, `mnist-train.tfrecord-00000-of-00001`."""
    return ".tfrecord" in name.lower()


def read_tfrecords(parts: Mapping[Role, Sequence[Path]], choices: Choices, *, where: str) -> Found:
    """The images of TFRecord files, by part.

    Raises:
        BadData: Records are no Examples, none or several of their features may be the image, or a file is damaged.
    """
    first = next(iter(parts.values()))[0]
    example = next(_examples(first), None)
    if example is None:
        raise BadData(f"{place(first)}: there must be images, but it holds no record.")
    name = _image_feature(example, choices, where)
    notes = (f"Read from the feature {printable(name)}.",)
    value = example[name]
    if isinstance(value, bytes) and value.startswith(MARKS):
        sets = {
            role: PictureSet(
                where=where,
                count=sum(1 for path in paths for _ in _records(path)),
                each=partial(_pictures, paths, name),
            )
            for role, paths in parts.items()
        }
        decoded = decode_parts(sets, choices)
        return Found.of(decoded.images, notes=(*notes, *decoded.notes))
    shape = _shape(example, value, name, where)
    images = {role: _raw(paths, name, shape) for role, paths in parts.items()}
    return Found.of(images, notes=notes)


def _pictures(paths: Sequence[Path], name: str) -> Iterator[Encoded]:
    for path in paths:
        for number, example in enumerate(_examples(path)):
            value = example.get(name)
            yield f"{place(path)}: record {number}", value if isinstance(value, bytes) else b""


def _raw(paths: Sequence[Path], name: str, shape: tuple[int, int, int]) -> np.ndarray:
    size, images = int(np.prod(shape)), []
    for path in paths:
        for number, example in enumerate(_examples(path)):
            value = example.get(name, b"")
            pixels = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.array(value)
            if pixels.size != size or pixels.min() < 0 or pixels.max() > 255:
                raise BadData(
                    f"{place(path)}: record {number} must hold {size:,} bytes of pixels, as the first does, but it "
                    f"holds {pixels.size:,} values."
                )
            images.append(pixels.astype(np.uint8).reshape(shape))
            refuse_too_large((len(images), *shape), 1, where=place(path))
    return np.stack(images)


def _image_feature(example: Mapping[str, Feature], choices: Choices, where: str) -> str:
    if choices.column is not None:
        if choices.column not in example:
            raise BadData(
                f"{where}: data.column is {printable(choices.column)}, but records have the features "
                f"{first_few([*example], 8)}."
            )
        return choices.column
    encoded = [name for name, value in example.items() if isinstance(value, bytes) and value.startswith(MARKS)]
    usual = [name for name in USUAL if name in example]
    for found in (encoded, usual[:1]):
        if len(found) == 1:
            return found[0]
    both = [name for name in usual if name in encoded]
    if both:
        return both[0]
    raise BadData(
        f"{where}: one feature must hold the images, but which is not clear: {first_few([*example], 8)}.\n"
        f"Say which: data.column: {printable((encoded or [*example])[0])}"
    )


def _shape(example: Mapping[str, Feature], value: Feature, name: str, where: str) -> tuple[int, int, int]:
    """(height, width, channels) of raw pixels: said by other features, or square."""
    size = len(value)
    for names in SIDES:
        sides = [example.get(side) for side in names]
        if all(isinstance(side, list) and len(side) == 1 and side[0] > 0 for side in sides):
            height, width = (side[0] for side in sides if isinstance(side, list))
            if size in (height * width, 3 * height * width):
                return height, width, size // (height * width)
            raise BadData(
                f"{where}: feature {printable(name)} must hold 1 or 3 bytes for each of {height}×{width} pixels, but "
                f"it holds {size:,}{_wide_words(size, height * width)}.\n{AS_ARRAY}"
            )
    shape = flat_shape(size)
    if shape is not None and (kind := _may_be_wide(value)):
        height, width, _ = shape
        raise BadData(
            f"{where}: feature {printable(name)} must hold bytes of pixels, but its {size:,} may be {kind} of "
            f"{height // 2}×{width // 2} pixels, or bytes of {height}×{width}.\n{AS_ARRAY}"
        )
    if shape is None:
        raise BadData(
            f"{where}: feature {printable(name)} must hold an encoded picture, or pixels of a size that the features "
            f"height and width say, but it holds {size:,} values."
        )
    return shape


def _wide_words(size: int, pixels: int) -> str:
    kinds = {4: "float32 or RGBA", 12: "float32 in colour", 2: "16-bit numbers", 8: "float64"}
    return f", as of {kinds[size // pixels]}" if size % pixels == 0 and size // pixels in kinds else ""


def _may_be_wide(value: Feature) -> str:
    """Kind of the pixels of 4 values each that these may be, of a square of half the side; empty if they are bytes.

    Bytes of pixels hardly ever make floats that are all 0 or of a usual size, and no column in four is of one value.
    """
    if len(value) % 4:
        return ""
    if isinstance(value, bytes):
        floats = np.abs(np.frombuffer(value, "<f4").astype(np.float64))
        if ((floats == 0) | ((floats >= LEAST_FLOAT) & (floats <= MOST_FLOAT))).all():
            return "float32"
    alpha = value[3::4]
    return "RGBA" if alpha[0] and all(one == alpha[0] for one in alpha) else ""


def _examples(path: Path) -> Iterator[dict[str, Feature]]:
    for record in _records(path):
        try:
            yield _example(record)
        except (IndexError, KeyError, ValueError, UnicodeDecodeError, struct.error) as error:
            raise BadData(
                f"{place(path)}: its records must be of tf.train.Example, but they are not. Save the images as a .npy "
                "file:\nnumpy.save('x.npy', numpy.stack([...]))  # (count, height, width), read with the program that "
                "wrote them"
            ) from error


def _records(path: Path) -> Iterator[bytes]:
    where = place(path)
    with reading(where), path.open("rb") as plain:
        is_packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        stream: Readable = gzip.GzipFile(fileobj=plain) if is_packed else plain
        while header := stream.read(12):
            if len(header) < 12:
                raise BadData(f"{where}: must be complete, but it ends within a record. Get it again.")
            (length,) = struct.unpack("<Q", header[:8])
            if length > MOST_RECORD_BYTES:
                raise BadData(
                    f"{where}: must hold TFRecords of at most {MOST_RECORD_BYTES >> 20} MiB, but it does not."
                )
            content = stream.read(length)
            if len(content) < length or len(stream.read(4)) < 4:
                raise BadData(f"{where}: must be complete, but it ends within a record. Get it again.")
            yield content


def _example(record: bytes) -> dict[str, Feature]:
    """Features of an Example: Example.features = 1, Features.feature = 1 (a map of key = 1, value = 2)."""
    found: dict[str, Feature] = {}
    for _, features in _fields(record, {1}):
        for _, entry in _fields(features, {1}):
            pair = dict(_fields(entry, {1, 2}))
            found[pair[1].decode()] = _feature(pair.get(2, b""))
    if not found:
        raise ValueError("no features")
    return found


def _feature(content: bytes) -> Feature:
    """The first bytes of a bytes_list (1), the numbers of an int64_list (3); a float_list (2) as nothing."""
    for kind, values in _fields(content, {1, 2, 3}):
        if kind == 1:
            return next((value for _, value in _fields(values, {1})), b"")
        if kind == 3:
            return _numbers(values)
    return []


def _numbers(values: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(values):
        tag, at = _varint(values, at)
        if tag == 0x0A:  # packed
            length, at = _varint(values, at)
            end = at + length
            while at < end:
                number, at = _varint(values, at)
                numbers.append(number)
        elif tag == 0x08:
            number, at = _varint(values, at)
            numbers.append(number)
        else:
            raise ValueError("no int64_list")
    return numbers


def _fields(content: bytes, known: set[int]) -> Iterator[tuple[int, bytes]]:
    """Fields of a message that are bytes, texts or messages, of which all numbers must be known."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        length, at = _varint(content, at)
        if tag & 7 != 2 or tag >> 3 not in known or at + length > len(content):
            raise ValueError("no such message")
        yield tag >> 3, content[at : at + length]
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("no number")
