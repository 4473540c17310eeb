// Edits whose outcome is known: a drawing with a part of another one.
import { createAvatar } from '@dicebear/core';

import { digest, draw, seedsOf, splitOf } from './drawing.mjs';
import { inColoursOf, optionsOf } from './parts.mjs';
import { styleOf } from './styles.mjs';

/** Parts that are exchanged. */
const EXCHANGED = ['hair', 'eyes', 'mouth', 'clothes'];

/**
 * Picture `number` of a style in a set {split, family} with a part of an earlier one, in that one's colours:
 * {svg, part, earlier}, earlier its number. A picture may take its own part, or few would have edits in their split: an edit is in no other one than its
 * pictures. The style was given to markParts.
 */
export function drawEdit(set, name, number) {
  const { split } = set;
  const { style, choices } = styleOf(name);
  const own = draw(split, name, seedsOf(set, name, number)).options;
  for (let attempt = 0; ; attempt++) {
    const bytes = digest(`${seedsOf(set, name, number).seed}/edit/${attempt}`);
    const part = EXCHANGED[bytes.readUInt32LE(0) % EXCHANGED.length];
    const earlier = Math.floor((bytes.readUInt32LE(4) / 2 ** 32) * (number + 1));
    const its = draw(split, name, seedsOf(set, name, earlier)).options;
    const both = { ...own, ...Object.fromEntries(optionsOf(name, part, choices).map((key) => [key, its[key]])) };
    const svg = inColoursOf(() => createAvatar(style, its).toString(), part, () => createAvatar(style, both).toString());
    if (splitOf(svg) === split) return { svg, part, earlier };
  }
}
