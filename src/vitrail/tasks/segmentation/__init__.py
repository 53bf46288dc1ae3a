"""Naming the class of every pixel.

- `files`: what ``vitrail predict`` leaves behind of a segmenter: index images and overlays
- `figures`: what a segmenter says of images, and the maps its head gets, as figures
- `loss`: learning which class every pixel shows
- `metrics`: how much of the pixels a segmenter gets right, and how well that is known, as the commands show it
- `page`: what the page of a segmenter's evaluation shows
- `predictor`: images to the class of every pixel
- `recipes`: recipes for semantic segmentation
- `settings`: settings for training a segmenter
- `spec`: segmentation, as it is known before any of its work is imported
- `study`: what is kept of each image while a segmenter is measured
- `task`: saying which class every pixel shows, as a task
- `words`: what an evaluation of a segmenter found, in sentences and rows of tables
"""
