// What can be drawn over the image, and what each says.

export const VIEWS = {
  image: {
    title: "Image",
    says: "The image as the model takes it: cut, resized, nothing drawn over it.",
  },
  attention: {
    title: "Attention",
    says: "Where one layer looks, head by head, from the answer or from the patch you point at: in multiples of an even share, without colour up to 1×. Attention shows where values are taken from, not what decides.",
  },
  rollout: {
    title: "Rollout",
    says: "Attention through all layers, each counted half beside its residual connection (Abnar and Zuidema 2020). The same for every class.",
  },
  similarity: {
    title: "Similarity",
    says: "How alike the model finds all other patches to the one you point at, by the cosine of what the last layer makes of them.",
  },
  explanation: {
    title: "Explanation",
    says: "What speaks for one class: the predicted one, one that you click on, or one that you name. Paint away what it points at, and see whether the class falls.",
  },
  reconstruction: {
    title: "Reconstruction",
    says: "What the masked autoencoder fills in where patches are painted away, from the visible ones alone. Draw masks with the slider, or paint your own.",
  },
};

/** The views that at least one of the models has. */
export function offered(models) {
  return Object.keys(VIEWS).filter((name) => models.some((model) => !model.views[name].missing));
}

/** Why views are not offered for a model, a sentence each. */
export function missing(model) {
  const reasons = Object.values(model.views).map((view) => view.missing || view.without).filter(Boolean);
  return [...new Set(reasons)];
}
