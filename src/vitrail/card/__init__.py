"""The trust card of a model: on one page what a person who signs for it should know.

- `abstention`: when a classifier had better say nothing: what a threshold and sets of classes do on images that are
  measured
- `accuracy`: how often a classifier is right, where it is worst, and whether its probabilities can be believed
- `data_doubts`: whether the figures may be too good, and labels wrong: leaks between splits and suspected label errors
- `explanations`: whether a model's explanations are true of it, from what deletion and insertion found
- `kept`: parts of a card that are measured, kept on the disk: an interrupted card goes on where it was
- `page`: the card as one page
- `provenance`: what exactly was measured: hashes of weights and data, the licence of the weights, versions, and how to
  repeat it
- `robustness`: what of its accuracy a classifier keeps when images are changed, from the figures of ``vitrail stress``
- `sections`: what a trust card holds: sections, each measured or saying how to measure it
"""
