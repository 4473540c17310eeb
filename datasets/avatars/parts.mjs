// Part labels: the drawing once more, every part in one flat colour of its own, without antialiasing.
import { rasterise } from './drawing.mjs';

/** Names of the labels; a label is an index into this list. */
export const CLASSES = ['background', 'skin', 'hair', 'eyes', 'mouth', 'clothes', 'other'];

// The class of each of a style's components. Hair takes in beards, eyes take in eyebrows, glasses are other.
const COMPONENTS = {
  hair: 'hair', rearHair: 'hair', beard: 'hair', facialHair: 'hair',
  eyes: 'eyes', eyebrows: 'eyes', brows: 'eyes', mouth: 'mouth', lips: 'mouth',
  shirt: 'clothes', clothes: 'clothes', bodyIcon: 'clothes',
  base: 'skin', head: 'skin', face: 'skin', nose: 'skin', ears: 'skin', freckles: 'skin', features: 'skin',
  glasses: 'other', earrings: 'other', accessories: 'other', hairAccessories: 'other', gesture: 'other',
};
const BODY = { 'toon-head': 'skin', personas: 'clothes', notionists: 'clothes' };
const REFUSED = { 'open-peeps': 'its drawings hold head and hair in one piece' };

const UNDRAWN = new Set(['mask', 'defs', 'clipPath', 'linearGradient', 'radialGradient', 'filter', 'metadata']);
const STEP = 32; // distance of two labels in the red channel
const OVERSAMPLING = 4;

const marked = new Set();
let given = null; // {part, colours} of another drawing, for the components of that class
let seen = null; // the colours of the last drawing

/**
 * Makes every later drawing of `style` carry the comments <!--CLASS--> and <!--/--> around what each component draws,
 * and lets `inColoursOf` work. Throws when the style cannot be labelled.
 */
export async function markParts(style) {
  if (REFUSED[style]) throw new Error(`--parts: ${style} cannot be labelled, because ${REFUSED[style]}. Leave it out.`);
  if (marked.has(style)) return;
  const source = new URL(`./node_modules/@dicebear/${style}/lib/components/index.js`, import.meta.url);
  for (const [component, variants] of Object.entries(await import(source))) {
    const part = classOf(style, component);
    if (!part) throw new Error(`--parts: ${style} cannot be labelled, because the part '${component}' has no class.`);
    for (const [name, drawing] of Object.entries(variants)) {
      variants[name] = (components, colours) => {
        seen = colours;
        return `<!--${part}-->${drawing(components, given?.part === part ? given.colours : colours)}<!--/-->`;
      };
    }
  }
  marked.add(style);
}

function classOf(style, component) {
  return component === 'body' ? BODY[style] : COMPONENTS[component];
}

/** The options by which `choices` of a style say what is drawn of a part: which variants, and whether at all. */
export function optionsOf(style, part, choices) {
  return Object.keys(choices).filter((name) => classOf(style, name.replace(/Probability$/, '')) === part);
}

/** What `other` draws, its colours kept for the components of one part while `own` draws; the result of `own`. */
export function inColoursOf(other, part, own) {
  other();
  given = { part, colours: seen };
  try {
    return own();
  } finally {
    given = null;
  }
}

/** Writes the labels of a drawing, size x size bytes, into `target` at `offset`. Its style was given to markParts. */
export function label(svg, size, target, offset) {
  const { pixels } = rasterise(flatten(svg), OVERSAMPLING * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) target[offset + y * size + x] = mostFrequent(pixels, x, y, size);
  }
}

function mostFrequent(pixels, x, y, size) {
  const counts = new Uint8Array(CLASSES.length);
  for (let row = OVERSAMPLING * y; row < OVERSAMPLING * (y + 1); row++) {
    for (let column = OVERSAMPLING * x; column < OVERSAMPLING * (x + 1); column++) {
      counts[Math.round(pixels[4 * (row * OVERSAMPLING * size + column)] / STEP)]++;
    }
  }
  return counts.indexOf(Math.max(...counts));
}

/** The drawing with each colour replaced by its part's. The first rectangle is background; outside of parts is skin. */
function flatten(svg) {
  const parts = ['skin']; // the part here is the last one
  let undrawn = 0; // open elements that draw nothing themselves: masks keep their own colours
  let backdrop = true;
  const token = /<!--(.*?)-->|<(\/?)([a-zA-Z]+)([^>]*?)(\/?)>/g;
  return svg.replace(token, (tag, comment, closing, name, attributes, empty) => {
    if (comment === '/') parts.pop();
    else if (comment) parts.push(comment);
    else if (UNDRAWN.has(name)) undrawn += empty ? 0 : closing ? -1 : 1;
    else if (!undrawn && !closing) {
      const part = name === 'rect' && backdrop ? 'background' : parts.at(-1);
      backdrop &&= name !== 'rect';
      return `<${name}${recolour(name, attributes, part)}${empty}>`;
    }
    return tag;
  });
}

function recolour(name, attributes, part) {
  const colour = `#${(CLASSES.indexOf(part) * STEP).toString(16).padStart(2, '0')}0000`;
  const flat = attributes
    .replace(/\b(fill|stroke)="(?!none)[^"]*"/g, `$1="${colour}"`)
    .replace(/\b(opacity|fill-opacity|stroke-opacity|style|shape-rendering)="[^"]*"/g, '');
  return name === 'svg' ? `${flat} shape-rendering="crispEdges"` : flat;
}
