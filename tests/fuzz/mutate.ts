import type { FuzzRandom } from './random.js';

/** No file of the fuzzer is larger: what the bounds are promised for. */
export const largestFile = 1_000_000;

type Mutation = (bytes: Uint8Array, random: FuzzRandom) => Uint8Array;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One to four changes of a file, by its name: JSON by its values, safetensors by its header, any file by its bytes. */
export function mutate(name: string, bytes: Uint8Array, random: FuzzRandom): Uint8Array {
  const kinds: Mutation[] = [mutateBytes];
  if (name.endsWith('.json')) kinds.push(mutateJson, mutateJson, mutateJson, mutateText);
  if (name.endsWith('.jsonl')) kinds.push(mutateLines, mutateLines, mutateText);
  if (name.endsWith('.safetensors')) kinds.push(mutateHeader, mutateHeader, mutateHeader);
  if (name.endsWith('.jinja')) kinds.push(mutateTemplate, mutateTemplate, mutateText);
  let changed = bytes;
  for (let left = random.once(2) ? 1 : 1 + random.below(4); left > 0; left--)
    changed = random.pick(kinds)(changed, random);
  return changed.subarray(0, largestFile);
}

const bytesOfNumbers = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x5b, 0x7b, 0x0a, 0x5c];

function mutateBytes(bytes: Uint8Array, random: FuzzRandom): Uint8Array {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + random.below(random.once(3) ? bytes.length + 1 : 16));
  const before = bytes.subarray(0, at);
  const behind = bytes.subarray(end);
  switch (random.below(6)) {
    case 0:
      return joined(bytes.subarray(0, at));
    case 1:
      return joined(before, behind);
    case 2:
      return joined(before, bytes.subarray(at, end), bytes.subarray(at, end), behind);
    case 3:
      return joined(
        before,
        Uint8Array.from({ length: 1 + random.below(8) }, () => random.below(256)),
        behind,
      );
    case 4:
      return joined(before, new Uint8Array(1 + random.below(64)).fill(random.pick(bytesOfNumbers)), behind);
    default: {
      const flipped = joined(bytes);
      for (let left = 1 + random.below(8); left > 0 && flipped.length > 0; left--) {
        const place = random.below(flipped.length);
        flipped[place] = (flipped[place] ?? 0) ^ (1 << random.below(8));
      }
      return flipped;
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const deep = (random: FuzzRandom): unknown => {
  let value: unknown = 1;
  for (let depth = random.pick([10, 600, 20_000]); depth > 0; depth--) value = depth % 2 === 0 ? [value] : { a: value };
  return value;
};

/** Values that readers seldom expect. */
const values: readonly ((random: FuzzRandom) => unknown)[] = [
  () => null,
  () => true,
  () => false,
  () => '',
  () => [],
  () => ({}),
  (random) => random.pick([0, -0, 1, -1, 2, 3, 7, 64, 255, 65_536, 1e5, 1e8, 1e12, 2 ** 53, 1e308, 1e-320, 0.5, -2.5]),
  (random) =>
    random.pick(['__proto__', 'constructor', 'toString', '\u001b]0;x\u0007', '../../../x', '\ud800', '\u0000', '😀']),
  (random) =>
    random.pick(['(a+)+b', '([a-z0-9._]+)+!', '(?P<n>x)(?P=n)', '.*', '^(?!.*vision).*', '[', '\\Z', '(?i)x']),
  (random) => random.pick(['x', 'ab ', '▁', '\\']).repeat(random.pick([10, 1000, 100_000])),
  (random) => Array.from({ length: random.pick([1, 100, 20_000]) }, () => random.pick([0, 1, 'a', null, -1])),
  (random) => Object.fromEntries(Array.from({ length: random.pick([1, 100, 20_000]) }, (_, at) => [`k${at}`, at])),
  deep,
];

interface Place {
  readonly holder: Record<string, unknown> | unknown[];
  readonly key: string | number;
}

/** Places of values within a value, outermost first; of large files some. */
function placesIn(root: unknown, random: FuzzRandom): Place[] {
  const places: Place[] = [];
  const open: unknown[] = [root];
  for (let value = open.pop(); value !== undefined && places.length < 4000; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const holder = value as Record<string, unknown> | unknown[];
    const keys = Array.isArray(holder) ? holder.keys() : Object.keys(holder);
    for (const key of keys) {
      if (typeof key === 'number' && key > 200 && !random.once(50)) continue;
      places.push({ holder, key });
      open.push((holder as Record<string | number, unknown>)[key]);
    }
  }
  return places;
}

function changeValue(root: unknown, random: FuzzRandom): unknown {
  const places = placesIn(root, random);
  if (places.length === 0 || random.once(200)) return random.pick(values)(random);
  // Outer keys are few, and what most readers look at.
  const { holder, key } = random.pick(random.once(2) ? places.slice(0, 40) : places);
  const at = holder as Record<string | number, unknown>;
  const old = at[key];
  switch (random.below(6)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete at[key];
      return root;
    case 1: {
      const other = random.pick(places);
      at[key] = structuredClone((other.holder as Record<string | number, unknown>)[other.key]);
      return root;
    }
    case 2:
      if (typeof old === 'number')
        at[key] = random.pick([-old, old + 1, old - 1, old * 1000, old / 3, old * 1e9, 2 ** 31]);
      else if (typeof old === 'string')
        at[key] = random.pick([old + old, old.slice(1), old.toUpperCase(), `${old}\u0000`]);
      else at[key] = [old, old];
      return root;
    case 3:
      at[`${key}${random.pick(['', '_', '.weight', '2'])}`] = random.pick(values)(random);
      return root;
    default:
      at[key] = random.pick(values)(random);
      return root;
  }
}

function mutateJson(bytes: Uint8Array, random: FuzzRandom): Uint8Array {
  const text = decoder.decode(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
    const changed = changeValue(value, random);
    return encoder.encode(JSON.stringify(changed) ?? 'null');
  } catch {
    // No JSON any more, or too deep to be written.
    return random.once(2) ? encoder.encode(nested(random, text)) : mutateBytes(bytes, random);
  }
}

/** What `JSON.stringify` cannot write. */
function nested(random: FuzzRandom, text: string): string {
  const open = random.pick(['[', '{"a":', '[{"a":[']);
  const close = random.once(2) ? '' : open.replace(/[^[{]/g, '').replaceAll('[', ']').replaceAll('{', '}');
  const depth = random.pick([600, 5000, 200_000]);
  return `${open.repeat(depth)}1${close.repeat(depth)}`.slice(0, largestFile) || text;
}

function mutateText(bytes: Uint8Array, random: FuzzRandom): Uint8Array {
  const text = decoder.decode(bytes);
  if (random.once(20)) return encoder.encode(nested(random, text));
  const pieces = text.split(/(?<=[,:{}[\]\s])/);
  const at = random.below(pieces.length);
  const other = random.pick(pieces);
  switch (random.below(4)) {
    case 0:
      pieces.splice(at, 1 + random.below(4));
      break;
    case 1:
      pieces.splice(at, 0, other.repeat(random.pick([1, 3, 1000])));
      break;
    case 2:
      pieces[at] = other;
      break;
    default:
      pieces[at] = JSON.stringify(random.pick(values.slice(0, 10))(random)) ?? 'null';
  }
  return encoder.encode(pieces.join('').slice(0, largestFile));
}

/** Rows, one JSON value a line. */
function mutateLines(bytes: Uint8Array, random: FuzzRandom): Uint8Array {
  const lines = decoder.decode(bytes).split('\n');
  const at = random.below(lines.length);
  if (random.once(10)) lines.splice(at, 0, (lines[at] ?? '').repeat(random.pick([2, 500])));
  else lines[at] = decoder.decode(mutateJson(encoder.encode(lines[at] ?? ''), random));
  return encoder.encode(lines.join(random.once(10) ? '\r\n' : '\n').slice(0, largestFile));
}

/** A safetensors file with another header: its JSON changed, its length true or not. */
function mutateHeader(bytes: Uint8Array, random: FuzzRandom): Uint8Array {
  if (bytes.length < 8) return mutateBytes(bytes, random);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Math.min(Number(view.getBigUint64(0, true)), bytes.length - 8);
  const header = random.pick([mutateJson, mutateText, mutateNames])(bytes.subarray(8, 8 + length), random);
  const first = new Uint8Array(8);
  const claimed = random.once(12) ? random.pick([0, 1, header.length * 2, 1e8, 2 ** 53, 8]) : header.length;
  new DataView(first.buffer).setBigUint64(0, BigInt(claimed), true);
  return joined(first, header, bytes.subarray(8 + length));
}

/** Other names for tensors, of the same bytes. */
function mutateNames(bytes: Uint8Array, random: FuzzRandom): Uint8Array {
  const renamed = decoder
    .decode(bytes)
    .replace(random.pick([/weight/g, /lora_A/, /layers\.0/g, /model\./, /base_model/g, /"F32"/, /\d+\]/]), () =>
      random.pick(['bias', 'lora_B', 'layers.99999', 'x.', '', '"F64"', '"BF16"', '"U8"', '0]', '1000000000000]']),
    );
  return encoder.encode(renamed);
}

/** What templates do that takes long, and what most engines read in other ways. */
const fragments: readonly string[] = [
  '{% for i in range(1000000000) %}x{% endfor %}',
  "{{ 'ab' * 100000000 }}",
  '{% set x = namespace(n=0) %}{% for m in messages %}{% set x.n = x.n + 1 %}{% endfor %}{{ x.n }}',
  '{{ messages | tojson(indent=99999999) }}',
  '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}',
  '{% raw %}{{ x }}{% endraw %}',
  '{{ messages[0].content | replace("", "aaaaaaaaaaaaaaaaaaaa") }}',
  '{{ "%s" % messages }}',
  '{{ range(100000) | list | string }}',
  '{% generation %}x{% endgeneration %}',
  '{% if',
  '{{',
  '}}',
  '{#',
  '{%- for m in messages -%}{{ m }}',
  '{{ ("(a+)+b" * 50) | length }}',
  '{{ [[[[1]]]] | flatten }}',
  '{{ messages | map(attribute="constructor") | list }}',
  '{{ messages.__proto__ }}',
  '{{ (1).toString.constructor("return process")() }}',
];

function mutateTemplate(bytes: Uint8Array, random: FuzzRandom): Uint8Array {
  const pieces = decoder.decode(bytes).split(/(?=\{[{%#])|(?<=[}%#]\})/);
  const at = random.below(pieces.length + 1);
  const kind = random.below(4);
  if (kind < 2) pieces.splice(at, 0, random.pick(fragments));
  else if (kind === 2) pieces.splice(at, 1);
  else pieces.splice(at, 0, random.pick(pieces.length === 0 ? fragments : pieces).repeat(random.pick([1, 2, 300])));
  return encoder.encode(pieces.join('').slice(0, largestFile));
}
