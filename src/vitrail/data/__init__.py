"""Pictures on a disk become batches of uint8 tensors.

`sources` finds pictures and labels, `images` opens a picture safely, `transforms` turns it into a tensor,
`samples` makes that the same in every process, `cache` keeps decoded pictures in shared memory, `batches`
joins samples for training and evaluation, and `mixing` mixes a batch within itself.
"""
