// Renders the chunks that render.mjs hands out: {first, items: [{style, number}]}.
import { parentPort, workerData } from 'node:worker_threads';

import { draw, halve, rasterise, seedsOf } from './drawing.mjs';
import { drawEdit } from './edits.mjs';
import { CLASSES, label, markParts } from './parts.mjs';
import { loadStyles } from './styles.mjs';

const { split, size, styles, parts, edits } = workerData;
await loadStyles(styles);
if (parts) await Promise.all(styles.map(markParts));

parentPort.on('message', ({ first, items }) => {
  const images = new Uint8Array(items.length * size * size * 3);
  const labels = new Uint8Array(parts ? items.length * size * size : 0);
  const edited = new Uint8Array(edits ? images.length : 0);
  const edit = new Int32Array(edits ? 2 * items.length : 0);
  const attributes = items.map(({ style, number }, k) => {
    const seeds = seedsOf(workerData, style, number);
    const drawn = draw(split, style, seeds);
    halve(rasterise(drawn.svg, 2 * size).pixels, size, images, k * size * size * 3);
    if (parts) label(drawn.svg, size, labels, k * size * size);
    if (edits) {
      const { svg, part, earlier } = drawEdit(workerData, style, number);
      halve(rasterise(svg, 2 * size).pixels, size, edited, k * size * size * 3);
      edit.set([earlier * styles.length + styles.indexOf(style), CLASSES.indexOf(part)], 2 * k);
    }
    return { style, seed: seeds.seed, ...drawn.attributes };
  });
  const message = { first, images, labels, edited, edit, attributes };
  parentPort.postMessage(message, [images.buffer, labels.buffer, edited.buffer, edit.buffer]);
});
