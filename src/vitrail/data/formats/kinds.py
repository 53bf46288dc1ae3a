"""What a file is, recognised by its first bytes; names and suffixes of all formats."""

from __future__ import annotations

from vitrail.data.formats import avif, heif, isobmff
from vitrail.data.formats.budget import Refused

LONGEST_HEADER = 64

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".jxl"),
    }
)
"""Lower-case file suffixes that count as images when a folder is searched."""

KNOWN = "not a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM or PGM image"

_READ = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    **{b"P%d" % number: "PNM" for number in range(1, 7)},
}
_OTHERS = {
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL image",
    b"\0\0\0\x0cjP  \r\n\x87\n": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"8BPS": "a Photoshop file",
    b"FUJIFILMCCD-RAW": "a camera's raw file",
    b"\0\0\1\0": "an icon",
    b"DDS ": "a DDS texture",
    b"qoif": "a QOI image",
    b"v/1\1": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance HDR image",
    b"SIMPLE  =": "a FITS image",
    b"P7": "a PAM image",
    b"PF": "a PFM image",
    b"Pf": "a PFM image",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript file",
}
_NO_IMAGES = {
    b"version https://git-lfs": "a pointer of Git LFS, not the image; fetch it with: git lfs pull",
    b"PK\3\4": "a zip archive, not an image; unpack it",
    b"\x1f\x8b": "a gzip archive, not an image; unpack it",
    b"<!doctype html": "a web page, not an image; download it anew",
    b"<html": "a web page, not an image; download it anew",
    b"\x93NUMPY": "a NumPy array, not an image; save it as PNG",
    b"\x89HDF": "an HDF5 file, not an image; save its images as PNG",
}


def kind_of(header: bytes) -> str:
    """Name the format of a file that begins with ``header``: JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF or PNM.

    Raises:
        Refused: it is none of them; what it is is said where that can be known.
    """
    if not header:
        raise Refused("the file is empty")
    if header.startswith(b"RIFF") and header[8:12] == b"WEBP":
        return "WebP"
    for magic, kind in _READ.items():
        if header.startswith(magic) and (kind != "PNM" or header[2:3] in b" \t\n\r\v\f#"):
            return kind
    if container := _container(header):
        return container
    for magic, name in _OTHERS.items():
        if header.startswith(magic):
            raise Refused(f"{name}, which cannot be opened here; convert it to JPEG or PNG")
    text = header.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    for magic, name in _NO_IMAGES.items():
        if header.startswith(magic) or text.startswith(magic):
            raise Refused(name)
    if text.startswith((b"<svg", b"<?xml")):
        raise Refused("an SVG or XML file, which cannot be opened here; convert it to PNG")
    if not header.strip(b"\0"):
        raise Refused("the file begins with zeros only: it was not written whole; copy or download it anew")
    raise Refused(KNOWN)


def _container(header: bytes) -> str:
    """Tell AVIF from HEIC by the brands they name; empty for anything else."""
    brands = isobmff.brands(header)
    if brands & avif.BRANDS:
        return "AVIF"
    if brands & heif.BRANDS or header[8:12] in (b"mif1", b"msf1"):
        return "HEIC"
    if brands:
        raise Refused("a video, or another file of MPEG-4's family, not an image; save its frames as JPEG or PNG")
    return ""
