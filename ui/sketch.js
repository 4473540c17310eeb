// The canvas of the tab that translates: a pen for drawings, or a brush with a palette for label maps. It is the content
// of a gr.HTML, whose value says what to show.
window.comod = { ...window.comod, ...(() => {
  const numbers = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const squared = (data, at, colour) => colour.reduce((sum, value, i) => sum + (data[at + i] - value) ** 2, 0);

  // Value: {kind: "edges" or "labels", classes: [{name, colour}], size, pen, drawing, released}. classes: for edges the
  // pen's colour and then the paper's, for label maps the palette, whose first is the ground. size: the canvas's, in
  // pixels. pen: width to begin with. drawing: a URL, '' for an empty canvas. Each stroke changes `drawing` to a PNG of
  // the canvas, and `released` to the time, and triggers "input".
  const sketch = (element, props, trigger, watch) => {
    const [frame, canvas, ring, size, palette, undo, clear, hint] = [
      'frame', 'paint', 'ring', 'size', 'palette', 'undo', 'clear', 'empty'].map((one) => element.querySelector(`.${one}`));
    const tools = [...element.querySelectorAll('.tool')];
    const context = canvas.getContext('2d', { willReadFrequently: true });
    let tool = 'brush', chosen = 0, before = null, shown = null;

    const labels = () => props.value.kind === 'labels';
    const ground = () => props.value.classes[labels() ? 0 : 1].colour;
    const colour = () => (tool === 'eraser' ? ground() : props.value.classes[labels() ? chosen : 0].colour);
    const pixels = () => context.getImageData(0, 0, canvas.width, canvas.height);

    const draw = async (url) => {
      const image = new Image();
      if (url) {
        image.src = url;
        await image.decode().catch(() => {});
      }
      context.fillStyle = ground();
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingEnabled = false;
      if (url) context.drawImage(image, 0, 0, canvas.width, canvas.height);
      hint.hidden = Boolean(url);
    };
    const swatch = ({ name, colour: paint }, index) => {
      const button = Object.assign(document.createElement('button'), { type: 'button', textContent: name });
      button.style.setProperty('--paint', paint);
      button.addEventListener('click', () => pick(index, tool === 'eraser' ? 'brush' : tool));
      return button;
    };
    const pick = (index, by) => {
      [chosen, tool] = [index, by];
      tools.forEach((one) => one.setAttribute('aria-pressed', one.dataset.tool === tool));
      [...palette.children].forEach((one, i) => one.setAttribute('aria-pressed', i === chosen && tool !== 'eraser'));
      element.style.setProperty('--part', labels() ? colour() : 'var(--color-accent)');
    };
    const show = async () => {
      const value = props.value, look = JSON.stringify([value.kind, value.classes, value.size]);
      if (look !== shown) {
        shown = look;
        [canvas.width, canvas.height] = value.size;
        size.value = value.pen;
        element.classList.toggle('labels', labels());
        palette.replaceChildren(...(labels() ? value.classes.map(swatch) : []));
        pick(labels() ? Math.min(1, value.classes.length - 1) : 0, 'brush');
        element.querySelector('.ask').textContent = labels() ? 'Paint the parts of a face here' : 'Draw a face here';
      }
      past.forget();
      await draw(value.drawing);
      element.dataset.shown = `${value.kind} ${value.drawing.length}`;
    };
    const change = (drawing) => {
      hint.hidden = Boolean(drawing);
      props.value = { ...props.value, drawing, released: Date.now() };
      trigger('input');
    };
    // The soft edge of a stroke would be colours of no class: each of its pixels becomes the stroke's or what it was.
    const sharpen = () => {
      const now = pixels(), paint = numbers(colour());
      for (let at = 0; at < now.data.length; at += 4) {
        const old = before.data.subarray(at, at + 3);
        const kept = squared(now.data, at, old) <= squared(now.data, at, paint);
        now.data.set(kept ? old : paint, at);
      }
      context.putImageData(now, 0, 0);
    };
    const fill = ([x, y]) => {
      const image = pixels(), { data, width, height } = image, paint = numbers(colour());
      const start = (Math.floor(y) * width + Math.floor(x)) * 4, old = [...data.subarray(start, start + 3)];
      if (old.every((value, i) => value === paint[i])) return;
      const stack = [start / 4];
      while (stack.length) {
        const at = stack.pop();
        if (squared(data, at * 4, old) > 0) continue;
        data.set(paint, at * 4);
        if (at % width) stack.push(at - 1);
        if ((at + 1) % width) stack.push(at + 1);
        if (at >= width) stack.push(at - width);
        if (at < width * (height - 1)) stack.push(at + width);
      }
      context.putImageData(image, 0, 0);
    };
    const past = window.comod.undoable(undo, clear, () => props.value.drawing, async (drawing) => {
      await draw(drawing);
      change(drawing);
    });
    window.comod.strokes(canvas, frame, ring, {
      width: () => Number(size.value),
      style: () => { context.strokeStyle = colour(); },
      start: (point) => {
        past.remember();
        if (tool === 'fill') {
          fill(point);
          change(canvas.toDataURL());
          return false;
        }
        before = labels() ? pixels() : null;
        hint.hidden = true;
      },
      end: () => {
        if (before) sharpen();
        change(canvas.toDataURL());
      },
    });
    for (const one of tools) one.addEventListener('click', () => pick(chosen, one.dataset.tool));
    watch('value', show);
    show();
  };

  return { sketch };
})() };
