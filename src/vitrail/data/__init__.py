"""Images and labels: found, opened, divided, transformed, batched.

- `batches`: batches that depend on seed, epoch and step alone: not on workers, processes, or where a run was resumed
- `cache`: decoded images kept in memory that all data workers of a process share
- `changes`: what became of a run's images: which of those that are there now it learned from, and which it held out
- `class_folders`: folders with a folder for each class, in the layouts in which people have them
- `class_lists`: a list of classes beside the images of a split without folders for them, as Tiny ImageNet has one for
  validation
- `class_masks`: masks among the images of a class, which show the same objects and are no images of it
- `coco`: images with objects in COCO's format: folders of images, and a JSON file of annotations for each split
- `coco_boxes`: what all boxes of a file tell together: their unit, whether their numbers are corners, and which are
  listed twice
- `coco_checks`: what is wrong with COCO's annotations, asked alike by training, which refuses it, and by ``vitrail
  doctor``
- `coco_file`: reading a JSON file of COCO's instances: every record has the types it should, or one sentence names it
- `csv_columns`: which column of a table names the files, which the classes, and which the splits
- `csv_files`: tables of images: a CSV file with a column of files and, as a rule, one of classes, in the dialects
  people write
- `cuts`: parts of images with a class for every pixel, for training; and whole ones, for evaluation
- `doubtful_folders`: folders that stand where those of classes should, but are none: refused, as they would be
  learned in silence
- `feature_files`: files of vectors of images: Parquet, NumPy's archives, or CSV, each with what its vectors were made
  by
- `features`: what a model makes of images, computed once and kept on disk: float32, whole or absent, never out of
  date
- `file_finder`: from the name of a file in a table to the file: as people write names, and where they put the files
- `file_rules`: what counts as an image when a folder is searched, and in which order: one rule for every command
- `formats`: one module for each image format: what its header promises, and what decoding it may cost
- `hashes`: SHA-256 of a data set: of the content of its images, their names, classes and splits, wherever the set lies
- `image_list`: which images a run learned from and which it held out, by their content: what each of its checkpoints
  keeps
- `imagenet`: the thousand classes of ImageNet-1k: their WordNet ids and their names, in the order of a classifier's
  outputs
- `images`: the one safe way to open an image, for training, evaluation and prediction alike
- `item`: an image wherever it lies: in a file, in memory, in the bytes of a file, in an open file, or still to be
  drawn
- `joint`: one change of geometry for an image, its boxes and its masks
- `labelled_folders`: a folder whose images have classes by its folders, or by the one table among them
- `layouts`: recognising folders made for detection or segmentation, so that nobody trains a classifier of images
  against masks
- `listed`: all images that a command is to look at, with what is known of each: of a data set, or named one by one
- `listing`: what reading a folder or a CSV file finds: files and the names of their classes, by split
- `mask_doubts`: what the values of all masks together make doubtful, although each of them may be right
- `mask_files`: which file is the mask of which image: one of the same name, or of a usual ending more
- `mask_values`: the numbers in masks: which images hold numbers, which ones occur, and what to do where they fit no
  class
- `mixing`: mixup and cutmix: two images of a batch, and their targets, become one
- `named_files`: from what a user names - files, folders, globs - to image files
- `normalise`: from the loader's bytes to the model's input
- `objects`: images whose objects are known, each by its class, its box and its mask
- `parcels`: how a data worker's batch travels: what is large in shared memory, all else by value
- `pixels`: decoded pixels of any mode, turned into 8 bits a channel, upright, in strips, so that large images take
  little
- `polygons`: masks as polygons, as COCO's annotations hold them: what is one, and which pixels it covers
- `requested`: the images that a user asks about: files, folders and globs, or images in memory, in the order of the
  request
- `rle`: masks as run lengths and polygons, as COCO's annotations hold them
- `samples`: one sample: an image, decoded, augmented and labelled, the same whichever process draws it
- `scenes`: drawn scenes: textured shapes on textured ground, with exact boxes and masks; nothing to download
- `segment_folders`: opening images with a class for every pixel: folders of images and of masks, or drawn scenes
- `segments`: images with a class for every pixel: a folder of images, and one of index images of the same names
- `sources`: from a word, a folder or a CSV file to images with labels, split into training, validation and test
- `split_names`: what sibling folders are, by their names taken together: splits of one set, or parts of one
- `token_file`: tokens of every patch of many images in one .npy file, to be mapped into memory: written row by row,
  whole or absent
- `transforms`: from an image to the uint8 tensor a model's task starts from, for training and for evaluation
- `turned`: how a file's EXIF data turns its image: annotations and masks must be made of the image as it is shown
- `vector_chunks`: vectors of a long list of images while they are computed: parts on the disk, each whole or absent
- `workers`: batches fetched by data workers; one that is stopped, hangs, dies or lacks something is named in a
  sentence
- `wrapper_folders`: folders that only wrap another one, as archives leave them: they are entered, and it is said
"""
