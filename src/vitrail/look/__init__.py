"""Seeing what a model learned: attention (`record`, `attention`), what a masked autoencoder fills in
(`reconstruction`), the curves of a run (`curves`), and how all of it is drawn (`draw`) and gathered on one
page (`report`).
"""
