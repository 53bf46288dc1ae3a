"""The parts that models are made of.

- `attention`: multi-head self-attention, and the choice of how to compute it
- `attention_cpu`: fused attention of short sequences on CPUs that multiply bf16
- `block`: the transformer block, shared by ViT's encoder and MAE's decoder
- `cosine_attention`: Swin V2's attention inside windows
- `feed_forward`: what stands in a block beside attention in ViTs since 2021
- `kernel_cache`: where the compiled kernel is kept
- `masking`: which patches are hidden, at random, in blocks, on a grid or as the user says
- `modern_attention`: self-attention as in ViTs since 2021
- `patches`: images to patches and back
- `pooling`: attention pooling
- `positions`: position embeddings
- `relative_position`: relative positions
- `rope`: rotary positions in two dimensions
- `shapes_only`: models as shapes without values, quickly
- `std_conv`: convolutions with standardised weights, and the two ways to pad them (BiT, Kolesnikov et al
- `window_attention`: attention that stays inside the windows of a map, with a relative position bias (Swin, Liu et al
- `window_layout`: windows of a map
"""
