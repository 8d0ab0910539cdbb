"""A number, in words and as JSON."""


def describe(decoded):
    return [("level", decoded)]


def to_json(decoded):
    return {"level": decoded}


def draw(image, decoded):
    return image


def mask(decoded):
    return None
