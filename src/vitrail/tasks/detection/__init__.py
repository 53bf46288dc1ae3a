"""Finding objects: their classes, boxes and masks."""
