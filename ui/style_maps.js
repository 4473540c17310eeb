// The three parts of the tab for style maps that Gradio has no component for: a reference to paint on, the edited
// picture with parts to drag, and a player of frames. Each is the content of a gr.HTML, whose value says what to show.
window.comod = { ...window.comod, ...(() => {
  const parts = (element, ...names) => names.map((name) => element.querySelector(`.${name}`));

  const loaded = async (image, url) => {
    image.src = url;
    await image.decode().catch(() => {});
  };

  const fitFrame = (frame, [width, height]) => {
    frame.style.setProperty('--ratio', width / height);
    frame.style.aspectRatio = `${width} / ${height}`;
  };

  // Value: {colour, picture, size: of the mask, mask}; picture and mask are URLs, '' for none. Painting changes `mask`
  // to a PNG that is opaque where painted, and `released` to the time of it, and triggers "input".
  const painter = (element, props, trigger, watch) => {
    const [frame, picture, canvas, ring, size, brush, eraser, undo, clear] = parts(
      element, 'frame', 'picture', 'paint', 'ring', 'size', 'brush', 'eraser', 'undo', 'clear');
    const context = canvas.getContext('2d');
    let erasing = false;

    const draw = async (mask) => {
      const image = new Image();
      if (mask) await loaded(image, mask);
      context.globalCompositeOperation = 'source-over';
      context.clearRect(0, 0, canvas.width, canvas.height);
      if (!mask) return;
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      context.globalCompositeOperation = 'source-in';
      context.fillStyle = props.value.colour;
      context.fillRect(0, 0, canvas.width, canvas.height);
    };
    const show = async () => {
      const value = props.value;
      element.style.setProperty('--part', value.colour);
      element.classList.toggle('without-picture', !value.picture);
      past.forget();
      if (!value.picture) return;
      [canvas.width, canvas.height] = value.size;
      fitFrame(frame, value.size);
      await Promise.all([loaded(picture, value.picture), draw(value.mask)]);
      element.dataset.shown = value.picture;
    };
    const change = (mask) => {
      props.value = { ...props.value, mask, released: performance.now() };
      trigger('input');
    };
    const choose = (eraserToo) => {
      erasing = eraserToo;
      brush.setAttribute('aria-pressed', !erasing);
      eraser.setAttribute('aria-pressed', erasing);
    };
    const past = window.comod.undoable(undo, clear, () => props.value.mask, async (mask) => {
      await draw(mask);
      change(mask);
    });
    window.comod.strokes(canvas, frame, ring, {
      width: (scale) => size.value * scale,
      style: () => {
        context.globalCompositeOperation = erasing ? 'destination-out' : 'source-over';
        context.strokeStyle = props.value.colour;
      },
      start: () => past.remember(),
      end: () => change(canvas.toDataURL()),
    });
    brush.addEventListener('click', () => choose(false));
    eraser.addEventListener('click', () => choose(true));
    watch('value', show);
    show();
  };

  // Value: {picture, original, size, zoom, parts: [{index, colour, outline, shift}], text, released}. Outlines are in
  // pixels of `size`, a shift in those of the full picture, which is `zoom` times as large. Dragging a part triggers
  // "input" with {index, shift, released}; pressing where there is none shows the original.
  const stage = (element, props, trigger, watch) => {
    const [frame, picture, original, drawing, caption] = parts(
      element, 'frame', 'picture', 'original', 'outlines', 'caption');
    let shown = 0;

    const outline = (part) => {
      const group = document.createElementNS('http://www.w3.org/2000/svg', 'g');
      group.setAttribute('class', 'part');
      group.setAttribute('tabindex', 0);
      group.setAttribute('aria-label', `Part of reference ${part.index + 1}: drag it, or move it with the arrow keys`);
      group.dataset.index = part.index;
      group.style.setProperty('--part', part.colour);
      for (const name of ['halo', 'line']) {
        const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
        path.setAttribute('d', part.outline);
        path.setAttribute('class', name);
        group.append(path);
      }
      return group;
    };
    const show = async () => {
      const value = props.value;
      element.classList.toggle('without-picture', !value.picture);
      if (value.picture) {
        fitFrame(frame, value.size);
        drawing.setAttribute('viewBox', `0 0 ${value.size.join(' ')}`);
        await Promise.all([loaded(picture, value.picture), loaded(original, value.original)]);
        const focused = document.activeElement?.closest('.part')?.dataset.index;
        drawing.replaceChildren(...value.parts.map(outline));
        if (focused) drawing.querySelector(`[data-index="${focused}"]`)?.focus();
        await new Promise(requestAnimationFrame);
      }
      caption.textContent = value.text;
      if (value.released > shown) {
        shown = value.released;
        const seconds = (performance.now() - value.released) / 1000;
        element.dataset.latency = seconds.toFixed(3);
        caption.textContent += `, ${seconds.toFixed(2)} s from release to picture`;
      }
      element.dataset.shown = value.picture;
    };
    const move = (index, by) => {
      const { shift } = props.value.parts.find((part) => part.index === index);
      trigger('input', { index, shift: [shift[0] + by[0], shift[1] + by[1]].map(Math.round),
                         released: performance.now() });
    };
    // How far a part may go: its middle stays in the picture. All in the picture's own pixels.
    const reach = (group) => {
      const [width, height] = props.value.size, { x, y, width: w, height: h } = group.getBBox();
      return ([dx, dy]) => [Math.min(Math.max(dx, -x - w / 2), width - x - w / 2),
                            Math.min(Math.max(dy, -y - h / 2), height - y - h / 2)];
    };
    const drag = (group, start) => {
      const scale = props.value.size[0] / drawing.getBoundingClientRect().width, inside = reach(group);
      let by = [0, 0];
      const follow = (event) => {
        by = inside([(event.clientX - start.clientX) * scale, (event.clientY - start.clientY) * scale]);
        group.setAttribute('transform', `translate(${by.join(' ')})`);
      };
      const end = () => {
        group.classList.remove('dragged');
        for (const [name, listener] of listeners) group.removeEventListener(name, listener);
        if (Math.hypot(...by) >= 0.5) move(Number(group.dataset.index), by.map((side) => side * props.value.zoom));
      };
      const listeners = [['pointermove', follow], ['pointerup', end], ['pointercancel', end]];
      for (const [name, listener] of listeners) group.addEventListener(name, listener);
      group.setPointerCapture(start.pointerId);
      group.classList.add('dragged');
    };
    frame.addEventListener('pointerdown', (event) => {
      if (event.button || !props.value.picture) return;
      const group = event.target.closest('.part');
      if (group) return drag(group, event);
      frame.setPointerCapture(event.pointerId);
      frame.classList.add('comparing');
    });
    for (const name of ['pointerup', 'pointercancel']) {
      frame.addEventListener(name, () => frame.classList.remove('comparing'));
    }
    frame.addEventListener('dblclick', (event) => {
      const index = Number(event.target.closest('.part')?.dataset.index ?? -1);
      const part = props.value.parts.find((one) => one.index === index);
      if (part && part.shift.some(Boolean)) move(index, part.shift.map((side) => -side));
    });
    drawing.addEventListener('keydown', (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const group = event.target.closest('.part');
      if (!way || !group) return;
      event.preventDefault();
      const step = Math.max(1, Math.round(props.value.size[0] * props.value.zoom / (event.shiftKey ? 8 : 64)));
      move(Number(group.dataset.index), way.map((side) => side * step));
    });
    watch('value', show);
    show();
  };

  // Value: {frames: URLs, size, fps}. Plays them there and back.
  const player = (element, props, trigger, watch) => {
    const [frame, picture, play, position] = parts(element, 'frame', 'picture', 'play', 'position');
    let images = [], index = 0, way = 1, timer = 0;

    const turn = (to) => {
      index = to;
      position.value = to;
      if (images[to]) picture.src = images[to].src;
      element.dataset.frame = to;
    };
    const step = () => {
      if (!element.isConnected) return stop();
      if (index + way < 0 || index + way >= images.length) way = -way;
      if (images[index + way]) turn(index + way);
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      play.setAttribute('aria-pressed', false);
    };
    const start = () => {
      stop();
      timer = setInterval(step, 1000 / (props.value.fps || 12));
      play.setAttribute('aria-pressed', true);
    };
    const show = async () => {
      const { frames, size } = props.value;
      element.classList.toggle('without-picture', !frames.length);
      if (!frames.length) return stop();
      fitFrame(frame, size);
      const kept = new Map(images.map((image) => [image.dataset.url, image]));
      images = frames.map((url) => {
        const image = kept.get(url) ?? Object.assign(new Image(), { src: url });
        image.dataset.url = url;
        return image;
      });
      position.max = frames.length - 1;
      turn(Math.min(index, frames.length - 1));
      if (frames.length > 1) start();
    };
    play.addEventListener('click', () => (timer ? stop() : start()));
    position.addEventListener('input', () => {
      stop();
      turn(Number(position.value));
    });
    watch('value', show);
    show();
  };

  // Value: {url, name}. The browser saves each new one.
  const saver = (element, props, trigger, watch) => {
    watch('value', () => {
      const link = Object.assign(document.createElement('a'), { href: props.value.url, download: props.value.name });
      link.click();
    });
  };

  return { painter, stage, player, saver };
})() };
