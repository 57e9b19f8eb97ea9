"""Configs: the base with every field, its comments, and what is checked."""
