"""Pictures that came from a student: small PNG and JPEG files, and nothing that only says it is one."""

import base64
import warnings
from io import BytesIO
from typing import Any

from PIL import Image

MOST_BYTES = 2 * 2**20
MOST_PIXELS = 25_000_000  # a small file can hold a picture that a browser has no memory for


def picture(encoded: Any, kind: str) -> str:
    """The picture of this kind (PNG, JPEG) in base64, '' where it is none or too large. Never raises."""
    if isinstance(encoded, list) and all(isinstance(line, str) for line in encoded):
        encoded = "".join(encoded)
    if not isinstance(encoded, str) or len(encoded) > 2 * MOST_BYTES:
        return ""
    try:
        content = base64.b64decode("".join(encoded.split()), validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels
            width, height = Image.open(BytesIO(content), formats=[kind]).size  # reads no more than the header
    except Exception:  # Pillow promises no closed list
        return ""
    fits = len(content) <= MOST_BYTES and 0 < width * height <= MOST_PIXELS
    return base64.b64encode(content).decode() if fits else ""
