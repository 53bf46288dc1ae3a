"""The parts models are made of: patches, positions, attention, block, pooling, convolution, masking.

Nothing here knows a model.
"""
