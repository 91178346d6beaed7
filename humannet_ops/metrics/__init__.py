"""What Prometheus reads about the corpus: ``humannet metrics``."""
