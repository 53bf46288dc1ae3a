"""One module for each image format: what its header promises, and what decoding it may cost.

- `avif`: AVIF files, as far as Pillow's decoder is built in; what the stream claims is checked, not only the
  container
- `bmp`: BMP files; those with run lengths are decoded slowly, and only small ones
- `budget`: what one image may cost, whatever its format: decided from its header, before anything is unfolded
- `exif`: how a stored image has to be turned, from its metadata: one tag is read, and nothing else of them unfolded
- `gif`: GIF files: the first frame alone is handed to the decoder, without comments and other extensions
- `heif`: HEIC photos, opened by a package that is an extra
- `isobmff`: boxes of the container that AVIF and HEIC files share (ISO/IEC 14496-12 and 23008-12), as far as sizes
  need them
- `jpeg`: JPEG files, handed to the decoder without their metadata, and with a limit on their scans
- `kinds`: what a file is, recognised by its first bytes; names and suffixes of all formats
- `png`: PNG files, handed to the decoder without the chunks that do not decide its pixels, broken ones among them
- `pnm`: PBM, PGM and PPM files (Netpbm's formats P1 to P6): a header in text, and numbers in text or in bytes
- `tiff`: TIFF files: their strips or tiles are unfolded as a whole, each
- `webp`: WebP files: the size is known before the decoder claims memory for the whole canvas, several times
"""
