"""What stands on a backbone's feature maps: detectors and segmenters.

- `cascade`: cascade Mask R-CNN
- `convolution`: the pieces dense heads are made of
- `detections`: what detectors find
- `detr`: DETR over any backbone (Carion et al
- `mask_rcnn`: faster R-CNN and Mask R-CNN over a pyramid, put together from torchvision's parts
- `multi_scale`: a backbone's maps at several strides, whatever kind of backbone it is
- `pyramid`: maps of one width at strides 4, 8, 16 and 32, whatever the backbone
- `registry`: every head by its name, and the one function that puts it on a backbone
- `segmenter`: a backbone that says of every pixel which class it shows
- `setr`: the decoders of SETR (Zheng et al
- `sliding_window`: scores of every pixel of images of any size
- `upernet`: UperNet (Xiao et al
"""
