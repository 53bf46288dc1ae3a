"""Images and labels: found, opened, divided, transformed, batched.

- `batches`: batches that depend on seed, epoch and step alone
- `cache`: decoded images kept in memory that all data workers of a process share
- `changes`: what became of a run's images
- `class_folders`: folders with a folder for each class, in the layouts in which people have them
- `class_lists`: a list of classes beside the images of a split without folders for them, as Tiny ImageNet has one for
  validation
- `class_masks`: masks among the images of a class, which show the same objects and are no images of it
- `coco`: images with objects in COCO's format
- `coco_boxes`: what all boxes of a file tell together
- `coco_checks`: what is wrong with COCO's annotations, asked alike by training, which refuses it, and by ``vitrail
  doctor``
- `coco_file`: reading a JSON file of COCO's instances
- `csv_columns`: which column of a table names the files, which the classes, and which the splits
- `csv_files`: tables of images
- `cuts`: parts of images with a class for every pixel, for training
- `doubtful_folders`: folders that stand where those of classes should, but are none
- `features`: what a model makes of images, computed once and kept on disk
- `file_finder`: from the name of a file in a table to the file
- `file_rules`: what counts as an image when a folder is searched, and in which order
- `formats`: one module for each image format
- `image_list`: which images a run learned from and which it held out, by their content
- `imagenet`: the thousand classes of ImageNet-1k
- `images`: the one safe way to open an image, for training, evaluation and prediction alike
- `item`: an image wherever it lies
- `joint`: one change of geometry for an image, its boxes and its masks
- `labelled_folders`: a folder whose images have classes by its folders, or by the one table among them
- `layouts`: recognising folders made for detection or segmentation, so that nobody trains a classifier of images
  against masks
- `listing`: what reading a folder or a CSV file finds
- `mask_doubts`: what the values of all masks together make doubtful, although each of them may be right
- `mask_files`: which file is the mask of which image
- `mask_values`: the numbers in masks
- `mixing`: mixup and cutmix
- `named_files`: from what a user names - files, folders, globs - to image files
- `normalise`: from the loader's bytes to the model's input
- `objects`: images whose objects are known, each by its class, its box and its mask
- `parcels`: how a data worker's batch travels
- `pixels`: decoded pixels of any mode, turned into 8 bits a channel, upright, in strips, so that large images take
  little
- `polygons`: masks as polygons, as COCO's annotations hold them
- `requested`: the images that a user asks about
- `rle`: masks as run lengths and polygons, as COCO's annotations hold them
- `samples`: one sample
- `scenes`: drawn scenes
- `segment_folders`: opening images with a class for every pixel
- `segments`: images with a class for every pixel
- `sources`: from a word, a folder or a CSV file to images with labels, split into training, validation and test
- `split_names`: what sibling folders are, by their names taken together
- `transforms`: from an image to the uint8 tensor a model's task starts from, for training and for evaluation
- `turned`: how a file's EXIF data turns its image
- `workers`: batches fetched by data workers
- `wrapper_folders`: folders that only wrap another one, as archives leave them
"""
