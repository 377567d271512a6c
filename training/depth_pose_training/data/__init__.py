"""Labelled depth images: shards, augmentation, data sets, the synthetic generator."""
