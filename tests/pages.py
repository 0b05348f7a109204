"""What a page with everything in it carries."""

import base64
import json
import re
import zlib
from typing import Any

import numpy as np


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
