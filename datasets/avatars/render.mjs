#!/usr/bin/env node
// Renders seeded avatars into images.npy, attributes.jsonl and meta.json; README.md describes files and options.
import fs from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';

import { NpyWriter } from './npy.mjs';
import { readOptions, UsageError } from './options.mjs';
import { CLASSES, markParts } from './parts.mjs';
import { png } from './png.mjs';
import { creditOf, loadStyles } from './styles.mjs';

const CHUNK = 128; // pictures a message
const PACKAGES = ['@dicebear/core', '@dicebear/collection', '@resvg/resvg-js'];

/** Picture `i` of a set: its style, and its number among those of that style. */
function itemAt({ styles }, i) {
  return { style: styles[i % styles.length], number: Math.floor(i / styles.length) };
}

/** Runs all chunks on worker threads and hands each result to `receive(result)`, in any order. */
function runWorkers(options, receive) {
  let next = 0;
  const employ = () => new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: options });
    const give = () => {
      if (next >= options.count) return worker.terminate().then(resolve);
      const first = next;
      next = Math.min(first + CHUNK, options.count);
      const items = Array.from({ length: next - first }, (_, k) => itemAt(options, first + k));
      return worker.postMessage({ first, items });
    };
    worker.on('error', reject);
    worker.on('message', (result) => {
      try {
        receive(result);
        give();
      } catch (error) {
        reject(error);
      }
    });
    give();
  });
  return Promise.all(Array.from({ length: Math.min(options.workers, Math.ceil(options.count / CHUNK)) }, employ));
}

/** Files of one folder that are written under temporary names and appear together when all of them are whole. */
class Output {
  constructor(folder) {
    this.folder = folder;
    this.names = [];
    fs.mkdirSync(folder, { recursive: true });
  }

  /** The temporary path of `name`. */
  path(name) {
    if (!this.names.includes(name)) this.names.push(name);
    return path.join(this.folder, `${name}.${process.pid}.tmp`);
  }

  /** Renames all files. The one named first vanishes first and comes back last: where it is, the others fit it. */
  publish() {
    fs.rmSync(path.join(this.folder, this.names[0]), { force: true });
    for (const name of [...this.names].reverse()) {
      fs.renameSync(this.path(name), path.join(this.folder, name));
    }
  }

  discard() {
    for (const name of this.names) fs.rmSync(this.path(name), { force: true });
  }
}

async function render(options, output) {
  const { count, size, parts, edits } = options;
  const images = new NpyWriter(output.path('images.npy'), [count, size, size, 3]);
  const labels = parts ? new NpyWriter(output.path('labels.npy'), [count, size, size]) : null;
  const edited = edits ? new NpyWriter(output.path('edited.npy'), [count, size, size, 3]) : null;
  const edit = edits ? new NpyWriter(output.path('edits.npy'), [count, 2], '<i4') : null;
  const attributes = new Array(count);
  let done = 0;
  await runWorkers(options, (result) => {
    images.write(result.first, result.images);
    labels?.write(result.first, result.labels);
    edited?.write(result.first, result.edited);
    edit?.write(result.first, result.edit);
    result.attributes.forEach((drawn, k) => {
      attributes[result.first + k] = JSON.stringify(drawn);
      const at = 3 * size * size * k;
      if (result.first + k < options.png) {
        fs.writeFileSync(output.path(`${drawn.seed}.png`), png(result.images.subarray(at, at + 3 * size * size), size));
      }
    });
    done += result.attributes.length;
    console.log(`${done}/${count}`);
  });
  images.close();
  for (const file of [labels, edited, edit]) file?.close();
  if (options.family > 1) writeGroups(options, output);
  fs.writeFileSync(output.path('attributes.jsonl'), `${attributes.join('\n')}\n`);
  fs.writeFileSync(output.path('meta.json'), `${JSON.stringify(metaOf(options), null, 2)}\n`);
  output.publish();
}

/** groups.npy: the same number for the pictures of a family. */
function writeGroups({ count, styles, family }, output) {
  const file = new NpyWriter(output.path('groups.npy'), [count], '<i4');
  const of = (i) => Math.floor(Math.floor(i / styles.length) / family) * styles.length + (i % styles.length);
  file.write(0, Int32Array.from({ length: count }, (_, i) => of(i)));
  file.close();
}

function metaOf({ split, styles, count, size, parts, family }) {
  const manifest = (name) => fs.readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url), 'utf8');
  return {
    split, styles, count, size, ...(parts ? { classes: CLASSES } : {}), ...(family > 1 ? { family } : {}),
    versions: Object.fromEntries(PACKAGES.map((name) => [name, JSON.parse(manifest(name)).version])),
    credits: styles.map(creditOf),
  };
}

async function main() {
  const options = readOptions(process.argv.slice(2));
  await loadStyles(options.styles);
  if (options.parts) {
    await Promise.all(options.styles.map(markParts)).catch((error) => { throw new UsageError(error.message); });
  }
  const output = new Output(options.out);
  const started = performance.now();
  await render(options, output).catch((error) => {
    output.discard();
    throw error;
  });
  const each = (performance.now() - started) / options.count;
  console.log(`${options.count} pictures of ${options.size} pixels in ${options.out}, ${each.toFixed(1)} ms each`);
}

main().catch((error) => {
  console.error(error instanceof UsageError ? error.message : error);
  process.exit(error instanceof UsageError ? 2 : 1);
});
