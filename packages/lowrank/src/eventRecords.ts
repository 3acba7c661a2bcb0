/**
 * Records of TensorBoard's event files: TFRecord frames around `tensorflow.Event` messages, as few of their fields as
 * scalars need.
 */

/** What an event of a file says. */
export type EventContent =
  /** The first one of every file. */
  | { readonly kind: 'version' }
  /** The run begins at this step, perhaps once more: later events of earlier files no longer count. */
  | { readonly kind: 'start' }
  | { readonly kind: 'scalars'; readonly scalars: Readonly<Record<string, number>> };

/** An event as a record of a file. `wallTime` is in seconds since 1970. */
export function eventRecord(content: EventContent, { wallTime, step }: { wallTime: number; step: number }): Uint8Array {
  const at = step === 0 ? [] : [varint(2, step)];
  return frame(join([double(1, wallTime), ...at, ...contentFields(content)]));
}

function contentFields(content: EventContent): Uint8Array[] {
  switch (content.kind) {
    case 'version':
      return [bytes(3, utf8('brain.Event:2'))];
    case 'start':
      // SessionLog { status: START }
      return [bytes(7, varint(1, 1))];
    case 'scalars': {
      // Summary { value: Value { tag, simple_value } … }
      const values = Object.entries(content.scalars).map(([tag, value]) =>
        bytes(1, join([bytes(1, utf8(tag)), float(2, value)])),
      );
      return [bytes(5, join(values))];
    }
  }
}

/** Length, its checksum, the message, its checksum. */
function frame(message: Uint8Array): Uint8Array {
  const header = new Uint8Array(8);
  new DataView(header.buffer).setBigUint64(0, BigInt(message.length), true);
  return join([header, masked(header), message, masked(message)]);
}

function masked(data: Uint8Array): Uint8Array {
  const crc = crc32c(data);
  const rotated = ((crc >>> 15) | (crc << 17)) >>> 0;
  return little(4, (view) => view.setUint32(0, (rotated + 0xa282ead8) >>> 0, true));
}

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** CRC-32C (Castagnoli), as RFC 3720 has it. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (table[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// Fields of protocol buffers: a key of number and wire type, then the value.

function varint(field: number, value: number): Uint8Array {
  return Uint8Array.from([field << 3, ...varintBytes(value)]);
}

function double(field: number, value: number): Uint8Array {
  return join([Uint8Array.of((field << 3) | 1), little(8, (view) => view.setFloat64(0, value, true))]);
}

function float(field: number, value: number): Uint8Array {
  return join([Uint8Array.of((field << 3) | 5), little(4, (view) => view.setFloat32(0, value, true))]);
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return join([Uint8Array.from([(field << 3) | 2, ...varintBytes(value.length)]), value]);
}

function varintBytes(value: number): number[] {
  const digits: number[] = [];
  let left = value;
  while (left > 127) {
    digits.push((left % 128) + 128);
    left = Math.floor(left / 128);
  }
  return [...digits, left];
}

function little(size: number, write: (view: DataView) => void): Uint8Array {
  const value = new Uint8Array(size);
  write(new DataView(value.buffer));
  return value;
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
