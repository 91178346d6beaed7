"""From what is said and measured about a clip to classes of the taxonomy."""
