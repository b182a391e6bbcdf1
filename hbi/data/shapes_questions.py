"""Questions about a generated clip, of the five kinds of MSRVTT-QA: what, who, how, when, where."""

from hbi.data.shapes_scenes import Scene

NUMBERS = ("one", "two", "three")
PLACES = ("first", "second", "third")


def questions(scene: Scene) -> list[tuple[str, str]]:
    """(question, answer) pairs; each answer is one word and the only right one."""
    pairs = [("how many things happen?", NUMBERS[len(scene) - 1])]
    shapes = [shape for event in scene for shape in (event.actor, event.met) if shape]
    forms = [shape.form for shape in shapes]
    predicates = [event.predicate() for event in scene]
    for shape in shapes:
        if forms.count(shape.form) == 1:
            pairs.append((f"what colour is the {shape.form}?", shape.colour))
    for place, event in enumerate(scene):
        pairs.append((f"what does the {event.actor} do?", event.action))
        if predicates.count(event.predicate()) == 1:
            pairs.append((f"who {event.predicate()}?", event.actor.form))
        if event.action == "move":
            pairs.append((f"where does the {event.actor} move?", event.direction))
        if len(scene) > 1:
            pairs.append((f"when does the {event.actor} {event.infinitive()}?", PLACES[place]))
    return pairs
