// Arrays in NumPy's file format, version 1.0 (numpy.lib.format): magic, header length, a Python dict, the bytes.
import fs from 'node:fs';

const ALIGNMENT = 64;

function headerOf(shape, descr) {
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const length = Math.ceil((10 + dict.length + 1) / ALIGNMENT) * ALIGNMENT - 10;
  const header = Buffer.alloc(10 + length, ' ');
  header.write('\x93NUMPY\x01\x00', 0, 'latin1');
  header.writeUInt16LE(length, 8);
  header.write(dict, 10, 'latin1');
  header.write('\n', 9 + length, 'latin1');
  return header;
}

const BYTES = { '|u1': 1, '<i4': 4 };

/** A C-ordered array of `shape` (uint8, or int32 as '<i4') in the file `path`, written by whole rows, in any order. */
export class NpyWriter {
  constructor(path, shape, descr = '|u1') {
    const header = headerOf(shape, descr);
    this.start = header.length;
    this.row = shape.slice(1).reduce((product, side) => product * side, BYTES[descr]);
    this.file = fs.openSync(path, 'w');
    this.#put(header, 0);
  }

  /** Writes the values of a typed array as the rows from `first` on. */
  write(first, { buffer, byteOffset, byteLength }) {
    this.#put(new Uint8Array(buffer, byteOffset, byteLength), this.start + first * this.row);
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
