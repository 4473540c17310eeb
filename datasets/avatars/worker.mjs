// Renders the chunks that render.mjs hands out: {first, items: [{style, seed}]}.
import { parentPort, workerData } from 'node:worker_threads';

import { draw, halve, rasterise } from './drawing.mjs';
import { label, markParts } from './parts.mjs';
import { loadStyles } from './styles.mjs';

const { split, size, styles, parts } = workerData;
await loadStyles(styles);
if (parts) await Promise.all(styles.map(markParts));

parentPort.on('message', ({ first, items }) => {
  const images = new Uint8Array(items.length * size * size * 3);
  const labels = new Uint8Array(parts ? items.length * size * size : 0);
  const attributes = items.map(({ style, seed }, k) => {
    const drawn = draw(split, style, seed);
    halve(rasterise(drawn.svg, 2 * size).pixels, size, images, k * size * size * 3);
    if (parts) label(drawn.svg, size, labels, k * size * size);
    return { style, seed, ...drawn.attributes };
  });
  parentPort.postMessage({ first, images, labels, attributes }, [images.buffer, labels.buffer]);
});
