// The command line of render.mjs.
import { parseArgs } from 'node:util';

import { STYLES } from './styles.mjs';

const SPLITS = ['train', 'heldout'];

/** A command line that cannot be used; the text says what to give instead. */
export class UsageError extends Error {}

export const USAGE = `Usage: node render.mjs --out DIR [options]
  --styles A,B   styles, interleaved in this order (default toon-head)
                 ${STYLES.join(', ')}
  --split NAME   train or heldout: no seed is in both (default train)
  --count N      pictures (default 1000); a larger set begins with the smaller one
  --size S       width and height in pixels (default 64)
  --workers W    threads (default 1)
  --parts        also write labels.npy, the part that each pixel belongs to
  --edits        also write edited.npy and edits.npy: each picture with a part of an earlier one; needs --parts
  --family N     so many pictures in a row of a style share all their colours (default 1)
  --png N        also write the first N pictures as PNG files`;

/** Options {out, styles, split, count, size, workers, parts, edits, family, png} from the arguments; throws UsageError. */
export function readOptions(args) {
  const values = parse(args);
  if (!values.out) throw new UsageError('--out DIR is missing: name the folder that receives the pictures.');
  if (!SPLITS.includes(values.split)) throw new UsageError(`--split ${values.split}: give ${SPLITS.join(' or ')}.`);
  const styles = values.styles.split(',').map((name) => name.trim());
  for (const name of styles) {
    if (!STYLES.includes(name)) throw new UsageError(`--styles: no style '${name}'; there are ${STYLES.join(', ')}.`);
  }
  if (new Set(styles).size < styles.length) throw new UsageError(`--styles ${values.styles}: name each style once.`);
  if (values.edits && !values.parts) throw new UsageError('--edits needs --parts: give both.');
  return {
    out: values.out, split: values.split, styles, parts: values.parts, edits: values.edits,
    count: integer(values, 'count', 1, 10_000_000),
    size: integer(values, 'size', 16, 2048),
    workers: integer(values, 'workers', 1, 256),
    family: integer(values, 'family', 1, 1000),
    png: integer(values, 'png', 0, 100_000),
  };
}

function parse(args) {
  const text = (value) => ({ type: 'string', default: value });
  try {
    return parseArgs({
      args,
      options: {
        out: { type: 'string' }, styles: text('toon-head'), split: text('train'), count: text('1000'),
        size: text('64'), workers: text('1'), png: text('0'), family: text('1'), parts: { type: 'boolean', default: false },
        edits: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${error.message}\n${USAGE}`);
  }
}

function integer(values, name, low, high) {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < low || number > high) {
    throw new UsageError(`--${name} ${values[name]}: give a whole number from ${low} to ${high}.`);
  }
  return number;
}
