"""What somebody's file calls its classes, beside its tensors or in a file of its own."""

from dataclasses import replace
from pathlib import Path

from mobilenets.runtime.foreign.names import names_beside
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.containers.pickle import StoredState


def with_words(found: Foreign, stored: StoredState, note: str) -> Foreign:
    """With what the file says beside its tensors: classes, and which of several networks it is."""
    card, remarks = found.card, [*filter(None, (stored.note, note)), *found.remarks]
    outputs = card.arguments.get("classes")
    if not found.unread and outputs is not None:
        if len(stored.labels) in (outputs, outputs + (outputs == 1)):
            card = card.replace(labels=stored.labels)
        elif stored.labels:
            remarks.append(
                f"its {len(stored.labels)} names of classes do not fit its {outputs} outputs"
            )
        elif stored.unnamed:
            remarks.append(stored.unnamed)
    if stored.note:
        card = card.replace(source=f"{card.source}; {stored.note}")
    return replace(found, card=card, remarks=tuple(remarks))


def with_names_beside(found: Foreign, path: Path) -> Foreign:
    """With the names that a file beside it has, where the file itself has none.

    Names that are there and do not fit are a remark.
    """
    outputs = found.card.arguments.get("classes")
    if found.unread or found.card.labels or not isinstance(outputs, int):
        return found
    names, words = names_beside(path, outputs)
    if not names:
        return replace(found, remarks=(*found.remarks, *filter(None, [words])))
    card = found.card.replace(labels=names, source=f"{found.card.source}; {words}")
    return replace(found, card=card)
