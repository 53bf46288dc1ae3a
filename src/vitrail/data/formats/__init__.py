"""One module for each image format: what its header promises, and what decoding it may cost.

- `avif`: AVIF files, as far as Pillow's decoder is built in
- `bmp`: BMP files
- `budget`: what one image may cost, whatever its format
- `exif`: how a stored image has to be turned, from its metadata
- `gif`: GIF files
- `heif`: HEIC photos, opened by a package that is an extra
- `isobmff`: boxes of the container that AVIF and HEIC files share (ISO/IEC 14496-12 and 23008-12), as far as sizes
  need them
- `jpeg`: JPEG files, handed to the decoder without their metadata, and with a limit on their scans
- `kinds`: what a file is, recognised by its first bytes
- `png`: PNG files, handed to the decoder without the chunks that do not decide its pixels, broken ones among them
- `pnm`: PBM, PGM and PPM files (Netpbm's formats P1 to P6)
- `tiff`: TIFF files
- `webp`: WebP files
"""
