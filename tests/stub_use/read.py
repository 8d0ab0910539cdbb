"""A level is its own answer."""


def decode(outputs, card, sizes, *, top, threshold):
    return [float(level) for level in outputs["level"][:, 0]]
