"""Typed words for the look of a page, and the word that the encoder says for it (see models.local.page_looks)."""

from __future__ import annotations

_FORMS = {
    "receipt": "receipts till slip ticket bill",
    "form": "forms questionnaire application worksheet",
    "invoice": "invoices bill billing",
    "letter": "letters correspondence memo memorandum",
    "text": "texts paragraph paragraphs prose article contract essay",
    "table": "tables tabular tabulated spreadsheet schedule listing",
    "newspaper": "newspapers clipping gazette magazine press",
    "slide": "slides presentation powerpoint deck",
    "card": "cards licence license badge identity passport",
    "cheque": "cheques check checks",
    "columns": "multicolumn twocolumn twocolumns threecolumn threecolumns doublecolumn",
    "brochure": "brochures flyer flyers leaflet pamphlet poster advert advertisement",
    "label": "labels sticker stickers tag tags",
    "photographed": "snapshot camera angle desk",
    "skewed": "crooked tilted slanted askew rotated",
    "crumpled": "creased wrinkled folded fold folds crease creases",
    "typewriter": "typewritten typed monospaced monospace courier",
    "handwriting": "handwritten hand written handwrote manuscript cursive script scribbled scribble pen penned notes "
    "circled",
    "signature": "signed signatures autograph sign initials scribbled scribble",
    "stamp": "stamped stamps seal seals sealed postmark rubberstamp rubberstamped",
    "barcode": "barcodes barcoded",
    "qrcode": "qr qrcodes",
    "logo": "logos emblem crest symbol icon",
    "photo": "photos photograph photographs picture pictures image images portrait headshot",
    "chart": "charts graph graphs plot plots histogram bars curve curves pie",
    "map": "maps mapped",
    "diagram": "diagrams drawing drawings sketch flowchart schematic illustration figure arrows",
    "checkbox": "checkboxes tickbox tickboxes ticked tick ticks squares",
    "turquoise": "cyan teal aqua",
    "purple": "violet lilac mauve",
    "pink": "magenta rose salmon",
    "brown": "tan beige sepia",
    "yellow": "yellowish highlighted highlighter cream gold golden",
    "red": "reddish crimson maroon",
    "blue": "bluish navy",
    "green": "greenish",
    "orange": "beige cream",
    "colourful": "colorful coloured colored colour color colours colors multicoloured multicolored",
    "grey": "gray greyish grayish",
    "monochrome": "blackandwhite bw greyscale grayscale",
    "dark": "dim shadowy underexposed gloomy darkened",
    "pale": "faded faint light washed bleached illegible unreadable",
    "tall": "narrow long strip slim thin",
    "landscape": "wide horizontal",
    "small": "tiny little",
    "blank": "empty sparse unfilled",
    "dense": "crowded crammed packed busy",
    "grid": "gridded boxes boxed box ruled lines lined cells",
    "black": "",
}  # fmt: skip
LOOKS = tuple(_FORMS)
"""Every word that may be said of a page."""
SAID: dict[str, tuple[str, ...]] = {look: (look,) for look in _FORMS}
"""Typed word -> the looks that it may mean."""
for _look, _words in _FORMS.items():
    for _word in _words.split():
        SAID[_word] = (*SAID.get(_word, ()), _look)
LAYOUT = frozenset((
    "page", "pages", "document", "documents", "doc", "paper", "sheet", "scan", "scanned", "copy", "top", "bottom",
    "left", "right", "side", "sides", "edge", "edges", "corner", "corners", "middle", "centre", "center", "upper",
    "lower", "big", "large", "huge", "small", "tiny", "little", "nearly", "almost", "mostly", "partly", "like",
    "look", "looks", "looking", "shows", "showing", "shown", "lying", "printed", "marked", "several", "two", "three",
    "whole", "full", "plain", "heading", "title", "style", "kind", "filled", "filling", "print", "ink", "background",
    "white", "thick", "bold", "round", "rectangular", "oval", "tint", "tinted", "line", "across", "around", "near",
    "next", "using", "drawn",
))  # fmt: skip
"""Words that say where or how in a question for a look, and would be found in print by chance."""
