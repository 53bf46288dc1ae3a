"""Finding objects: their classes, boxes and masks.

- `average_precision`: COCO's twelve figures, for boxes and for masks
- `figures`: what a detector sees, as images: what it finds, its pyramid, and the anchors it learns from
- `found`: what a detector finds: in a split, in one image, drawn, and as COCO's JSON
- `loss`: learning to find objects: their classes, boxes and masks
- `metrics`: COCO's figures of a detector, as the verbs show them
- `predictor`: images to the objects in them
- `recipes`: recipes for detection and instance segmentation
- `settings`: settings for training a detector
- `spec`: detection, as it is known before any of its work is imported
- `task`: finding objects, as a task
"""
