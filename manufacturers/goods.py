"""A pleasant catalogue out of nothing but a seed: things one finds in a good hardware and household shop.

G1  The same seed and settings give the same manufacturers, goods and prices, in whatever process they are made up.
G2  A sku means the same good whoever makes it; several manufacturers make the same good, at prices of their own.
G3  Manufacturers' names are distinct, and so are the names of goods.
"""

import math
import random
from dataclasses import dataclass

from manufacturers.catalogue import Good
from manufacturers.ledger import Product

CURRENCY = "GBP"  # as the distributor's default
PRICE_SPREAD = 0.15  # a manufacturer's price differs from the usual one by up to this part


@dataclass(frozen=True)
class Department:
    """Kinds of things, (code, name, usual price in minor units), and the styles that suit all of them."""

    kinds: tuple[tuple[str, str, int], ...]
    styles: tuple[str, ...]


# fmt: off
DEPARTMENTS = (
    Department(
        (("AXE", "Splitting Axe", 4200), ("HMR", "Claw Hammer", 1850), ("SAW", "Panel Saw", 2400),
         ("PLN", "Block Plane", 5200), ("CHS", "Chisel Set", 3900), ("SPN", "Adjustable Spanner", 1650),
         ("DRV", "Screwdriver Set", 2100), ("DRL", "Hand Drill", 3400), ("TAP", "Tape Measure", 950),
         ("LVL", "Spirit Level", 1900), ("TBX", "Toolbox", 3600), ("MLT", "Mallet", 1750)),
        ("Oak-Handled", "Ash-Handled", "Beech-Handled", "Hickory", "Forged", "Blued Steel", "Stainless", "Chrome",
         "Brass-Bound", "Joiner's", "Mason's", "Apprentice", "Workshop", "Heritage"),
    ),
    Department(
        (("SPD", "Spade", 3200), ("RKE", "Rake", 2300), ("TRW", "Trowel", 1200), ("SEC", "Secateurs", 2600),
         ("CAN", "Watering Can", 2200), ("PLT", "Planter", 1800), ("BRD", "Bird Feeder", 1450), ("HOE", "Hoe", 2050),
         ("FRK", "Border Fork", 2950), ("SVE", "Soil Sieve", 1250), ("LAN", "Storm Lantern", 2800),
         ("TRG", "Garden Trug", 2700)),
        ("Copper", "Galvanised", "Stainless", "Ash", "Oak", "Forest Green", "Harbour Blue", "Barn Red", "Cottage",
         "Allotment", "Greenhouse", "Orchard", "Balcony", "Heritage"),
    ),
    Department(
        (("KTL", "Kettle", 3800), ("PAN", "Frying Pan", 3100), ("POT", "Stock Pot", 4400), ("SKL", "Skillet", 3500),
         ("BWL", "Mixing Bowl", 1500), ("MUG", "Mug", 900), ("TPT", "Teapot", 2700), ("JAR", "Storage Jar", 1100),
         ("SCL", "Kitchen Scales", 2900), ("TIN", "Cake Tin", 1300), ("COL", "Colander", 1650), ("FLS", "Flask", 2350)),
        ("Copper", "Enamelled", "Stainless", "Polished", "Hammered", "Cream", "Harbour Blue", "Forest Green", "Barn Red",
         "Mustard", "Farmhouse", "Bistro", "Baker's", "Heritage"),
    ),
    Department(
        (("LMP", "Table Lamp", 4600), ("FLM", "Floor Lamp", 8900), ("CLK", "Wall Clock", 3300),
         ("ALM", "Alarm Clock", 1900), ("MIR", "Round Mirror", 5400), ("FRM", "Picture Frame", 1400),
         ("CND", "Candle Holder", 1350), ("STL", "Step Stool", 4100), ("SHF", "Wall Shelf", 3700),
         ("BKE", "Bookend", 2150), ("TRY", "Serving Tray", 2250), ("HKS", "Coat Hooks", 1550)),
        ("Oak", "Walnut", "Beech", "Brass", "Copper", "Matt Black", "Cream", "Mustard", "Harbour Blue", "Forest Green",
         "Cottage", "Parlour", "Library", "Heritage"),
    ),
    Department(
        (("BLN", "Blanket", 6500), ("CSH", "Cushion", 2450), ("RUG", "Hearth Rug", 7200), ("TWL", "Tea Towel", 850),
         ("APR", "Apron", 1950), ("TCL", "Tablecloth", 3450), ("CRT", "Curtain", 5600), ("BAG", "Shopping Bag", 1850),
         ("UMB", "Umbrella", 3150), ("SCF", "Scarf", 2750)),
        ("Lambswool", "Linen", "Cotton", "Herringbone", "Tartan", "Striped", "Checked", "Cream", "Charcoal", "Mustard",
         "Harbour Blue", "Forest Green", "Heather", "Heritage"),
    ),
    Department(
        (("TRN", "Train", 2600), ("BLC", "Building Blocks", 2200), ("PZL", "Jigsaw Puzzle", 1600), ("YYO", "Yo-yo", 700),
         ("SKT", "Skittles", 1950), ("MRB", "Marble Run", 3400), ("CHK", "Chess Set", 4300), ("TOP", "Spinning Top", 850),
         ("DMN", "Dominoes", 1450), ("DRM", "Tin Drum", 2050)),
        ("Beech", "Maple", "Painted", "Scarlet", "Sky Blue", "Sunny Yellow", "Apple Green", "Midnight", "Rainbow",
         "Nursery", "Classic", "Pocket", "Tournament", "Heritage"),
    ),
)
# fmt: on
NUMBERS = 12  # "No. 1" to "No. 12" of each, the higher the dearer
PRICE_STEP = 0.08  # from one number to the next
STYLED = tuple((kind, style) for part in DEPARTMENTS for kind in part.kinds for style in enumerate(part.styles, 1))
GOODS_COUNT = len(STYLED) * NUMBERS  # 11 424, more than one manufacturer may make

FAMILIES = (
    "Alder", "Ashdown", "Barrow", "Birchall", "Blackwood", "Bramley", "Calder", "Carraway", "Coldwell", "Dunmore",
    "Eastwick", "Elmsley", "Fairburn", "Fenwick", "Garrick", "Greystone", "Hallam", "Hartley", "Hawthorne", "Holloway",
    "Kestrel", "Langford", "Linden", "Marlow", "Mayfield", "Northcote", "Oakes", "Pemberton", "Quayle", "Redfern",
    "Rowan", "Selby", "Sterling", "Tamsin", "Thornbury", "Underhill", "Vale", "Wainwright", "Westbrook", "Yarrow",
)  # fmt: skip
TRADES = (
    "& Sons", "& Daughters", "Brothers", "Sisters", "Works", "Foundry", "Mill", "Forge", "Workshop", "Manufactory",
    "Trading", "Supply", "& Finch", "& Wren", "& Hare", "Makers",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How large the catalogue is to be; all from the settings."""

    seed: int
    codes: tuple[str, ...]
    products_per_manufacturer: int
    initial_units: int
    units_per_month: int


def manufacturer_names(seed: int, codes: tuple[str, ...]) -> dict[str, str]:
    """A name for each code (G3)."""
    numbers = _random(seed, "names").sample(range(len(FAMILIES) * len(TRADES)), len(codes))
    return {
        code: f"{FAMILIES[number % len(FAMILIES)]} {TRADES[number // len(FAMILIES)]}"
        for code, number in zip(codes, numbers, strict=True)
    }


def goods_of(plan: Plan, code: str) -> list[Good]:
    """What the manufacturer makes, by sku: a part of all goods that are made, so that some are made by others too."""
    made_by_anyone = min(GOODS_COUNT, math.ceil(plan.products_per_manufacturer * (1 + (len(plan.codes) - 1) / 4)))
    common = _random(plan.seed, "goods").sample(range(GOODS_COUNT), made_by_anyone)
    own = _random(plan.seed, code)
    rate = plan.units_per_month / plan.products_per_manufacturer
    products = [
        _product(number, own.uniform(-PRICE_SPREAD, PRICE_SPREAD), plan.initial_units)
        for number in own.sample(common, plan.products_per_manufacturer)
    ]
    return [Good(product, rate) for product in sorted(products, key=lambda product: product.sku)]


def _product(number: int, deviation: float, initial_units: int) -> Product:
    (code, kind, usual), (style_number, style) = STYLED[number % len(STYLED)]
    model = number // len(STYLED) + 1
    price = _pleasant(usual * (1 + PRICE_STEP * (model - 1)) * (1 + deviation))
    return Product(f"{code}-{style_number:02}{model:02}", f"{style} {kind} No. {model}", price, CURRENCY, initial_units)


def _pleasant(price: float) -> int:
    """A price as shops like it: in steps of fifty, less one."""
    return max(1, round(price / 50)) * 50 - 1


def _random(seed: int, purpose: str) -> random.Random:
    return random.Random(f"{seed}/{purpose}")  # noqa: S311 - reproducible, not secret
