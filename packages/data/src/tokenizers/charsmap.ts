import type { AlignedText } from './alignedText.js';
import { TextEditor, unitsAt } from './alignedText.js';
import type { PartJson } from './partJson.js';
import { unusablePart } from './partJson.js';

const utf8 = new TextEncoder();

/**
 * SentencePiece's `precompiled_charsmap`: the size of a double-array trie in bytes, the trie (words of 32 bits, little
 * endian), then the replacements, each with a zero behind it. Characters are looked up with their marks (a grapheme of
 * less than six bytes) first, then alone.
 */
export function readCharsmap(json: PartJson, place: string): (text: AlignedText) => AlignedText {
  const { trie, replacements } = parse(json['precompiled_charsmap'], place);
  const known = new Map<string, string | undefined>();
  const replacementOf = (chunk: string): string | undefined => {
    if (known.has(chunk)) return known.get(chunk);
    const at = firstPrefix(trie, utf8.encode(chunk));
    let found: string | undefined;
    if (at !== undefined) {
      const end = replacements.indexOf(0, at);
      found = new TextDecoder('utf-8', { ignoreBOM: true }).decode(
        replacements.subarray(at, end < 0 ? replacements.length : end),
      );
    }
    if (known.size < 65536) known.set(chunk, found);
    return found;
  };
  return (source) => normalize(source, replacementOf);
}

const graphemes =
  typeof Intl.Segmenter === 'function' ? new Intl.Segmenter('en', { granularity: 'grapheme' }) : undefined;

function normalize(source: AlignedText, replacementOf: (chunk: string) => string | undefined): AlignedText {
  const { text } = source;
  const editor = new TextEditor(source);
  let kept = 0;
  const replace = (from: number, to: number): boolean => {
    const changed = replacementOf(text.slice(from, to));
    if (changed === undefined) return false;
    editor.keep(kept, from);
    editor.put(changed, from, to);
    kept = to;
    return true;
  };
  for (const { index, segment } of graphemesOf(text)) {
    if (segment.length < 6 && utf8.encode(segment).length < 6 && replace(index, index + segment.length)) continue;
    for (let at = index; at < index + segment.length;) {
      const size = unitsAt(text, at);
      replace(at, at + size);
      at += size;
    }
  }
  if (kept === 0) return source;
  editor.keep(kept, text.length);
  return editor.done();
}

function* graphemesOf(text: string): Generator<{ index: number; segment: string }, void, undefined> {
  // Plain ASCII without carriage returns has no graphemes of several characters.
  if (graphemes === undefined || !/[\r\u0080-\uffff]/.test(text)) {
    for (let index = 0; index < text.length;) {
      const size = unitsAt(text, index);
      yield { index, segment: text.slice(index, index + size) };
      index += size;
    }
    return;
  }
  // Segmenting a long text at once takes time by the square of its length. A stretch is segmented alone from where a
  // grapheme begins; its last one may go on behind it, and begins the next stretch.
  let size = stretchSize;
  for (let start = 0; start < text.length;) {
    const isEnd = start + size >= text.length;
    const found = Array.from(graphemes.segment(text.slice(start, start + size)));
    if (!isEnd && found.length === 1) {
      size *= 2;
      continue;
    }
    if (!isEnd) found.pop();
    for (const { index, segment } of found) yield { index: start + index, segment };
    const last = found.at(-1);
    start += last === undefined ? size : last.index + last.segment.length;
    size = stretchSize;
  }
}

const stretchSize = 512;

function parse(value: unknown, place: string): { trie: Uint32Array; replacements: Uint8Array } {
  const refuse = (got: string): never => {
    throw unusablePart(`precompiled_charsmap in ${place}`, "SentencePiece's charsmap in base64", got);
  };
  if (typeof value !== 'string') return refuse(typeof value);
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(atob(value), (letter) => letter.charCodeAt(0));
  } catch {
    return refuse('something else');
  }
  if (bytes.length < 4) return refuse(`${bytes.length} bytes`);
  const view = new DataView(bytes.buffer);
  const size = view.getUint32(0, true);
  if (size % 4 !== 0 || 4 + size > bytes.length) return refuse(`a trie of ${size} bytes in ${bytes.length}`);
  const trie = Uint32Array.from({ length: size / 4 }, (_, at) => view.getUint32(4 + at * 4, true));
  return { trie, replacements: bytes.subarray(4 + size) };
}

/** The value of the shortest key that the bytes begin with (Darts' double array). */
function firstPrefix(trie: Uint32Array, bytes: Uint8Array): number | undefined {
  let node = 0;
  let unit = trie[0] ?? 0;
  node ^= offsetOf(unit);
  for (const byte of bytes) {
    if (byte === 0) return undefined;
    node ^= byte;
    unit = trie[node] ?? 0;
    if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
    node ^= offsetOf(unit);
    if (((unit >>> 8) & 1) === 1) return (trie[node] ?? 0) & 0x7fffffff;
  }
  return undefined;
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
}
