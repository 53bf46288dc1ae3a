"""SimMIM: learning to see by predicting the pixels of hidden squares.

- `figures`: what a SimMIM fills in, as a figure
- `loss`: learning to see by predicting the pixels of hidden squares, as SimMIM does
- `recipes`: recipes for SimMIM: predicting the pixels of hidden squares
- `settings`: settings for pretraining a SimMIM
- `spec`: SimMIM, as it is known before any of its work is imported
- `task`: SimMIM, as a task
"""
