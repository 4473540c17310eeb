// What every canvas of the app that is painted on has: strokes of one pointer with a ring that shows the brush, and a
// history that can be undone.
window.comod = { ...window.comod, ...(() => {
  const HISTORY = 40;

  // how: width() of the brush and style(context), called for each piece of a stroke; start(point) before a stroke, which
  // returns false where there shall be none; end() after it. Points and widths are in the canvas's own pixels.
  const strokes = (canvas, frame, ring, how) => {
    const context = canvas.getContext('2d');
    let last = null, pointer = null;

    const scale = () => canvas.width / canvas.getBoundingClientRect().width;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * scale(), (event.clientY - box.top) * scale()];
    };
    const strokeTo = (point) => {
      how.style(context);
      context.lineCap = context.lineJoin = 'round';
      context.lineWidth = how.width(scale());
      context.beginPath();
      context.moveTo(...last);
      context.lineTo(...point);
      context.stroke();
      last = point;
    };
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button || last) return;
      event.preventDefault();
      const point = place(event);
      if (how.start(point) === false) return;
      pointer = event.pointerId;
      canvas.setPointerCapture(pointer);
      last = point;
      strokeTo(last);
    });
    canvas.addEventListener('pointermove', (event) => {
      const box = frame.getBoundingClientRect();
      ring.style.width = ring.style.height = `${how.width(scale()) / scale()}px`;
      ring.style.translate = `${event.clientX - box.left}px ${event.clientY - box.top}px`;
      if (!last || event.pointerId !== pointer) return;
      const between = event.getCoalescedEvents?.() ?? [];
      for (const one of between.length ? between : [event]) strokeTo(place(one));
    });
    for (const name of ['pointerup', 'pointercancel']) {
      canvas.addEventListener(name, (event) => {
        if (!last || event.pointerId !== pointer) return;
        last = null;
        how.end();
      });
    }
  };

  // Buttons that undo and clear. now(): the state, '' when there is none; restore(state) shows one and tells of it.
  const undoable = (undo, clear, now, restore) => {
    let history = [];
    const refresh = () => { undo.disabled = !history.length; };
    const remember = () => {
      history = [...history, now()].slice(-HISTORY);
      refresh();
    };
    undo.addEventListener('click', async () => {
      const state = history.pop();
      refresh();
      await restore(state);
    });
    clear.addEventListener('click', async () => {
      if (!now()) return;
      remember();
      await restore('');
    });
    const forget = () => {
      history = [];
      refresh();
    };
    return { remember, forget };
  };

  return { strokes, undoable };
})() };
