"""Twelve images of odd sizes and modes, and what transformers' image processors (of PIL) make of them: golden/images.

`settings.json` has the processors, `pixels.safetensors` their answers, `<processor>.<file>`. Images without
`do_convert_rgb` are opened as transformers' `load_image` does, with PIL's `convert("RGB")`; the model of one channel is
given grey. EXIF rotation is in one file and no processor applies it.
"""

import json

import numpy as np
import torch
from common import GOLDEN, madeBy, setUp, writeJson, writeTensors
from PIL import Image
from transformers import BitImageProcessor, SiglipImageProcessor, ViTImageProcessor

HOME = GOLDEN / "images"

PROCESSORS = {
    "vit": (ViTImageProcessor, {"size": {"height": 12, "width": 10}}),
    "bit": (BitImageProcessor, {"size": {"shortest_edge": 13}, "crop_size": {"height": 11, "width": 12}}),
    "siglip": (SiglipImageProcessor, {"size": {"height": 9, "width": 11}}),
    "grey": (
        ViTImageProcessor,
        {"size": {"height": 10, "width": 10}, "image_mean": [0.5], "image_std": [0.25], "resample": 3},
    ),
}


def smooth(g, height: int, width: int, channels: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(x / (3 + k) + k) * np.cos(y / (4 + k)) for k in range(channels)]
    return np.clip(np.stack(waves, -1) + g.normal(0, 12, (height, width, channels)), 0, 255).astype(np.uint8)


def images(g) -> dict:
    """Name -> image and how it is saved."""
    rgb = Image.fromarray(smooth(g, 37, 53, 3))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    keyed = Image.fromarray(smooth(g, 15, 21, 3))
    keyed.putpixel((3, 4), (1, 2, 3))
    return {
        "rgb.png": (rgb, {}),
        "tall.png": (Image.fromarray(smooth(g, 61, 13, 3)), {}),
        "tiny.png": (Image.fromarray(smooth(g, 5, 7, 3)), {}),
        "grey.png": (Image.fromarray(smooth(g, 29, 31, 1)[..., 0]), {}),
        "greyAlpha.png": (Image.fromarray(smooth(g, 19, 23, 2)), {}),
        "rgba.png": (Image.fromarray(smooth(g, 27, 17, 4)), {}),
        "palette.png": (rgb.quantize(12), {"transparency": 3}),
        "bit.png": (Image.fromarray(smooth(g, 21, 33, 1)[..., 0]).convert("1"), {}),
        "deep.png": (Image.fromarray(smooth(g, 18, 25, 1)[..., 0].astype(np.uint16) * 3), {}),
        "colour.jpg": (rgb, {"quality": 85}),
        "rotated.jpg": (Image.fromarray(smooth(g, 33, 22, 3)), {"quality": 80, "exif": rotated}),
        "alpha.webp": (Image.fromarray(smooth(g, 24, 35, 4)), {"quality": 80}),
    }


def main() -> None:
    HOME.mkdir(exist_ok=True)
    tensors = {}
    processors = {name: kind(**settings) for name, (kind, settings) in PROCESSORS.items()}
    for file, (image, how) in images(np.random.default_rng(5)).items():
        image.save(HOME / file, **how)
        for name, processor in processors.items():
            opened = Image.open(HOME / file)
            if name == "grey":
                opened = opened if opened.mode == "L" else opened.convert("L")
            elif name == "vit":
                opened = opened.convert("RGB")
            tensors[f"{name}.{file}"] = processor(opened, return_tensors="pt")["pixel_values"][0].to(torch.float32)
    writeTensors(HOME / "pixels.safetensors", tensors, "images.py")
    settings = {name: json.loads(processor.to_json_string()) for name, processor in processors.items()}
    writeJson(HOME / "settings.json", {"madeBy": madeBy("images.py"), "processors": settings})
    print(f"{len(tensors)} answers, {sum(f.stat().st_size for f in HOME.iterdir()) // 1024} KiB")


if __name__ == "__main__":
    setUp()
    main()
