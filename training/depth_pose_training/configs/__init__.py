"""Dataclasses of options, read from YAML files and the command line."""
