"""What is drawn: attention, reconstructions, windows, curves, the report.

- `attention`: images of what a transformer attends to: rollout, and attention of the pooled answer head by head
- `chapters`: a page in chapters: under each heading what is known, and how to repeat it
- `chart`: charts that all look alike: a canvas, axes with one style, and the image of it
- `confusion`: a confusion matrix as an image: of all classes, or of many those that are confused most
- `curves`: the curves of one run, or of several side by side
- `draw`: tensors as images, and sheets of captioned tiles
- `estimates`: figures with their 95 % intervals: reliability, classes, parts of the images; and lines of shares
- `explanations`: explanations of a class over images, and whether they are true
- `figure`: an image, what it shows, and the numbers that were drawn
- `filters`: the filters that meet the pixels first, as images
- `growth`: how the cost of models grows with the image, as curves
- `layer_charts`: how alike blocks are, how well classes are told apart after each, and sanity checks
- `maps`: images of the maps that a head gets: what its places have in common
- `mask_variants`: which patches of some images are hidden for a figure, from seeds alone or as the user says
- `object_attention`: where a detector looks when it finds an object
- `objects`: images with what was found in them: boxes, masks and labels
- `offsets`: the relative position bias of a Swin as images: which offset each pair of places has, and what each head
  adds
- `pixel`: where one pixel of an image looks in a Swin, stage by stage, and what reaches the answer
- `positions`: how alike position embeddings are, and biases by offset
- `reach`: how far the heads of models look, and how evenly, as charts: one model, or several side by side
- `reconstruction`: what a masked autoencoder sees, and what it makes of it
- `refilled`: images, what is hidden of them, and what stands in its place, with answers
- `report`: one page about a run that can be kept, sent and read anywhere: no network, no scripts, images inside
- `scales`: fixed colour scales: a colour means the same in every map of every image, and a legend says what
- `segments`: images of which class every pixel shows: palettes, overlays, errors, legends
- `shortcuts`: regions that answers hang on, in images, and how many images each flips
- `simmim_reconstruction`: what SimMIM hides from its encoder, and what it makes of it
- `statistics`: guess the mean and contrast of hidden patches, for predictions that come without them
- `tokens`: patch tokens as colours, in groups, their norms, and the nearest of a patch
- `windows`: the windows of a Swin drawn on an image, stage by stage: how they lie, how they shift, and who may see
  whom
"""
