"""The app's looks: a theme of system fonts, so that nothing is fetched from elsewhere, and the style sheet."""
from __future__ import annotations

import gradio as gr

FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "Noto Sans", "sans-serif"]
FONT_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]

CSS = """
.gradio-container { max-width: 1320px !important; margin: 0 auto; }
#title { padding: 2px 0 0; }
#title h1 { font-size: 1.35rem; margin: 0; display: inline; }
#title p { display: inline; margin-left: .6rem; color: var(--body-text-color-subdued); }
#tools { gap: 8px; }
#tools button, #after button { min-width: 90px; }

/* A control's tooltip: a question mark beside the label that opens under the pointer or the focus. */
.hint { position: relative; overflow: visible !important; }

.progress-track { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; }
.progress-fill { height: 100%; border-radius: 4px; background: var(--color-accent); transition: width .2s; }
.progress-text { font-size: .85rem; margin-top: 4px; color: var(--body-text-color-subdued); }
"""


def theme() -> gr.themes.Base:
    """Quiet greys, one accent, system fonts."""
    return gr.themes.Base(primary_hue="rose", secondary_hue="rose", neutral_hue="slate", font=FONT,
                          font_mono=FONT_MONO, spacing_size="sm", radius_size="md", text_size="md").set(
        block_label_text_weight="500", block_title_text_weight="500", button_large_text_weight="600")


def progress_bar(share: float, text: str) -> str:
    """HTML of the bar at `share` of its length, 0 to 1, with a line of text."""
    return (f'<div class="progress-track"><div class="progress-fill" style="width:{100 * share:.1f}%"></div></div>'
            f'<div class="progress-text">{text}</div>')
