"""What several tests of the training package share."""
