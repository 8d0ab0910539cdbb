"""The networks' own layers, in the order that `architecture.several.Attributes` runs them."""

from mobilenets.models.bodies import Body
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers

CELEBA = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs"),
    *("Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair"),
    *("Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair"),
    *("Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache"),
    *("Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline"),
    *("Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings"),
    *("Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young"),
)
"""The attributes of faces in CelebA (Liu et al. 2015), in the order of its list."""


def attributes(
    layers: Layers, body: Body, *, classes: int = len(CELEBA), dropout: float = 0.2
) -> None:
    """A body, an average pool, and a fully connected layer behind dropout: a number for each."""
    check(classes=classes, dropout=dropout)
    layers.linear("classifier", layers.pool("pool", body.add(layers)), classes)
