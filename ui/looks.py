"""The app's looks: a theme of system fonts, so that nothing is fetched from elsewhere, and the style sheet."""
from __future__ import annotations

import gradio as gr

FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "Noto Sans", "sans-serif"]
FONT_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]

CSS = """
.gradio-container { max-width: 1320px !important; width: 100%; margin: 0 auto; }
#title { padding: 2px 0 0; }
#title h1 { font-size: 1.35rem; margin: 0; display: inline; }
#title p { display: inline; margin-left: .6rem; color: var(--body-text-color-subdued); }
/* Widths that do not wait for what is in the columns: the editor measures its own only once. */
#columns { display: grid; grid-template-columns: minmax(0, 6fr) minmax(0, 5fr); }
@media (max-width: 860px) { #columns { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 520px) { #editor { height: 350px !important; } }
#tools { gap: 8px; }
#tools button, #after button { min-width: 90px; }
#new-seed { align-self: center; height: 38px; }
#more .form { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); }
#examples .grid-wrap, #completions .grid-wrap { padding-top: 30px; }

/* A control's tooltip: a question mark beside the label, which opens it under the pointer. */
.hint, .form:has(.hint), .row:has(.hint), .column:has(.hint) { overflow: visible !important; }
.hint { position: relative; }
.hint [data-testid="block-info"].has-info { margin-bottom: var(--spacing-lg); cursor: help; white-space: nowrap; }
.hint [data-testid="block-info"].has-info::after {
  content: "?"; display: inline-block; width: 1.25em; margin-left: .4em; border-radius: 50%; text-align: center;
  font-size: .75em; line-height: 1.25em; color: var(--body-text-color-subdued); border: 1px solid currentColor; }
.hint .info-text {
  position: absolute; z-index: 60; left: 6px; right: 6px; top: 34px; min-width: 190px; padding: 8px 10px; margin: 0;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-md); box-shadow: var(--shadow-drop-lg);
  background: var(--background-fill-primary); color: var(--body-text-color); font-size: .85rem;
  opacity: 0; pointer-events: none; transition: opacity .12s; }
.hint [data-testid="block-info"]:hover + .info-text { opacity: 1; transition-delay: .2s; }

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
