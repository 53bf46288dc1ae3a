"""What stands on a backbone's maps to say something of every place: pyramids, segmentation, detection."""
