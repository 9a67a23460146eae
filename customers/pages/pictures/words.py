"""Which words of a good's name say what it is, and which say what colour it has."""

import re
import unicodedata

from customers.pages.pictures.drawings import DRAWINGS

# Words, or two or three of them in a row, to the drawing. A drawing's own name needs no entry.
_KINDS = {
    "hatchet": "axe", "sledge": "mallet", "chisel": "chisels", "screwdriver": "chisels", "file": "chisels",
    "wrench": "spanner", "tape measure": "tape", "spirit level": "level", "tool box": "toolbox", "toolbox": "toolbox",
    "shovel": "spade", "border fork": "fork", "garden fork": "fork", "shears": "secateurs", "scissors": "secateurs",
    "watering can": "wateringcan", "plant pot": "planter", "flower pot": "planter", "plant": "planter", "vase": "planter",
    "bird feeder": "birdfeeder", "birdhouse": "birdfeeder", "bird table": "birdfeeder", "trug": "basket",
    "hamper": "basket", "skillet": "pan", "frying pan": "pan", "saucepan": "pot", "stock pot": "pot", "casserole": "pot",
    "dish": "bowl", "cup": "mug", "beaker": "mug", "tumbler": "mug", "teacup": "mug", "jam": "jar", "storage jar": "jar",
    "kitchen scales": "scales", "cake tin": "tin", "cake tins": "tin", "canister": "tin", "lunch box": "tin",
    "thermos": "flask", "jug": "teapot", "tea pot": "teapot", "saucer": "plate", "coaster": "plate",
    "cakestand": "cake", "cake stand": "cake", "cupcake": "cake", "cake cases": "cake", "spoon": "cutlery",
    "knife": "cutlery", "table lamp": "lamp", "lampshade": "lamp", "floor lamp": "floorlamp", "wall clock": "clock",
    "watch": "clock", "alarm clock": "alarmclock", "picture frame": "frame", "photo frame": "frame", "picture": "frame",
    "candlestick": "candle", "candle holder": "candle", "t light": "candle", "tlight": "candle", "tea light": "candle",
    "lights": "light", "garland": "bunting", "step stool": "stool", "bench": "stool", "armchair": "chair", "desk": "table",
    "cabinet": "crate", "drawer": "crate", "book shelf": "shelf", "rack": "shelf", "coat hooks": "hooks", "hook": "hooks",
    "hanger": "hooks", "plaque": "sign", "chalkboard": "sign", "notice board": "sign", "doorstop": "house",
    "dolls house": "house", "journal": "book", "notebook": "book", "album": "book", "quilt": "blanket", "throw": "blanket",
    "pillow": "cushion", "carpet": "rug", "doormat": "rug", "mat": "rug", "tea towel": "towel", "napkin": "tablecloth",
    "table cloth": "tablecloth", "runner": "tablecloth", "shopper": "bag", "purse": "bag", "tote": "bag", "satchel": "bag",
    "parasol": "umbrella", "shawl": "scarf", "stole": "scarf", "jumper": "shirt", "pyjamas": "shirt", "cap": "hat",
    "tea cosy": "hat", "glove": "gloves", "mitten": "gloves", "hand warmer": "gloves", "hottie": "hotwaterbottle",
    "hot water bottle": "hotwaterbottle", "building block": "blocks", "building blocks": "blocks", "cube": "blocks",
    "jigsaw": "puzzle", "jigsaw puzzle": "puzzle", "yo yo": "yoyo", "skittle": "skittles", "marble run": "marblerun",
    "chess set": "chess", "spinning top": "top", "domino": "dominoes", "tin drum": "drum", "teddy": "bear",
    "babushka": "doll", "matryoshka": "doll", "snowman": "doll", "fairy": "doll", "van": "car", "pencil": "pencils",
    "pen": "pencils", "crayon": "pencils", "chalk": "pencils", "christmas tree": "tree", "bauble": "bauble", "owl": "bird",
    "hen": "bird", "chick": "bird", "robin": "bird", "dove": "bird", "rose": "flower", "daisy": "flower",
    "letter": "card", "postcard": "card", "stationery": "card", "wrap": "paper", "paper chain": "bunting",
    "tissues": "paper", "ribbon": "bow", "bracelet": "ring", "necklace": "ring", "earrings": "ring", "bead": "ring",
    "parcel": "gift", "decoration": "bauble", "ornament": "bauble", "incense": "candle", "sponge": "soap", "crate": "crate",
}  # fmt: skip

# The good's own colour, by the words for it.
_TINTS = {
    "steel": "#9fb0b8", "copper": "#c5713f", "brass": "#c79a35", "oak": "#bd8a4c", "walnut": "#71503a", "beech": "#d6a973",
    "black": "#3b4044", "cream": "#ecdcb4", "mustard": "#cf9a1c", "blue": "#3a6f97", "green": "#3f7654", "red": "#b1402f",
    "sky": "#6fabd0", "yellow": "#e8b62c", "apple": "#83b045", "midnight": "#2f3a66", "charcoal": "#53585e",
    "heather": "#94759f", "pink": "#dd8aa0", "purple": "#74548f", "orange": "#d9772b", "brown": "#87603f",
    "white": "#f4f1ea", "silver": "#b9c2c7", "teal": "#2f8079", "coral": "#d9644f", "plum": "#7d3f5f", "olive": "#84893f",
}  # fmt: skip
_TINT_WORDS = {
    "stainless": "steel", "galvanised": "steel", "chrome": "steel", "polished": "silver", "forged": "charcoal",
    "blued": "midnight", "iron": "charcoal", "zinc": "steel", "slate": "charcoal", "hammered": "copper", "bronze": "copper",
    "ash": "beech", "maple": "beech", "hickory": "oak", "wood": "oak", "wooden": "oak", "wicker": "oak", "bamboo": "beech",
    "gold": "brass", "golden": "brass", "ivory": "cream", "linen": "cream", "cotton": "white", "lambswool": "cream",
    "enamelled": "white", "antique": "cream", "vintage": "coral", "forest": "green", "harbour": "blue", "navy": "midnight",
    "barn": "red", "scarlet": "red", "tartan": "red", "retrospot": "red", "sunny": "yellow", "lemon": "yellow", "rose": "pink",
    "lilac": "heather", "lavender": "heather", "violet": "purple", "chocolate": "brown", "tan": "brown", "fawn": "beech",
    "grey": "silver", "gray": "silver", "glass": "teal", "turquoise": "teal", "mint": "teal", "jade": "teal",
}  # fmt: skip

# Colours that some things have when their name is silent: an axe is not pink.
_METAL = ("steel", "charcoal", "midnight", "silver", "red", "green")
_USUAL_TINTS = dict.fromkeys(
    ("axe", "hammer", "saw", "plane", "chisels", "spanner", "drill", "spade", "fork", "rake", "hoe", "trowel", "secateurs"),
    _METAL,
) | {
    "cutlery": ("steel", "silver", "brass", "copper"), "pan": ("charcoal", "steel", "copper", "red"),
    "sieve": ("steel", "oak", "beech"), "basket": ("oak", "beech", "walnut", "brown"), "crate": ("oak", "beech", "walnut"),
    "tree": ("green", "teal", "apple"), "wreath": ("red", "cream", "plum"), "bear": ("brown", "oak", "cream", "charcoal"),
    "shelf": ("oak", "walnut", "beech", "white", "black"), "chair": ("oak", "walnut", "blue", "red", "green", "black"),
    "stool": ("oak", "walnut", "beech", "green"), "table": ("oak", "walnut", "beech"), "mallet": ("oak", "beech", "walnut"),
}  # fmt: skip

TINTS = _TINTS
WORDS_MAX = 40  # of a name; those after them say nothing new
_PHRASE_WORDS = 3
_NOT_THE_WHOLE = {"handled", "bound", "lined", "trimmed"}  # an oak-handled axe is not made of oak


def words_of(name: str) -> list[str]:
    """Its words in plain lower-case letters, without accents."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.findall("[a-z]+", plain.replace("'", ""))[:WORDS_MAX]


def kind_in(words: list[str]) -> str:
    """The drawing that the last telling word or phrase asks for, or "": English puts the thing itself last."""
    for end in range(len(words), 0, -1):
        for length in range(min(_PHRASE_WORDS, end), 0, -1):
            kind = _kind(" ".join(words[end - length : end]))
            if kind:
                return kind
    return ""


def tint_in(words: list[str]) -> str:
    """The first colour or material that the whole good has, or ""."""
    for place, word in enumerate(words):
        tint = _TINT_WORDS.get(word, word)
        if tint in _TINTS and words[place + 1 : place + 2] not in ([other] for other in _NOT_THE_WHOLE):
            return tint
    return ""


def usual_tint(kind: str, choice: int) -> str:
    """The colour of a thing whose name says none: one of those that suit it, by any number."""
    usual = _USUAL_TINTS.get(kind) or tuple(_TINTS)
    return usual[choice % len(usual)]


def _kind(phrase: str) -> str:
    for form in (phrase, phrase.removesuffix("s"), phrase.removesuffix("es")):
        kind = _KINDS.get(form, form)
        if kind in DRAWINGS:
            return kind
    return ""
