"""The exports for the page: a run's trace and the name of an export become the bytes of a file to download."""

from __future__ import annotations

import base64
import mimetypes
import tempfile
from pathlib import Path

from specviz import exports
from specviz.ui.requests import parsed


def exported(text: str) -> dict[str, str]:
    """The file that {name, trace} (JSON) asks for: {file, type, data} with its bytes as base64. ValueError if there is no
    such export or no such trace, OSError if no file can be written."""
    from specviz.record.trace import Trace

    asked = parsed(text)
    export = exports.make(str(asked.get("name")))
    record = Trace.from_json(asked.get("trace"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"specviz-{export.name}{export.suffix}"
        export.write([record], path)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    return {"file": path.name, "type": mimetypes.guess_type(path)[0] or "application/octet-stream", "data": data}
