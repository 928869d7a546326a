"""Folders and archives of pictures."""

import io
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from tests.support.people_files.case import Case
from tests.support.people_files.drawings import drawings, encoded, save

FINE = {"quality": 98, "subsampling": 0}  # of a JPEG
GREY, COLOUR = partial(drawings, 200), partial(drawings, 200, 32, 32, 3)


def grey_pixels() -> np.ndarray:
    return GREY()[..., None]


def classes(folder: Path, images: np.ndarray) -> None:
    for number, image in enumerate(images):
        save(folder / ("a" if number < len(images) // 2 else "b") / f"{number:04}.png", image)


def parted(folder: Path, names: tuple[str, ...]) -> Path:
    """Folders of 200, then 40, then 60 pictures, or of 200 and 60."""
    images = drawings(300)
    bounds = (0, 200, 240, 300) if len(names) == 3 else (0, 200, 300)
    for name, first, last in zip(names, bounds, bounds[1:], strict=False):
        classes(folder / "pets" / name, images[first:last])
    return folder / "pets"


def linked(folder: Path, *, outside: bool = False) -> Path:
    root = folder / "half"
    classes(root, GREY())
    (root / "a").rename(folder / "big" if outside else root / ".big")
    (root / "a").symlink_to("../big" if outside else ".big")
    return root


def with_junk(folder: Path) -> Path:
    root = folder / "my photos (2)" / "ünïcode 猫"
    for number, image in enumerate(GREY()):
        save(root / f"bild №{number:03} – kopie.PNG", image)
    for junk in (".DS_Store", "Thumbs.db", "desktop.ini", "._bild №001 – kopie.PNG"):
        (root / junk).write_bytes(b"\0\1junk")
    (root / "readme.txt").write_text("hello")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "._x.png").write_bytes(b"junk")
    return root


def with_masks(folder: Path, image: str, mask: str, *, zipped: bool = False) -> Path:
    """Pictures and a mask of each, by patterns of their paths."""
    members = pictures(GREY(), image) | pictures(np.where(GREY() > 90, 255, 0).astype(np.uint8), mask)
    if zipped:
        return archive(folder / "cells.zip", members)
    for name, content in members.items():
        (folder / "cells" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "cells" / name).write_bytes(content)
    return folder / "cells"


def named_parts(folder: Path) -> Path:
    for number, image in enumerate(GREY()):
        save(folder / "flat" / f"{'test' if number < 50 else 'train'}_{number:04}.png", image)
    return folder / "flat"


def damaged(folder: Path, count: int = 3) -> Path:
    classes(folder / "notMNIST", GREY())
    for number in range(count):
        (folder / "notMNIST" / "a" / f"x{number:02}.png").write_bytes(b"" if number else encoded(GREY()[0])[:60])
    return folder / "notMNIST"


def turned(folder: Path) -> Path:
    for number, image in enumerate(drawings(200, 24, 32, 3)):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6 if number % 2 else 1
        stored = np.ascontiguousarray(np.rot90(image) if number % 2 else image)
        save(folder / "phone" / f"{number:03}.png", Image.fromarray(stored), exif=exif)
    return folder / "phone"


def transparent(folder: Path, mode: str) -> Path:
    """Black ink, of which alpha says where it is."""
    for number, image in enumerate(GREY()):
        alpha = np.where(image > 0, 255, 0).astype(np.uint8)
        black = np.zeros_like(alpha)
        path = folder / mode / f"{number:03}.png"
        if mode == "palette":
            picture = Image.fromarray((alpha > 0).astype(np.uint8), "P")
            picture.putpalette([255, 255, 255, 0, 0, 0])
            save(path, picture, transparency=0)
        elif mode == "grey":
            save(path, Image.merge("LA", (Image.fromarray(black), Image.fromarray(alpha))))
        else:
            ink = np.dstack([black + shade for shade in ((40, 20, 30) if mode == "dark" else (0, 0, 0))])
            save(path, np.dstack([ink.astype(np.uint8), alpha]))
    return folder / mode


def on_white() -> np.ndarray:
    return np.where(grey_pixels() > 0, 0, 255).astype(np.uint8)


def mixed_sizes(folder: Path) -> Path:
    sizes = np.random.default_rng(1).integers(70, 130, (200, 2))
    for number, (image, (height, width)) in enumerate(zip(COLOUR(), sizes, strict=True)):
        save(folder / "scraped" / f"image ({number}).jpg", Image.fromarray(image).resize((width, height)))
    return folder / "scraped"


def moded(folder: Path, kind: str) -> Path:
    """One folder for each way of keeping a picture that people report trouble with."""
    for number, (g, c) in enumerate(zip(drawings(200, 24, 24), drawings(200, 24, 24, 3), strict=True)):
        grey, colour, name = Image.fromarray(g), Image.fromarray(c), f"{kind}/{number:03}"
        match kind:
            case "png16":
                save(folder / f"{name}.png", g.astype(np.uint16) * 257)
            case "tiff16":
                save(folder / f"{name}.tif", g.astype(np.uint16) * 257)
            case "png12":
                save(folder / f"{name}.png", g.astype(np.uint16) * 16)
            case "tiff32f":
                save(folder / f"{name}.tif", (g / 255).astype(np.float32))
            case "tiff255f":
                save(folder / f"{name}.tif", g.astype(np.float32))
            case "cmyk":
                save(folder / f"{name}.tif", colour.convert("CMYK"))
            case "greymix":
                save(folder / f"{name}.png", grey if number % 2 else colour)
            case "bit1":
                save(folder / f"{name}.png", Image.fromarray(g > 90))
            case "mpo":
                preview = colour.resize((12, 12))
                save(folder / f"{name}.jpg", colour, format="MPO", save_all=True, append_images=[preview], **FINE)
            case "jfif":
                save(folder / f"{name}.jfif", colour, format="JPEG", **FINE)
            case "tga":
                save(folder / f"{name}.tga", colour)
            case "webp":
                save(folder / f"{name}.webp", colour, lossless=True)
            case "gif":
                save(folder / f"{name}.gif", grey)
            case "wrong":
                save(folder / f"{name}.jpg", colour, format="PNG")
            case "interlaced":
                (folder / kind).mkdir(exist_ok=True)
                (folder / f"{name}.png").write_bytes(interlaced_png(g))
    return folder / kind


def interlaced_png(image: np.ndarray) -> bytes:
    """A grey PNG of eight bits in Adam7 order, which Pillow reads and does not write."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row for top, left, down, right in passes for row in image[top::down, left::right] if row.size]
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)
    height, width = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def archive(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def pictures(images: np.ndarray, name: str = "images/{:04}.png") -> dict[str, bytes]:
    return {name.format(number): encoded(image) for number, image in enumerate(images)}


def parted_zip(folder: Path) -> Path:
    members = pictures(drawings(200), "pets/train/a/{:04}.png") | pictures(
        drawings(60, seed=2), "pets/test/a/{:04}.png"
    )
    return archive(folder / "pets.zip", dict(sorted(members.items(), reverse=True)))


def webdataset(folder: Path) -> Path:
    """Shards of samples: a picture, and what is known of it, under one name."""
    for shard, part in enumerate((GREY()[:120], GREY()[120:])):
        members = {}
        for number, image in enumerate(part):
            members |= {f"{number:06}.png": encoded(image), f"{number:06}.cls": b"3", f"{number:06}.json": b"{}"}
        archive(folder / "wds" / f"shard-{shard:06}.tar", members)
    return folder / "wds"


def webdataset_parts(folder: Path) -> Path:
    for part, images in (("train-000000", GREY()), ("val-000000", drawings(40, seed=2)), ("test-000000", drawings(60))):
        archive(folder / "wds" / f"{part}.tar", pictures(images, "{:06}.png"))
    return folder / "wds"


CASES = [
    Case(
        name="train val test",
        shape="folders `train/`, `val/`, `test/`, class folders inside or not",
        outcome="the three parts; also `training`, `Train`, `valid`, `dev`, `eval`, `testing`, `test2017` …",
        make=partial(parted, names=("train", "val", "test")),
        parts=(200, 40, 60),
        pixels=lambda: drawings(300)[:240, ..., None],
        said=("train (train), val (validation)",),
    ),
    Case(name="upper case", shape="", make=partial(parted, names=("Train", "Dev", "TEST")), parts=(200, 40, 60)),
    Case(
        name="train and val",
        shape="… only `train/` and `val/`",
        outcome="the test images are drawn from `train/`",
        make=partial(parted, names=("training", "validation")),
        parts=(200, 100, None),
    ),
    Case(
        name="training and testing",
        shape="",
        make=partial(parted, names=("training", "testing")),
        parts=(200, None, 100),
    ),
    Case(
        name="symbolic links",
        shape="class folders that are symbolic links",
        outcome="read, each folder once; those that lead out of the folder only with `data.follow_links: true`",
        make=linked,
        pixels=grey_pixels,
    ),
    Case(
        name="symbolic links that lead out",
        shape="",
        make=partial(linked, outside=True),
        refused="Set data.follow_links: true",
    ),
    Case(
        name="symbolic links that lead out, followed",
        shape="",
        make=partial(linked, outside=True),
        choices={"follow_links": True},
        pixels=grey_pixels,
    ),
    Case(
        name="junk",
        shape="`.DS_Store`, `Thumbs.db`, `._x.png`, `__MACOSX` among pictures",
        outcome="passed over; other files that are no pictures are counted",
        make=with_junk,
        pixels=grey_pixels,
        said=("1 files (1 .txt)",),
    ),
    Case(
        name="masks",
        shape="`masks`, `labels`, `annotations` or `segmentation` beside `images`, or among pictures of the same names;"
        " `a_mask.png` beside `a.png`",
        outcome="masks are left out, and said; in a folder of their own they are read",
        make=partial(with_masks, image="images/{:04}.png", mask="masks/{:04}.png"),
        pixels=grey_pixels,
        said=("Left out, as masks or labels of other pictures by their names: 200 files (first: masks/0000.png)",),
    ),
    *(
        Case(
            name=f"masks as {mask}{' in an archive' if zipped else ''}",
            shape="",
            make=partial(with_masks, image=image, mask=mask, zipped=zipped),
            pixels=grey_pixels,
            said=("200 files (first: ",),
        )
        for image, mask, zipped in (
            ("JPEGImages/{:04}.png", "SegmentationClass/{:04}.png", False),
            ("train_images/{:04}.png", "train_masks/{:04}.png", False),
            ("img_{:03}.png", "img_{:03}_mask.png", False),
            ("benign ({:03}).png", "benign ({:03})_mask_1.png", True),
            ("image_{:03}.png", "mask_{:03}.png", True),
            ("a/Images/{:04}.png", "a/Annotations/b/{:04}.png", True),
            ("{:04}.png", "masks/{:04}.png", False),
            ("cats/{:04}.png", "cats/mask/{:04}_mask.png", True),
        )
    ),
    Case(
        name="a class of masks",
        shape="",
        make=partial(with_masks, image="no mask/{:04}.png", mask="mask/{:04}.png"),
        parts=(400, None, None),
    ),
    Case(
        name="a class of masks among pictures of other names",
        shape="",
        make=partial(with_masks, image="{:04}.png", mask="mask/7{:04}.png"),
        parts=(400, None, None),
    ),
    Case(
        name="names of parts",
        shape="`train_1.png`, `test_1.png` … in one folder",
        outcome="pooled, and said with the folders to sort them into",
        make=named_parts,
        said=("Names such as test_0000.png and train_0050.png were not read as parts: all pictures are pooled",),
    ),
    Case(
        name="damaged",
        shape="a few damaged pictures among thousands",
        outcome="refused, at most eight of them named; left out with `data.skip_damaged: true`, and said",
        make=damaged,
        refused="3 of 203 pictures cannot be decoded: a/x00.png, a/x01.png, a/x02.png.",
    ),
    Case(
        name="damaged, skipped",
        shape="",
        make=damaged,
        choices={"skip_damaged": True},
        pixels=grey_pixels,
        said=("Left out as damaged: 3 of 203 pictures",),
    ),
    Case(
        name="orientation",
        shape="photographs that EXIF says are turned",
        outcome="set upright, and said",
        make=turned,
        shape_of=(24, 32, 3),
        pixels=lambda: drawings(200, 24, 32, 3),
        said=("Set upright",),
    ),
    Case(
        name="transparent",
        shape="black drawings on a transparent ground: RGBA, grey with alpha, palette",
        outcome="laid on white if next to nothing would be seen on black, else on black; or `data.background`; said",
        make=partial(transparent, mode="grey"),
        pixels=on_white,
        said=("Laid on white, as they are transparent: 200 pictures",),
    ),
    Case(
        name="transparent, rgba",
        shape="",
        make=partial(transparent, mode="rgba"),
        shape_of=(28, 28, 3),
        pixels=lambda: np.repeat(on_white(), 3, axis=3),
    ),
    Case(name="transparent, palette", shape="", make=partial(transparent, mode="palette"), pixels=on_white),
    Case(
        name="transparent, dark",
        shape="",
        make=partial(transparent, mode="dark"),
        shape_of=(28, 28, 3),
        said=("Laid on white",),
    ),
    Case(
        name="transparent, on black as the spec says",
        shape="",
        make=partial(transparent, mode="dark"),
        shape_of=(28, 28, 3),
        choices={"background": "black"},
        said=("Laid on black",),
    ),
    Case(
        name="mixed sizes",
        shape="pictures of many sizes, photographs of more than 512 pixels",
        outcome="refused with the line `data.resize: {height: …, width: …, fit: crop}` (or pad, or stretch)",
        make=mixed_sizes,
        refused="data.resize: {height: 64, width: 64, fit: crop} (or pad, or stretch)",
    ),
    Case(
        name="mixed sizes, resized",
        shape="",
        make=mixed_sizes,
        choices={"resize": {"height": 32, "width": 48, "fit": "crop"}},
        shape_of=(32, 48, 3),
        said=("Brought to 32×48",),
    ),
    Case(
        name="png16",
        shape="PNG and TIFF of 16 bits, TIFF of floats",
        outcome="by the range of all of them: 12, 14 or 16 bits, [0, 1], 0 … 255",
        make=partial(moded, kind="png16"),
        shape_of=(24, 24, 1),
        pixels=lambda: drawings(200, 24, 24)[..., None],
        said=("had 16 bits",),
    ),
    *(
        Case(
            name=kind,
            shape="",
            make=partial(moded, kind=kind),
            shape_of=(24, 24, 1),
            pixels=lambda: drawings(200, 24, 24)[..., None],
        )
        for kind in ("tiff16", "png12", "tiff32f", "tiff255f", "interlaced")
    ),
    Case(
        name="cmyk",
        shape="CMYK, 1 bit, palettes, interlaced, GIF, WebP, `.jfif`, `.tga`, MPO of cameras, a wrong ending",
        outcome="read; of an MPO its first picture",
        make=partial(moded, kind="cmyk"),
        shape_of=(24, 24, 3),
        pixels=lambda: drawings(200, 24, 24, 3),
        tolerance=2,
    ),
    Case(
        name="greymix",
        shape="grey pictures among pictures in colour",
        outcome="in colour, all of them",
        make=partial(moded, kind="greymix"),
        shape_of=(24, 24, 3),
    ),
    *(
        Case(
            name=kind,
            shape="",
            make=partial(moded, kind=kind),
            shape_of=(24, 24, 3),
            pixels=lambda: drawings(200, 24, 24, 3),
            tolerance=tolerance,
        )
        for kind, tolerance in (("mpo", 12), ("jfif", 12), ("tga", 0), ("webp", 0), ("wrong", 0))
    ),
    Case(name="gif", shape="", make=partial(moded, kind="gif"), shape_of=(24, 24, 1)),
    Case(name="bit1", shape="", make=partial(moded, kind="bit1"), shape_of=(24, 24, 1)),
    Case(
        name="zip",
        shape="`.zip`, `.tar`, `.tar.gz` … of pictures, class folders and part folders inside or not",
        outcome="as the folder would be; nothing is unpacked to the disk",
        make=lambda f: archive(f / "images.zip", pictures(GREY())),
        pixels=grey_pixels,
    ),
    Case(
        name="zip with parts, in another order",
        shape="",
        make=parted_zip,
        parts=(200, None, 60),
        pixels=grey_pixels,
    ),
    Case(
        name="tar.gz that is not CIFAR-10's",
        shape="",
        make=lambda f: archive(f / "notMNIST_small.tar.gz", pictures(GREY(), "notMNIST_small/A/{:04}.png")),
        pixels=grey_pixels,
    ),
    Case(
        name="webdataset",
        shape="WebDataset: a `.tar`, or a folder of shards, with parts in their names or not",
        outcome="its pictures, sample by sample; `.cls`, `.json` and others are counted as left out",
        make=webdataset,
        pixels=grey_pixels,
        said=("400 files (200 .cls, 200 .json)",),
    ),
    Case(name="webdataset with parts", shape="", make=webdataset_parts, parts=(200, 40, 60), pixels=None),
    Case(
        name="webdataset with two pictures in each sample",
        shape="",
        make=lambda f: archive(f / "a.tar", pictures(GREY(), "{:04}.input.png") | pictures(GREY(), "{:04}.target.png")),
        refused="data.column: input",
    ),
    Case(
        name="webdataset with two pictures, one chosen",
        shape="",
        make=lambda f: archive(f / "a.tar", pictures(GREY()[::-1], "{:04}.in.png") | pictures(GREY(), "{:04}.out.png")),
        choices={"column": "out"},
        pixels=grey_pixels,
    ),
]
