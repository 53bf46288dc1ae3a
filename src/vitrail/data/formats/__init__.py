"""One module for each image format: hold its budget, then decode it with what decides its pixels, and nothing else."""
