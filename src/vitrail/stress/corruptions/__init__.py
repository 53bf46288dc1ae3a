"""The fifteen common corruptions of ImageNet-C (Hendrycks & Dietterich 2019), written from what the paper says of them.

Severities go from 1 to 5, and 0 changes nothing. How strong each one is was chosen here, so that figures are those of
this package and not of the published ImageNet-C files; frost, which the paper lays over images as photographs, is
drawn. Lengths are given for an image of 224 pixels and follow its size.

- `noise`: Gaussian, shot and impulse noise
- `blur`: defocus, frosted glass, motion, zoom
- `weather`: snow, frost, fog, brightness
- `digital`: contrast, elastic distortion, pixels, JPEG
- `severity`: from a severity to what it stands for
- `catalogue`: all fifteen by their names
"""
