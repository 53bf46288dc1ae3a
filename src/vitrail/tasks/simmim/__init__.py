"""SimMIM: learning to see by predicting the pixels of hidden squares."""
