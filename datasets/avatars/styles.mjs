// The styles that can be drawn, and what each is drawn from: widened palettes, one framing a style.
const SKIN = [
  'ffe7d6', 'fddcc4', 'f6cdb0', 'f1c3a5', 'e9b590', 'e0a882', 'd39a72', 'c68e6a',
  'b98058', 'a86f4b', '9a6142', '8a5436', '7a472e', '693b27', '573020', '47271b',
];
const HAIR = [
  '17120f', '2c1b18', '3d2620', '4b2f22', '5c3a26', '724133', '8a5230', 'a55728', 'b5682f', 'b58143',
  'c79a55', 'd6b370', 'e6cd92', 'efe0b8', '8f8f8f', 'bdbdbd', 'e4e4e4', 'c24b2a', '8e2f2a', '5a2a4f',
  '3b4a7a', '2f6d6a', 'd77f9e', '7d5ba6',
];
const CLOTHES = [
  '1f2328', '4a4f57', '8b9096', 'e8e9e6', 'b11f1f', 'e24553', 'f0787a', 'f97316', 'f3a63a', 'eab308',
  'f2dc6d', '7fae35', '3f9b4f', '147f3c', '1f6f5c', '35a79c', '54c7d7', '3f8fd2', '2f5fc4', '0b3286',
  '5a4fcf', '731ac3', 'a86bd1', 'ec4899', 'f5a3c7', '7a4a2b', 'b58a63', 'd9c3a0',
];
const BACKGROUND = [
  'ffffff', 'f1f0ec', 'dfe6ea', 'c5ced6', 'ffe3e0', 'ffc9c2', 'f7a8a0', 'ffe6c7', 'ffd19a', 'fff3bf',
  'ffe27a', 'e6f2c3', 'c4e39a', 'a8d8a8', 'c7efe3', '8fd9c8', 'cdeffc', '9fd8f0', '6fb9e0', 'cfdcff',
  '9db4f0', '6f86c9', 'e2d6fb', 'bda5ea', '8f74c4', 'fbd5ec', 'e79cc5', 'b9a48f', '7f8a94', '4b5563',
  '334155', '2f4f4f',
];

// What each style is drawn from where that differs from the style's own defaults: lists of values, and probabilities in
// percent. Flip, rotation, scale and shift are left at none, so that the faces of a style are framed alike.
const CHOICES = {
  'toon-head': { skinColor: SKIN, hairColor: HAIR, clothesColor: CLOTHES, beardProbability: 30 },
  personas: { skinColor: SKIN, hairColor: HAIR, clothingColor: CLOTHES, facialHairProbability: 20 },
  micah: {
    baseColor: SKIN, hairColor: HAIR, shirtColor: CLOTHES, glassesColor: CLOTHES, earringColor: CLOTHES,
    facialHairColor: HAIR.slice(0, 8), facialHairProbability: 20,
  },
  'big-smile': { skinColor: SKIN, hairColor: HAIR, accessoriesProbability: 25 },
  adventurer: { skinColor: SKIN, hairColor: HAIR },
  'open-peeps': { skinColor: SKIN, clothingColor: CLOTHES, headContrastColor: HAIR },
  lorelei: { skinColor: SKIN, hairColor: HAIR },
  notionists: {}, // black on white by design: only the background has a colour
};

// Values of a style that are not drawn, because they are no face's own.
const LEFT_OUT = { personas: ['pacifier'], 'open-peeps': ['cyclops', 'monster', 'bear'] };

/** Names of the styles that can be drawn. */
export const STYLES = Object.keys(CHOICES);

const loaded = new Map();

/** Loads these styles, which the other functions here need. Each is a package that @dicebear/collection brings. */
export async function loadStyles(names) {
  for (const name of names) {
    if (loaded.has(name)) continue;
    const style = await import(`@dicebear/${name}`);
    loaded.set(name, { style, choices: choicesOf(name, style) });
  }
}

function choicesOf(name, style) {
  const choices = { backgroundColor: BACKGROUND };
  for (const [option, { default: value }] of Object.entries(style.schema.properties)) {
    choices[option] = Array.isArray(value) ? value.filter((entry) => !LEFT_OUT[name]?.includes(entry)) : value;
  }
  return { ...choices, ...CHOICES[name] };
}

/** A loaded style: dicebear's `style`, and `choices`: for each option a list of values or a probability in percent. */
export function styleOf(name) {
  return loaded.get(name);
}

/** Author, licence and source of a loaded style's drawings, as the style's own package states them. */
export function creditOf(name) {
  const { title, creator, source, homepage, license } = styleOf(name).style.meta;
  return { style: name, title, creator, source, homepage, license: license.name, license_url: license.url };
}
