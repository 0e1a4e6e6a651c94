"""A report in headless Chromium: on a phone, on a desk, on dark ground and printed; screenshots to look at.

    python benchmarks/report_views.py RUN_DIR --to FOLDER

Says how wide each page is laid out, against how wide the window is, and how many sheets it prints on.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

_PHONE, _DESK, _SHEET = 390, 1280, 794
"""CSS pixels: a phone's width, a desk's, and A4's 21 cm."""
_FRAME = """<body style="margin:0"><iframe src="{name}" style="width:{width}px;height:{height}px;border:0"></iframe>
<pre></pre><script>onload = () => {{
  const page = document.querySelector("iframe").contentDocument.documentElement
  document.querySelector("pre").textContent = `laid out ${{page.scrollWidth}} x ${{page.scrollHeight}}`
}}</script>"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    page = (options.run_dir / "report.html").read_text(encoding="utf-8")
    (options.to / "page.html").write_text(page, encoding="utf-8")
    (options.to / "printed.html").write_text(page.replace("@media print", "@media all"), encoding="utf-8")
    views = {"phone": ("page", _PHONE), "desk": ("page", _DESK), "dark": ("page", _DESK), "sheet": ("printed", _SHEET)}
    for view, (name, width) in views.items():
        print(f"{view}: {width} wide, {_view(options.to, view, name, width)}")
    _chromium("--no-pdf-header-footer", f"--print-to-pdf={options.to / 'print.pdf'}", options.to / "page.html")
    sheets = re.findall(rb"/Type\s*/Page\b", (options.to / "print.pdf").read_bytes())
    print(f"print: {len(sheets)} sheets")
    return 0


def _view(folder: Path, view: str, name: str, width: int) -> str:
    """Takes the screenshot of a page in a frame of this width, since no window is as narrow as a phone."""
    frame = folder / f"{view}.html"
    ground = "--blink-settings=preferredColorScheme=0" if view == "dark" else "--blink-settings=preferredColorScheme=1"
    frame.write_text(_FRAME.format(name=f"{name}.html", width=width, height=100), encoding="utf-8")
    (laid_out,) = re.findall(r"laid out \d+ x \d+", _chromium(ground, "--dump-dom", frame))
    height = int(laid_out.rpartition(" ")[2])
    frame.write_text(_FRAME.format(name=f"{name}.html", width=width, height=height), encoding="utf-8")
    window = f"--window-size={max(width, 500)},{height}"
    _chromium(ground, window, f"--screenshot={folder / f'{view}.png'}", frame)
    return laid_out


def _chromium(*arguments: str | Path) -> str:
    """What it prints, with nothing but files within its reach."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program is not None, "install Chromium"
    command = [
        program,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--virtual-time-budget=5000",
    ]
    command += ["--allow-file-access-from-files", "--host-resolver-rules=MAP * ~NOTFOUND"]
    *options, page = map(str, arguments)
    shown = subprocess.run(
        [*command, *options, Path(page).resolve().as_uri()], capture_output=True, text=True, check=True
    )
    return shown.stdout


if __name__ == "__main__":
    sys.exit(main())
