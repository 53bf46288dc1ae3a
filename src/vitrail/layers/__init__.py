"""The parts models are made of: patches, positions, attention, block, masking. Nothing here knows a model."""
