"""How much of its accuracy a classifier keeps when images are changed: *Intriguing Properties of Vision Transformers*.

- `answers`: what a model answered, kept as it comes: a file to which whole lines are added, and that goes on after
  any end
- `charts`: curves of one or several models as charts, with their bands
- `chosen`: which images are put under stress, and their pixels as a model takes them
- `compare`: whether one model keeps more of its accuracy than another, on the same images: paired, with its interval
- `conflicts`: a set of images whose shape says one class and whose texture another, written to be used elsewhere
- `corruptions`: the fifteen common corruptions of ImageNet-C (Hendrycks & Dietterich 2019), written from what the
  paper says of them
- `curves`: what a curve is: one way to change images, at rising strengths
- `examples`: one image at three strengths of every change: what the model is shown
- `families`: the examples of every family of curves: one of a model's images under all that is done to it
- `figures`: from answers to figures: accuracy along each curve with its interval, the area under it, shape against
  texture
- `grids`: grids of cells over an image: what is hidden, kept, or moved as a whole
- `image`: one image as it is put under stress
- `measure`: from a model and a curve to answers: images changed by several threads while the model scores those
  before
- `model`: a classifier as it is put under stress: pixels, or fewer tokens, to scores
- `occlusion`: PatchDrop, by blacking out and by removing tokens
- `page`: the page of ``vitrail stress``: curves, examples, areas, and what the paper prints
- `panels`: which curves share a chart
- `partners`: which image lends another one its texture: one of another class, always the same
- `patch`: a universal adversarial patch: one square that, wherever it is stuck on any image, changes what a model
  says
- `patch_study`: patches of several areas, tried on all models
- `progress`: how far the measuring has come and how long the rest may take, on the error stream
- `published`: what the paper prints in its text
- `randomness`: random numbers that belong to an image, whatever batch it is in and whatever came before it
- `saliency`: what matters in an image: by a model's attention, by another encoder's, or by an explanation of the
  answer
- `shift`: the same image somewhere else: moved, turned, and scaled; what comes in from outside is its mirror image
- `shuffle`: patches in another order
- `study`: all curves of several models on the same images
- `suite`: which curves are drawn of a model: all of them, or fewer points where it has to be quick
- `textures`: texture taken away, and shape kept: smoothing that keeps edges, edges alone, silhouettes, and a foreign
  texture
- `words`: what the curves say, in sentences: of each model, of two of them, and of what the paper found
"""
