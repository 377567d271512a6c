"""The training loop and what it needs: processes, checkpoints, optimizers, logging."""
