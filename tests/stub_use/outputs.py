"""The network as it is."""

from mobilenets.tasks.forms import Form, relative_difference

OPTIONS = {}


def form(model, card):
    return Form(model, model, card, relative_difference)


def guess(shapes, last):
    return None
