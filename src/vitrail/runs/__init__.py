"""What commands share: a run from its data and model to its folder, figures and report."""
