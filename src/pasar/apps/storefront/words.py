"""Words of the trade that merchants write into options and attributes, and that shops of every language know.

What is not among them is shown as the merchant wrote it."""

from pasar.apps.pages.sentences import mark

NAMES = (mark("colour"), mark("size"), mark("origin"), mark("material"), mark("format"), mark("switches"))
COLOURS = (
    mark("black"), mark("white"), mark("grey"), mark("charcoal"), mark("ink"), mark("navy"), mark("indigo"),
    mark("sky"), mark("mint"), mark("sage"), mark("moss"), mark("celadon"), mark("oat"), mark("cream"), mark("sand"),
    mark("natural"), mark("camel"), mark("tan"), mark("walnut"), mark("rust"), mark("rose"), mark("plum"),
    mark("red"), mark("brown"),
)  # fmt: skip
MATERIALS = (
    mark("wool"), mark("merino wool"), mark("cashmere"), mark("cotton"), mark("linen"), mark("silk"), mark("leather"),
    mark("paper yarn"), mark("recycled nylon"), mark("recycled polyester"),
)  # fmt: skip
