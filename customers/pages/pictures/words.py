"""Which words of a good's name say what it is, and which say what colour it has."""

import re
import unicodedata
from collections.abc import Callable

from customers.pages.pictures.drawings import DRAWINGS

# Words, or two or three of them in a row, to the drawing. A drawing's own name needs no entry.
_KINDS = {
    "hatchet": "axe", "sledge": "mallet", "chisel": "chisels", "screwdriver": "chisels", "file": "chisels",
    "wrench": "spanner", "tape measure": "tape", "spirit level": "level", "tool box": "toolbox", "toolbox": "toolbox",
    "shovel": "spade", "border fork": "fork", "garden fork": "fork", "shears": "secateurs", "scissors": "secateurs",
    "watering can": "wateringcan", "plant pot": "planter", "flower pot": "planter", "plant": "planter",
    "vase": "planter", "bird feeder": "birdfeeder", "birdhouse": "birdfeeder", "bird table": "birdfeeder",
    "trug": "basket", "hamper": "basket", "skillet": "pan", "frying pan": "pan", "saucepan": "pot", "stock pot": "pot",
    "casserole": "pot", "dish": "bowl", "cup": "mug", "beaker": "mug", "tumbler": "mug", "teacup": "mug", "jam": "jar",
    "storage jar": "jar", "kitchen scales": "scales", "cake tin": "tin", "cake tins": "tin", "canister": "tin",
    "lunch box": "tin", "thermos": "flask", "jug": "teapot", "tea pot": "teapot", "saucer": "plate", "coaster": "plate",
    "cakestand": "cake", "cake stand": "cake", "cupcake": "cake", "cake cases": "cake", "spoon": "cutlery",
    "knife": "cutlery", "table lamp": "lamp", "lampshade": "lamp", "floor lamp": "floorlamp", "wall clock": "clock",
    "watch": "clock", "alarm clock": "alarmclock", "picture frame": "frame", "photo frame": "frame", "picture": "frame",
    "candlestick": "candle", "candle holder": "candle", "t light": "candle", "tlight": "candle", "tea light": "candle",
    "lights": "light", "garland": "bunting", "step stool": "stool", "bench": "stool", "armchair": "chair",
    "desk": "table", "cabinet": "crate", "drawer": "crate", "book shelf": "shelf", "rack": "shelf",
    "coat hooks": "hooks", "hook": "hooks", "hanger": "hooks", "plaque": "sign", "chalkboard": "sign",
    "notice board": "sign", "doorstop": "house", "dolls house": "house", "journal": "book", "notebook": "book",
    "album": "book", "quilt": "blanket", "throw": "blanket", "pillow": "cushion", "carpet": "rug", "doormat": "rug",
    "mat": "rug", "tea towel": "towel", "napkin": "tablecloth", "table cloth": "tablecloth", "runner": "tablecloth",
    "shopper": "bag", "purse": "bag", "tote": "bag", "satchel": "bag", "parasol": "umbrella", "shawl": "scarf",
    "stole": "scarf", "jumper": "shirt", "pyjamas": "shirt", "cap": "hat", "tea cosy": "hat", "glove": "gloves",
    "mitten": "gloves", "hand warmer": "gloves", "hottie": "hotwaterbottle", "hot water bottle": "hotwaterbottle",
    "building block": "blocks", "building blocks": "blocks", "cube": "blocks", "jigsaw": "puzzle",
    "jigsaw puzzle": "puzzle", "yo yo": "yoyo", "skittle": "skittles", "marble run": "marblerun", "chess set": "chess",
    "spinning top": "top", "domino": "dominoes", "tin drum": "drum", "teddy": "bear", "babushka": "doll",
    "matryoshka": "doll", "snowman": "doll", "fairy": "doll", "van": "car", "pencil": "pencils", "pen": "pencils",
    "crayon": "pencils", "chalk": "pencils", "christmas tree": "tree", "bauble": "bauble", "owl": "bird", "hen": "bird",
    "chick": "bird", "robin": "bird", "dove": "bird", "rose": "flower", "daisy": "flower", "letter": "card",
    "postcard": "card", "stationery": "card", "wrap": "paper", "paper chain": "bunting", "tissues": "paper",
    "ribbon": "bow", "bracelet": "ring", "necklace": "ring", "earrings": "ring", "bead": "ring", "parcel": "gift",
    "decoration": "bauble", "ornament": "bauble", "incense": "candle", "sponge": "soap", "crate": "crate",
    "shades": "hat", "sombrero": "hat", "hairband": "comb", "tiara": "comb", "hair band": "comb", "hair clip": "comb",
    "hairclip": "comb", "hair grip": "comb", "hairslide": "comb", "headphones": "hat", "washbag": "bag",
    "handbag": "bag", "sack": "bag", "passport cover": "book", "vippassport cover": "book", "calendar": "book",
    "album cover": "book", "notelet": "card", "invite": "card", "postage": "card", "stamp": "blocks",
    "writing set": "pencils", "paint set": "pencils", "colouring set": "pencils", "stencil": "pencils",
    "rubber": "pencils", "eraser": "pencils", "ruler": "pencils", "clay": "blocks", "sticker": "stickers",
    "tattoo": "stickers", "patch": "stickers", "photoframe": "frame", "wall art": "frame", "memo board": "sign",
    "memoboard": "sign", "blackboard": "sign", "black board": "sign", "doorsign": "sign", "slate": "sign",
    "height chart": "sign", "pennant": "bunting", "tinsel": "bunting", "confetti": "bunting", "windsock": "bunting",
    "rosette": "flower", "luggage tag": "tag", "metal tag": "tag", "herb marker": "tag", "badge": "stickers",
    "charm": "ring", "brooch": "ring", "bangle": "ring", "choker": "ring", "neckl": "ring", "earring": "ring",
    "jewel": "ring", "placemat": "tablecloth", "doilies": "tablecloth", "flannel": "towel", "bib": "apron",
    "egg cosy": "egg", "egg warmer": "egg", "egg holder": "egg", "egg cup": "egg", "food cover": "umbrella",
    "umbrella cover": "umbrella", "hammock": "blanket", "filler pad": "cushion", "kneeling pad": "cushion",
    "pouffe": "cushion", "squarecushion": "cushion", "sock": "shoe", "slipper": "shoe", "puppet": "doll",
    "poncho": "coat", "rain mac": "coat", "skirt": "coat", "jacket": "coat", "candleholder": "candle",
    "candlepot": "candle", "tealight": "candle", "chocolatecandle": "candle", "oil burner": "candle", "matches": "box",
    "chandelier": "lamp", "torch": "flask", "chime": "bell", "bead string": "ring", "rocking horse": "animal",
    "b fly": "butterfly", "flying duck": "bird", "gnome": "doll", "gingerbread man": "cake", "soft toy": "bear",
    "glider": "helicopter", "flying disc": "plate", "ludo": "dominoes", "bingo": "dominoes",
    "snakes ladders": "dominoes", "croquet": "mallet", "rounders": "ball", "skipping rope": "yoyo",
    "knitting nancy": "yoyo", "globe": "ball", "playhouse": "house", "carriage": "car", "cab": "car",
    "wheelbarrow": "trowel", "mobile": "bauble", "droplet": "bauble", "snowflake": "star", "icicle": "bauble",
    "stocking": "shoe", "caddy": "tin", "container": "tin", "cannister": "tin", "bin": "tin", "bank": "tin",
    "piggy bank": "tin", "treasure chest": "crate", "chest": "crate", "wall tidy": "hooks", "tidy": "hooks",
    "wastepaper bin": "basket", "basin": "bowl", "bucket": "pot", "fruitbowl": "bowl", "platter": "plate",
    "breakfast set": "plate", "tea set": "teapot", "coffee set": "teapot", "tea for one": "teapot",
    "utensil holder": "cutlery", "chopstick": "cutlery", "cooking set": "cutlery", "baking set": "cake",
    "baking mould": "cake", "cookie cutter": "cake", "petit four": "cake", "mini cases": "cake",
    "popcorn holder": "jar", "party cone": "hat", "toastrack": "tray", "toast": "plate", "squeezer": "bowl",
    "straw": "glass", "chalice": "glass", "ashtray": "bowl", "cloche": "glass", "newspaper stand": "crate",
    "seat": "chair", "drawerknob": "hooks", "drawer knob": "hooks", "knob": "hooks", "paperweight": "shell",
    "p weight": "shell", "calculator": "blocks", "radio": "alarmclock", "boombox": "alarmclock", "sunglasses": "mirror",
    "photo clip": "hooks", "clip": "hooks", "peg": "hooks", "fob": "key", "keyring": "key", "sewing": "box",
    "sewing kit": "box", "needle": "box", "first aid kit": "box", "twine": "yoyo", "ball of string": "yoyo",
    "herbs": "planter", "grow your own": "planter", "sow n grow": "planter", "brush": "rake", "fly swat": "rake",
    "tool set": "toolbox", "scissor": "secateurs", "fan": "windmill", "toilet roll": "paper", "tissue": "paper",
    "ironing board cover": "tablecloth",
}  # fmt: skip

# What is drawn only if nothing else is named: it is as often the decoration of a thing as the thing itself.
_DECORATIONS = {
    "angel": "doll", "animal": "animal", "bell": "bell", "buddha": "doll", "bunnies": "rabbit", "bunny": "rabbit",
    "butterflies": "butterfly", "butterfly": "butterfly", "cadet": "doll", "cat": "animal", "chicken": "bird",
    "coffee": "mug", "cover": "tablecloth", "crawlie": "butterfly", "crawlies": "butterfly", "dinosaur": "animal",
    "dog": "animal", "doggy": "animal", "dolphin": "animal", "dragonfly": "butterfly", "duck": "bird", "egg": "egg",
    "elephant": "animal", "envelope": "card", "feltcraft": "doll", "filigree": "bauble", "flag": "bunting",
    "frog": "animal", "gecko": "animal", "geisha": "doll", "girl": "doll", "glass": "glass", "hand": "gloves",
    "hare": "rabbit", "horse": "animal", "kitten": "animal", "mice": "animal", "monster": "bear",
    "mushroom": "mushroom", "ninja": "doll", "pear": "bauble", "print": "frame", "rabbit": "rabbit", "robot": "bear",
    "seed": "planter", "sheep": "animal", "shell": "shell", "sketchbook": "book", "snake": "animal",
    "toadstool": "mushroom", "toy": "bear", "tube": "paper",
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
    return _last_kind(words, _thing) or _last_kind(words, _decoration)


def _last_kind(words: list[str], read: Callable[[str], str]) -> str:
    for end in range(len(words), 0, -1):
        for length in range(min(_PHRASE_WORDS, end), 0, -1):
            kind = read(" ".join(words[end - length : end]))
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


def _thing(phrase: str) -> str:
    for form in _forms(phrase):
        kind = _KINDS.get(form, form)
        if kind in DRAWINGS and form not in _DECORATIONS:
            return kind
    return ""


def _decoration(phrase: str) -> str:
    return next((_DECORATIONS[form] for form in _forms(phrase) if form in _DECORATIONS), "")


def _forms(phrase: str) -> tuple[str, str, str]:
    """As it is, and as one of many."""
    return phrase, phrase.removesuffix("s"), phrase.removesuffix("es")
