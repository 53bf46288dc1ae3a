"""Finding objects: their classes, boxes and masks.

- `average_precision`: COCO's twelve figures, for boxes and for masks
- `figures`: what a detector sees, as images: what it finds, its pyramid, and the anchors it learns from
- `found`: what a detector finds: in a split, in one image, drawn, and as COCO's JSON
- `loss`: learning to find objects: their classes, boxes and masks
- `matches`: which detections are an object, image by image, so that average precision can be drawn anew over images
- `metrics`: COCO's figures of a detector, as the commands show them
- `mistakes`: what a detector misses and wrongly finds, by image and by class
- `page`: what the page of a detector's evaluation shows
- `predictor`: images to the objects in them
- `recipes`: recipes for detection and instance segmentation
- `settings`: settings for training a detector
- `spec`: detection, as it is known before any of its work is imported
- `task`: finding objects, as a task
- `words`: what an evaluation of a detector found, in sentences and rows of tables
"""
