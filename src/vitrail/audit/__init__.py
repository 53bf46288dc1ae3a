"""What is doubtful about a data set, for people to decide: ``vitrail doctor DATA --deep``.

- `advice`: from what was measured to what is suggested: which of several copies stays, and who should look at what
- `alignment`: a second look at two images: can one be laid over the other, mirrored or cut, and do details agree?
- `background`: images whose border alone gives the class: a shortcut that a classifier would learn
- `clean_folder`: a new folder with a data set as an audit suggests it, what must not be in it left out
- `descriptors`: what pixels alone say of an image: brightness, contrast, sharpness, and what finds copies of it
- `image_statistics`: odd sizes, darkness, glare, missing contrast, blur
- `images`: all images of a data set that is audited, whatever task it is for, in a fixed order
- `label_errors`: suspected label errors: confident learning on probabilities that were cross-validated
- `near_duplicates`: images that are the same one: re-encoded, rescaled, cut, or mirrored
- `neighbours`: the nearest of many vectors to each of them, in parts
- `outliers`: images unlike the others: far from their nearest neighbours
- `page`: the page of an audit: the images that somebody should look at, kind by kind
- `rows`: what was measured of each image that can be read
- `study`: the whole audit: from rows of numbers for each image to what it suggests
- `suggestions`: what an audit suggests, image by image, and its table (CSV)
"""
