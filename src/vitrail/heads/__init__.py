"""What stands on a backbone: classifiers, detectors and segmenters; and what a whole model is made of.

- `cascade`: Cascade Mask R-CNN: three heads in a row, each for better boxes than the one before
- `classifier`: a backbone with a linear head
- `convolution`: the pieces dense heads are made of: convolutions with norm and ReLU, norms of maps, resizing
- `dense`: heads that answer for every place of an image: the settings `Dense` as the options of such a head, and back
- `detections`: what detectors find
- `detr`: DETR over any backbone (Carion et al. 2020, End-to-End Object Detection with Transformers)
- `mask_rcnn`: Faster R-CNN and Mask R-CNN over a pyramid, put together from torchvision's parts
- `multi_scale`: a backbone's maps at several strides, whatever kind of backbone it is
- `names`: what users call models: names and flat options, and the one function that makes a `ModelSpec` of them
- `partial_fine_tuning`: a ViT cut in two: blocks below that stay as they are, blocks above that learn (MAE, section
  4.3)
- `pyramid`: maps of one width at strides 4, 8, 16 and 32, whatever the backbone
- `registry`: every head and every objective by its name, and the one function that builds any model
- `segmenter`: a backbone that says of every pixel which class it shows
- `setr`: the decoders of SETR (Zheng et al. 2021, Rethinking Semantic Segmentation)
- `sliding_window`: scores of every pixel of images of any size: whole or window by window, at several scales,
  mirrored too
- `spec`: what a model is made of: a backbone by its name, and the head on it
- `upernet`: UperNet (Xiao et al. 2018, Unified Perceptual Parsing), as the Swin paper uses it for semantic
  segmentation
"""
