// From a seed to pixels.
import { createHash } from 'node:crypto';

import { createAvatar } from '@dicebear/core';
import { Resvg } from '@resvg/resvg-js';

import { styleOf } from './styles.mjs';

const HELDOUT_BYTES = 32; // of the 256 values of a byte: one drawing in eight is held out

/**
 * The seed of the picture of this number among those of its style, and the one that its colours are drawn from: its own,
 * or in families of several pictures the family's. Seeds name the split, so none is in two splits.
 */
export function seedsOf({ split, family }, style, number) {
  const of = `${split}-${style}-`;
  if (family === 1) return { seed: `${of}${number}`, colours: `${of}${number}` };
  return { seed: `${of}family${family}-${number}`, colours: `${of}family${family}-of-${Math.floor(number / family)}` };
}

/**
 * The avatar of one seed: {svg, options, attributes}. The same split, style and seeds give the same drawing everywhere.
 * A drawing's own text decides its split, and a seed draws again until it fits, so no drawing is in two splits. `options` are the style's.
 */
export function draw(split, name, { seed, colours }) {
  const { style, choices } = styleOf(name);
  for (let attempt = 0; ; attempt++) {
    const parts = `${seed}/${attempt}`; // in a family the colours stay the same
    const options = drawOptions(choices, parts, colours === seed ? parts : `${colours}/0`);
    const avatar = createAvatar(style, options);
    const svg = avatar.toString();
    if (splitOf(svg) === split) return { svg, options, attributes: attributesOf(avatar) };
  }
}

// dicebear's own generator is not used: neighbouring seeds get related draws from it, and some seeds the same ones.
function drawOptions(choices, seed, colours) {
  const options = { backgroundType: ['solid'], backgroundRotation: [0] };
  for (const [name, choice] of Object.entries(choices)) {
    const uniform = digest(`${name.endsWith('Color') ? colours : seed}/${name}`).readUInt32LE(0) / 2 ** 32;
    if (Array.isArray(choice)) options[name] = [choice[Math.floor(uniform * choice.length)]];
    else options[name] = 100 * uniform < choice ? 100 : 0;
  }
  return options;
}

/** Which split a drawing belongs to, by its own text. */
export function splitOf(svg) {
  return digest(svg.replace(/<!--.*?-->/g, ''))[0] < HELDOUT_BYTES ? 'heldout' : 'train';
}

/** SHA-256 of a text, 32 bytes. */
export function digest(text) {
  return createHash('sha256').update(text).digest();
}

function attributesOf(avatar) {
  const { primaryBackgroundColor: backgroundColor, ...drawn } = avatar.toJson().extra;
  for (const constant of ['secondaryBackgroundColor', 'backgroundType', 'backgroundRotation']) delete drawn[constant];
  return { backgroundColor, ...drawn };
}

/** A rendering of an SVG `width` pixels wide; its `.pixels` are RGBA, one byte a value. */
export function rasterise(svg, width) {
  // resvg reads mask-type as an attribute alone. As luminance, an alpha mask of a dark colour would hide its part.
  const readable = svg.replace(/style="mask-type:(\w+)"/g, 'mask-type="$1"');
  return new Resvg(readable, { fitTo: { mode: 'width', value: width }, font: { loadSystemFonts: false } }).render();
}

/** Mean over blocks of 2x2 pixels: RGBA of 2 size x 2 size to RGB of size x size, written into `target` at `offset`. */
export function halve(rgba, size, target, offset) {
  const row = 8 * size;
  for (let y = 0, out = offset; y < size; y++) {
    for (let x = 0, at = 2 * y * row; x < size; x++, at += 8) {
      for (let c = at; c < at + 3; c++) {
        target[out++] = (rgba[c] + rgba[c + 4] + rgba[c + row] + rgba[c + row + 4] + 2) >> 2;
      }
    }
  }
}
