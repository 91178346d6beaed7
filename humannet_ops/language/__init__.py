"""Asking a vision-language model about a clip, through an OpenAI-compatible endpoint that the user names."""
