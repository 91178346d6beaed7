"""The charts of the statistics page, by what they tell: how much, of what, how good, where it leans."""
