"""Makes a folder of some emoji in two styles, for the example.

    npm pack @iconify-json/noto@1.2.9 && mkdir noto && tar xzf iconify-json-noto-1.2.9.tgz -C noto
    npm pack @lobehub/fluent-emoji-3d@1.1.0 && mkdir fluent && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz -C fluent
    pip install pillow resvg-py
    python prepare.py noto/package fluent/package emoji

Noto Emoji are by Google (Apache-2.0), Fluent Emoji by Microsoft (MIT).
"""

import json
import sys
from io import BytesIO
from pathlib import Path

import resvg_py
from PIL import Image

SIDE = 256

# Name in Noto, code point, and captions.
EMOJI = [
    ("red-apple", "1f34e", ["red apple", "apple"]),
    ("rocket", "1f680", ["rocket"]),
    ("octopus", "1f419", ["octopus"]),
    ("house", "1f3e0", ["house"]),
    ("cat-face", "1f431", ["cat face", "cat"]),
    ("rose", "1f339", ["red rose", "rose"]),
    ("smiling-face-with-sunglasses", "1f60e", ["smiling face with sunglasses", "smiling face"]),
    ("hot-beverage", "2615", ["cup of coffee", "coffee"]),
]


def flat(noto, name):
    icons = json.loads((noto / "icons.json").read_text())
    width, height = icons["width"], icons["height"]
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
           f'viewBox="0 0 {width} {height}">{icons["icons"][name]["body"]}</svg>')
    return Image.open(BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE))))


def main(noto, fluent, out):
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "metadata.jsonl", "w") as metadata:
        for name, code, captions in EMOJI:
            pictures = {"flat": flat(noto, name), "3d": Image.open(fluent / "assets" / f"{code}.webp")}
            for style, picture in pictures.items():
                file = f"{name}-{style}.png"
                picture.convert("RGBA").resize((SIDE, SIDE), Image.LANCZOS).save(out / file)
                texts = [f"{style} {caption}" for caption in captions] + captions
                metadata.write(json.dumps({"file_name": file, "text": texts}) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
