"""What is drawn: attention, reconstructions, windows, curves, the report.

- `attention`: images of what a transformer attends to
- `chart`: charts that all look alike
- `curves`: the curves of one run, or of several side by side
- `draw`: images of tensors
- `explanations`: explanations of a class over images, and whether they are true
- `figure`: an image, what it shows, and the numbers that were drawn
- `filters`: the filters that meet the pixels first
- `growth`: how the cost of models grows with the image, as curves
- `layer_charts`: how alike blocks are, how well classes are told apart after each, and sanity checks
- `maps`: images of the maps that a head gets
- `mask_variants`: which patches of some images are hidden for a figure, from seeds alone or as the user says
- `object_attention`: where a detector looks when it finds an object
- `objects`: images with what was found in them
- `offsets`: the relative position bias of a Swin as images
- `pixel`: where one pixel of an image looks in a Swin, stage by stage, and what reaches the answer
- `positions`: how alike position embeddings are, and biases by offset
- `reach`: how far the heads of models look
- `reconstruction`: what a masked autoencoder sees, and what it makes of it
- `report`: one page about a run that can be kept, sent and read anywhere
- `scales`: fixed colour scales
- `segments`: images of which class every pixel shows
- `simmim_reconstruction`: what SimMIM hides from its encoder, and what it makes of it
- `statistics`: guess the mean and contrast of hidden patches, for predictions that come without them
- `tokens`: patch tokens as colours, in groups, their norms, and the nearest of a patch
- `windows`: the windows of a Swin drawn on an image, stage by stage
"""
