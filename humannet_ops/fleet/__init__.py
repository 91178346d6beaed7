"""How large a fleet a number of hours needs, from what one catalog measured."""
