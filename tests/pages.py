"""What a page with everything in it carries."""

import base64
import json
import re
import zlib
from typing import Any

import numpy as np


def loads_nothing(page: str) -> bool:
    """Whether its own policy forbids to load anything, and nothing in it would."""
    loading = r"\b(src|href)\s*=|@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\b\s*[({\"']"
    address = r"https?:(?!//www\.w3\.org/2000/svg)"  # that one is a name
    return "default-src 'none'" in page and not re.search(f"{loading}|{address}", page)


def content_of(page: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The values and the arrays, read as its JavaScript reads them."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    content = json.loads(found[1])
    raw, arrays, start = zlib.decompress(base64.b64decode(content["pack"])), {}, 0
    for name, kind, length in content["arrays"]:
        arrays[name] = np.frombuffer(raw, np.dtype(kind).newbyteorder("<"), length, start)
        start += arrays[name].nbytes
    assert start == len(raw)
    return content, arrays
