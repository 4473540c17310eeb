"""The Gradio app. `app.py` is its entry; it loads the repository root as a package, of which this folder is a part."""
