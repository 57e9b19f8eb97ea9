"""A hint at the name that was meant."""

from collections.abc import Iterable
import difflib


def did_you_mean(name: str, known: Iterable[str]) -> str:
  """' Did you mean X?' where a known name is close; '' where none is."""
  close = difflib.get_close_matches(name, list(known), n=1)
  return f' Did you mean {close[0]}?' if close else ''
