"""The parts that models are made of.

- `attention`: multi-head self-attention, and the choice of how to compute it
- `attention_cpu`: fused attention of short sequences on CPUs that multiply bf16: compiled here, once, from the C++
  file beside
- `block`: the transformer block, shared by ViT's encoder and MAE's decoder
- `cosine_attention`: Swin V2's attention inside windows: the cosine of query and key, and a bias that an MLP makes of
  log-spaced offsets
- `feed_forward`: what stands in a block beside attention in ViTs since 2021: other activations, a gate, a scale on
  each channel
- `kernel_cache`: where the compiled kernel is kept: loaded only from a file and a folder of one's own, whole, and as
  it was written
- `masking`: which patches are hidden, at random, in blocks, on a grid or as the user says; and masks as index lists
- `modern_attention`: self-attention as in ViTs since 2021: fewer biases, normalised or rotated queries and keys, a
  bias on the scores
- `patches`: images to patches and back
- `pooling`: attention pooling: one learned query looks at all patches
- `positions`: position embeddings: how they are made, and how they are fitted to another grid
- `relative_position`: relative positions: what attention adds to the scores for how far a key lies from its query
- `rope`: rotary positions in two dimensions: queries and keys are turned by where their patch lies (DINOv3)
- `shapes_only`: models as shapes without values, quickly
- `std_conv`: convolutions with standardised weights, and the two ways to pad them (BiT, Kolesnikov et al. 2020,
  section 3.2)
- `window_attention`: attention that stays inside the windows of a map, with a relative position bias (Swin, Liu et
  al. 2021)
- `window_layout`: windows of a map: which token stands where, and how tokens move from one layout to another
"""
