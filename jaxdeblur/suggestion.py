"""Hints at the name that was probably meant."""

from collections.abc import Iterable
import difflib


def closest(name: str, known: Iterable[str]) -> str | None:
  """The known name that was probably meant; None if none is close.

  A known name that begins with the given one comes before a similar spelling:
  'dpdd' means 'dpdd_canon', not 'rdpd'.
  """
  known = [str(candidate) for candidate in known]
  name = str(name).lower()
  if len(name) >= 2:
    longer = [candidate for candidate in known
              if candidate.lower().startswith(name)]
    if longer:
      return min(longer, key=lambda candidate: (len(candidate), candidate))
  lower = {candidate.lower(): candidate for candidate in reversed(known)}
  close = difflib.get_close_matches(name, list(lower), n=1)
  return lower[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
  """Returns ' Did you mean X?' if a known name is close, else ''."""
  found = closest(name, known)
  return f' Did you mean {found}?' if found else ''


def choose_one(name: str, known: Iterable[str]) -> str:
  """Ends a sentence: 'choose one of A, B, C. Did you mean B?'"""
  known = [str(candidate) for candidate in known]
  return f'choose one of {", ".join(known)}.{did_you_mean(name, known)}'
