"""Command lines, one module per step.  No command imports another."""
