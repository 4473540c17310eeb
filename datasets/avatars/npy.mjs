// uint8 arrays in NumPy's file format, version 1.0 (numpy.lib.format): magic, header length, a Python dict, the bytes.
import fs from 'node:fs';

const ALIGNMENT = 64;

function headerOf(shape) {
  const dict = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const length = Math.ceil((10 + dict.length + 1) / ALIGNMENT) * ALIGNMENT - 10;
  const header = Buffer.alloc(10 + length, ' ');
  header.write('\x93NUMPY\x01\x00', 0, 'latin1');
  header.writeUInt16LE(length, 8);
  header.write(dict, 10, 'latin1');
  header.write('\n', 9 + length, 'latin1');
  return header;
}

/** A C-ordered uint8 array of `shape` in the file `path`, written in pieces of whole rows, in any order. */
export class NpyWriter {
  constructor(path, shape) {
    const header = headerOf(shape);
    this.start = header.length;
    this.row = shape.slice(1).reduce((product, side) => product * side, 1);
    this.file = fs.openSync(path, 'w');
    this.#put(header, 0);
  }

  /** Writes `bytes` as the rows from `first` on. */
  write(first, bytes) {
    this.#put(bytes, this.start + first * this.row);
  }

  #put(bytes, position) {
    for (let done = 0; done < bytes.length;) {
      done += fs.writeSync(this.file, bytes, done, bytes.length - done, position + done);
    }
  }

  /** Flushes the file to disk and closes it. */
  close() {
    fs.fsyncSync(this.file);
    fs.closeSync(this.file);
  }
}
