"""How fast it all is: ``make bench``."""
