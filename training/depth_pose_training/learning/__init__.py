"""What the training loop is given: networks and their losses."""
