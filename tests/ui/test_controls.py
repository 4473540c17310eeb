"""The controls are the schemas' inputs: same ranges, defaults, tooltips."""
import pytest

CASES = [("CoModComplete", None), ("CoModLoadModel", None), ("CoModMaskFreeForm", ["hole_min", "hole_max"]),
         ("CoModOutpaint", ["left", "top", "right", "bottom"])]


@pytest.fixture(scope="module")
def controls(pack):
    return pack("ui.controls")


@pytest.fixture(scope="module")
def made(controls, nodes):
    """(node, input) -> (socket, component), for every input that the app shows."""
    import gradio as gr

    with gr.Blocks():
        return {(node, name): (controls.widgets(nodes[node])[name], component) for node, names in CASES
                for name, component in controls.controls(nodes[node], names).items()}


def test_every_widget_of_the_complete_node_has_a_control(made, nodes):
    wanted = [socket.id for socket in nodes["CoModComplete"].GET_SCHEMA().inputs if getattr(socket, "is_widget", False)]
    assert [name for node, name in made if node == "CoModComplete"] == wanted
    assert {"seed", "count", "psi", "feather", "size_strategy"} <= set(wanted)


def test_tooltips_are_the_schemas(made):
    for place, (socket, component) in made.items():
        assert component.info == socket.tooltip and socket.tooltip, place


def test_defaults_are_the_schemas(made):
    for place, (socket, component) in made.items():
        value = int(component.value) if place[1] == "seed" else component.value
        assert value == socket.default, place


def test_ranges_and_choices_are_the_schemas(made):
    numbers = 0
    for place, (socket, component) in made.items():
        kind = socket.get_io_type()
        if kind == "COMBO":
            assert [value for _, value in component.choices] == socket.options, place
        elif kind in ("INT", "FLOAT") and place[1] != "seed":
            numbers += 1
            assert (component.minimum, component.maximum) == (socket.min, socket.max), place
            assert component.step == (socket.step or (1 if kind == "INT" else 0.01)), place
    assert numbers >= 10


def test_page_uses_these_controls(pack, nodes, model_file):
    import gradio as gr

    with gr.Blocks():
        page = pack("ui.layout").lay_out(pack("ui.models").Models(str(model_file)))
    assert list(page.complete) == list(pack("ui.controls").widgets(nodes["CoModComplete"]))
    for name, component in {**page.complete, **page.holes, **page.sides}.items():
        assert component.elem_id == f"control-{name}"
    assert page.loader["model_name"].value == model_file.name
    assert page.loader["model_name"].choices[0][0] == model_file.name


@pytest.mark.parametrize("text, seed", [("0", 0), (" 7 ", 7), ("18446744073709551615", 2 ** 64 - 1), (12.0, 12)])
def test_seed_reaches_the_node_exactly(controls, nodes, text, seed):
    given = controls.arguments(nodes["CoModComplete"], {"seed": text})
    assert given == {"seed": seed} and isinstance(given["seed"], int)


@pytest.mark.parametrize("name, value", [("seed", "18446744073709551616"), ("seed", "-1"), ("seed", "seven"),
                                         ("seed", ""), ("count", 1.5), ("count", 0), ("count", None), ("psi", 2.5),
                                         ("psi", float("nan"))])
def test_values_out_of_range_are_refused_by_name(controls, nodes, pack, name, value):
    with pytest.raises(pack("comod_core.errors").CoModError, match=f"{name.capitalize()} is '.*number from"):
        controls.arguments(nodes["CoModComplete"], {name: value})


def test_whole_numbers_of_sliders_become_int(controls, nodes):
    given = controls.arguments(nodes["CoModComplete"], {"count": 3.0, "psi": 1, "dropout": False, "noise_mode": "none"})
    assert given == {"count": 3, "psi": 1.0, "dropout": False, "noise_mode": "none"}
    assert isinstance(given["count"], int) and isinstance(given["psi"], float)
