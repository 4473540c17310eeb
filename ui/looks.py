"""The app's looks: a theme of system fonts, so that nothing is fetched from elsewhere; style sheet and script."""
from __future__ import annotations

from pathlib import Path

import gradio as gr

FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "Noto Sans", "sans-serif"]
FONT_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]

FOLDER = Path(__file__).parent
STYLES = [FOLDER / "looks.css", FOLDER / "style_maps.css", FOLDER / "sketch.css"]
SCRIPTS = [FOLDER / "drop.js", FOLDER / "strokes.js", FOLDER / "style_maps.js", FOLDER / "sketch.js"]
DROP_ZONE = "drop-zone"     # class of an element whose first upload button opens what is dropped on it


def theme() -> gr.themes.Base:
    """Quiet greys, one accent, system fonts."""
    return gr.themes.Base(primary_hue="rose", secondary_hue="rose", neutral_hue="slate", font=FONT,
                          font_mono=FONT_MONO, spacing_size="sm", radius_size="md", text_size="md").set(
        block_label_text_weight="500", block_title_text_weight="500", button_large_text_weight="600")


def script() -> str:
    """HTML of the page's scripts, for its head."""
    return "".join(f"<script>{path.read_text(encoding='utf-8')}</script>" for path in SCRIPTS)


def progress_bar(share: float, text: str) -> str:
    """HTML of the bar at `share` of its length, 0 to 1, with a line of text."""
    return (f'<div class="progress-track"><div class="progress-fill" style="width:{100 * share:.1f}%"></div></div>'
            f'<div class="progress-text">{text}</div>')
