"""The page put together, and the server that shows it."""
from __future__ import annotations

import functools

import gradio as gr

from . import instance_actions, instance_layout, style_actions, style_layout, translate_actions, translate_layout
from .actions import Actions
from .endpoints import QUEUE, Endpoints, on_page, register, stop_on_leaving, with_names
from .jobs import Jobs
from .layout import Page, lay_out
from .looks import STYLES, script, theme
from .models import Models

TITLE = "# CoMod\nComplete, edit and generate pictures with generative networks."
HOUR = 3600
MAX_UPLOAD = "300mb"


def build(models: Models) -> gr.Blocks:
    """The app, not yet served."""
    jobs = Jobs()
    with gr.Blocks(title="CoMod", analytics_enabled=False, delete_cache=(HOUR, 24 * HOUR)) as app:
        gr.Markdown(TITLE, elem_id="title")
        with gr.Tab("Complete"):
            page = lay_out(models)
        with gr.Tab("Style maps") as style_tab:
            style_page = style_layout.lay_out(models)
        with gr.Tab("Instances") as instance_tab:
            instance_page = instance_layout.lay_out(models)
        with gr.Tab("Translate") as translate_tab:
            translate_page = translate_layout.lay_out(models)
        _wire(app, page, Actions(page, models, jobs))
        register(Endpoints(models, jobs), {"loader": page.loader, "complete": page.complete, "holes": page.holes,
                                           "sides": page.sides})
        style_actions.wire(app, style_tab, style_page, style_actions.StyleActions(style_page, models))
        instance_actions.wire(app, instance_tab, instance_page,
                              instance_actions.InstanceActions(instance_page, models))
        translate_actions.wire(app, translate_tab, translate_page,
                               translate_actions.TranslateActions(translate_page, models))
        app.unload(stop_on_leaving(jobs))
    return app


def launch(model: str | None = None, host: str = "127.0.0.1", port: int | None = None, share: bool = False,
           browser: bool = True) -> None:
    """Serve the app until Ctrl-C. Raises CoModError for an unknown model, OSError when the port is taken."""
    app = build(Models(model))
    app.queue(default_concurrency_limit=1)
    _, local, public = app.launch(
        server_name=host, server_port=port, share=share, inbrowser=browser, theme=theme(), css_paths=STYLES,
        head=script(), max_file_size=MAX_UPLOAD, footer_links=["api"], run_history=False, ssr_mode=False, quiet=True,
        prevent_thread_lock=True)
    print(f"CoMod is at {local}" + (f" and at {public}" if public else "") + "  (end it with Ctrl-C)", flush=True)
    app.block_thread()


def _wire(app: gr.Blocks, page: Page, do: Actions) -> None:
    edited = [page.source, page.editor, page.back]
    chosen = [page.chosen, page.slider, page.download, page.go_on]
    source = {"source": page.source}
    painted = {**source, "editor": page.editor}
    started = [page.start, page.stop]
    on = functools.partial(on_page, show_progress_on=page.status)
    on(app.load, do.begin, {}, [*edited, page.loader["model_name"]])
    on(page.open_picture.upload, do.open_picture, {"file": page.open_picture}, edited)
    on(page.examples.select, do.open_example, {}, edited, gr.SelectData)
    on(page.open_mask.upload, do.open_mask, {**source, "file": page.open_mask}, edited)
    on(page.random_hole.click, do.random_hole, {**source, **page.holes}, edited)
    on(page.clear_hole.click, do.clear_hole, source, edited)
    on(page.editor.clear, do.clear_hole, source, edited)
    on(page.extend.click, do.extend, {**painted, **page.sides}, edited)
    on(page.back.click, do.back, source, edited)
    on(page.gallery.select, do.choose, {"results": page.results}, chosen, gr.SelectData)
    on(page.go_on.click, do.go_on, {"results": page.results, "chosen": page.chosen}, edited)
    on(page.new_seed.click, do.new_seed, {}, page.complete["seed"])
    on(page.stop.click, do.stop, {}, None, queue=False)
    on(page.start.click, do.complete, {**painted, **page.loader, **page.complete},
       [page.status, page.gallery, page.results, *chosen, *started], concurrency_id=QUEUE, concurrency_limit=1,
       scroll_to_output=True).then(with_names(do.finish, ()), None, started, show_progress="hidden",
                                   api_name="page_finish", api_visibility="private", show_progress_on=page.status)
