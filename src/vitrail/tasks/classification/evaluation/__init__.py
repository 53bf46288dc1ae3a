"""What is known of a classifier on labelled images, beyond how many it gets right.

- `abstaining`: what a classifier that may be unsure makes of the images: how much it answers, how well
- `answer_table`: the answer to every image as a table, to look up mistakes in
- `answers`: what a classifier answers to each image of a data set, gathered from all processes
- `compare`: a classifier beside another one, on the same images
- `found`: parts of what an evaluation found: images that are wrong, and another model beside
- `known`: what is known of when the classifier can be believed: as it is stored, or learned now and stored
- `measure`: a classifier measured on labelled images, over all processes
- `page`: what the page shows: the result, figures, tables, and what must be known
- `tables`: the tables of the page
- `temperature`: whether probabilities can be believed, before and after a temperature fitted to other images
- `words`: what an evaluation found, in sentences and rows of tables
"""
