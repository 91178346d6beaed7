"""From a person's joints to a robot's: which robots there are, what a pose asks of one, and how near it comes."""
