"""Learning with the tree: latent structural SVM (CCCP), CRF, end-to-end fine-tuning."""
