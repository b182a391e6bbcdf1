"""What happens in a generated clip, and how it is told: one to three events, each with its own actor."""

import re
from dataclasses import dataclass
from random import Random

from hbi.data.dataset import Phrases
from hbi.seeds import spread

COLOURS = {
    "red": (225, 35, 35),
    "green": (40, 190, 60),
    "blue": (50, 90, 245),
    "yellow": (250, 225, 45),
    "orange": (250, 135, 15),
    "purple": (165, 50, 215),
    "white": (245, 245, 245),
}
FORMS = ("circle", "ring", "square", "triangle", "cross")
ROUND = ("circle", "ring")  # turning does not show
ACTIONS = ("appear", "move", "grow", "blink", "turn", "meet")
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

_NOUN = re.compile(rf"\b({'|'.join(COLOURS)}) ({'|'.join(FORMS)})\b")
_VERB = re.compile(rf"\b({'|'.join(ACTIONS)})s( ({'|'.join(DIRECTIONS)}))?\b")


@dataclass(frozen=True)
class Shape:
    """A coloured form: a key of COLOURS and one of FORMS."""

    colour: str
    form: str

    def __str__(self) -> str:
        return f"{self.colour} {self.form}"


@dataclass(frozen=True)
class Event:
    """``actor`` does ``action`` (one of ACTIONS), alone on the screen but for the shape that it may meet.

    ``direction`` (a key of DIRECTIONS) is where it moves; captions tell it for "move" alone.
    ``centre`` (x, y from the upper left corner) and ``radius`` are shares of the picture's side, never told.
    """

    actor: Shape
    action: str
    direction: str
    met: Shape | None
    centre: tuple[float, float]
    radius: float

    def predicate(self) -> str:
        """What the actor does: "moves left", "grows", "meets a blue square"."""
        return self._completed(f"{self.action}s")

    def infinitive(self) -> str:
        """The same after "to": "move left", "grow", "meet a blue square"."""
        return self._completed(self.action)

    def _completed(self, verb: str) -> str:
        if self.action == "move":
            return f"{verb} {self.direction}"
        return f"{verb} {_with_article(self.met)}" if self.met else verb


Scene = tuple[Event, ...]


def sample_scene(seed: int) -> Scene:
    """One to three events; no colour and form come together twice: "the red circle" is always one shape."""
    random = Random(seed)
    events: list[Event] = []
    unused = [Shape(colour, form) for colour in COLOURS for form in FORMS]
    random.shuffle(unused)
    for _ in range(random.randint(1, 3)):
        actor = unused.pop()
        excluded = {"turn"} if actor.form in ROUND else set()
        if any(event.met for event in events):  # one meeting a clip: two would not fit into 24 tokens
            excluded.add("meet")
        action = random.choice([name for name in ACTIONS if name not in excluded])
        events.append(
            Event(
                actor=actor,
                action=action,
                direction=random.choice(list(DIRECTIONS)),
                met=unused.pop() if action == "meet" else None,
                centre=(random.uniform(0.44, 0.56), random.uniform(0.44, 0.56)),
                radius=random.uniform(0.17, 0.2),
            )
        )
    return tuple(events)


def caption(scene: Scene) -> str:
    """The events in their order: "a red circle moves left, then a blue square grows"."""
    return ", then ".join(f"{_with_article(event.actor)} {event.predicate()}" for event in scene)


def phrases(caption: str) -> Phrases:
    """Of a caption: its shapes without article ("red circle"), and what they do, with its direction ("moves left")."""
    nouns, verbs = (tuple(found.span() for found in pattern.finditer(caption)) for pattern in (_NOUN, _VERB))
    return Phrases(nouns, verbs)


def scenes(seed: int, split: str, count: int, distinct: bool) -> list[Scene]:
    """``count`` scenes of a split, no two with the same caption if ``distinct``.

    A longer list begins with the shorter one, and no split depends on another.
    """
    found: list[Scene] = []
    captions: set[str] = set()
    attempt = 0
    while len(found) < count:
        scene = sample_scene(spread(seed, "shapes", split, attempt))
        attempt += 1
        if not distinct or caption(scene) not in captions:
            found.append(scene)
            captions.add(caption(scene))
    return found


def _with_article(shape: Shape) -> str:
    return f"{'an' if shape.colour[0] in 'aeiou' else 'a'} {shape}"
