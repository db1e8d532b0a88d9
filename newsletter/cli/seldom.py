"""What is said where readers wait for an issue in their own rhythm."""

from collections.abc import Mapping

from newsletter.cli.door import screen


def say(digest: str, readers: Mapping[str, int]) -> None:
    """Say how many want a digest more seldom than it is cut, and what cuts an issue for them; nothing where nobody waits."""
    if not readers:
        return
    number = sum(readers.values())
    people = "1 reader wants" if number == 1 else f"{number:,} readers want"
    cuts = ", ".join(
        f"“newsletter issues compose {digest} --rhythm {rhythm}” cuts one for {count:,}"
        for rhythm, count in readers.items()
    )
    sentence = f"{people} “{digest}” more seldom than it is cut, and no issue was cut for them lately: {cuts}."
    screen.print(sentence, markup=False, soft_wrap=True)
