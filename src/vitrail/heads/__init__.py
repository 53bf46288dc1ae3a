"""What stands on a backbone: classifiers, detectors and segmenters; and what a whole model is made of.

- `cascade`: cascade Mask R-CNN
- `classifier`: a backbone with a linear head
- `convolution`: the pieces dense heads are made of
- `dense`: heads that answer for every place of an image: the settings `Dense` as the options of such a head, and back
- `detections`: what detectors find
- `detr`: DETR over any backbone (Carion et al
- `mask_rcnn`: faster R-CNN and Mask R-CNN over a pyramid, put together from torchvision's parts
- `multi_scale`: a backbone's maps at several strides, whatever kind of backbone it is
- `names`: what users call models: names and flat options, and the one function that makes a `ModelSpec` of them
- `partial_fine_tuning`: a ViT cut in two
- `pyramid`: maps of one width at strides 4, 8, 16 and 32, whatever the backbone
- `registry`: every head and every objective by its name, and the one function that builds any model
- `segmenter`: a backbone that says of every pixel which class it shows
- `setr`: the decoders of SETR (Zheng et al
- `sliding_window`: scores of every pixel of images of any size
- `spec`: what a model is made of: a backbone by its name, and the head on it
- `upernet`: UperNet (Xiao et al
"""
