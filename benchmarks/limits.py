"""What was asked of a figure: where it is not reached, that is printed below the figures and the run ends with 1."""

from collections.abc import Sequence


def above(what: str, figure: float, most: float, unit: str = "s") -> list[str]:
    """Return what to say of a figure that is more than was asked for, or is none; nothing of one that is not."""
    return [] if figure <= most else [f"{what}: {figure:.2f} {unit}, and asked is at most {most:g} {unit}"]


def below(what: str, figure: float, least: float, unit: str) -> list[str]:
    """Return what to say of a figure that is less than was asked for, or is none; nothing of one that is not."""
    return [] if figure >= least else [f"{what}: {figure:.2f} {unit}, and asked is at least {least:g} {unit}"]


def verdict(missed: Sequence[str]) -> int:
    """Print what was missed, and return the status to end with."""
    for one in missed:
        print(f"MISSED  {one}", flush=True)
    return 1 if missed else 0
