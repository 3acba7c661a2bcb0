import type { KernelDispatch } from '../kernel.js';

/** A kernel that reports every index outside its array, and the indices that it can report. */
export interface CheckedKernel {
  readonly dispatch: KernelDispatch;
  /** What fault number n, from 1 on, stands for. */
  readonly sites: readonly string[];
}

interface ArrayType {
  readonly element: string;
  /** WGSL of the number of elements. */
  readonly length: string;
}

/** An array's name, in the part of the code from `from` to `to`. */
interface Declaration extends ArrayType {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** A piece of the code that is being rewritten: where it begins, and what is known of the whole. */
interface Piece {
  readonly code: string;
  readonly start: number;
  readonly arrays: readonly Declaration[];
  readonly sites: string[];
}

/**
 * A kernel whose code writes to `faults`, two words of a plan's buffer, the site of an index that lies outside its
 * array (storage, workgroup, private and local ones, and components of vectors), and that index; and which finds NaN
 * and nonsense in workgroup memory that nothing was written to. What it computes is the same. Where no case of a
 * kernel's tests reports anything, the kernel needs neither Dawn's robustness nor workgroup memory that begins as zero.
 */
export function checkedKernel(dispatch: KernelDispatch, faults: number): CheckedKernel {
  const { code: original } = dispatch;
  const sites: string[] = [];
  const arrays = arraysOf(original);
  const indices = checkIndices({ code: original, start: 0, arrays, sites });
  const body = poisoned(checkMatrices(indices, arrays, sites));
  const binding = dispatch.bindings.length;
  const enables = body.match(/^(?:(?:enable|diagnostic)[^;]+;\s*)*/)?.[0] ?? '';
  const code = `${enables}@group(0) @binding(${binding}) var<storage, read_write> faults: array<atomic<u32>, 2>;
fn indexWithin(at: u32, length: u32, site: u32) -> u32 {
  if (at >= length) { atomicStore(&faults[0], site); atomicStore(&faults[1], at); }
  return min(at, length - 1u);
}
${body.slice(enables.length)}`;
  const bindings = [...dispatch.bindings, { buffer: faults, offset: 0, bytes: 8, access: 'read_write' as const }];
  return { dispatch: { ...dispatch, code, bindings }, sites };
}

/** The arrays and vectors that the code declares, and where each name means them. */
function arraysOf(code: string): Declaration[] {
  const functions = [...code.matchAll(/\bfn \w+\(/g)].map(({ index }) => ({
    from: index,
    to: closing(code, code.indexOf('{', index)),
  }));
  return [...code.matchAll(/\bvar(?:<[^>]*>)?\s+(\w+)\s*:\s*/g)].flatMap((match) => {
    const [whole, name = ''] = match;
    const { index } = match;
    const array = arrayType(typeAt(code, index + whole.length), name);
    const own = functions.find(({ from, to }) => from < index && index < to);
    return array === undefined
      ? []
      : [{ ...array, name, from: own === undefined ? 0 : index, to: own?.to ?? Infinity }];
  });
}

/** The type that begins at `from`, to the end of its angle brackets. */
function typeAt(code: string, from: number): string {
  let depth = 0;
  for (let at = from; at < code.length; at++) {
    const sign = code[at] ?? '';
    if (sign === '<') depth++;
    if (sign === '>' && --depth === 0) return code.slice(from, at + 1);
    if (depth === 0 && /[\s;=]/.test(sign)) return code.slice(from, at);
  }
  return code.slice(from);
}

function arrayType(type: string, name: string): ArrayType | undefined {
  const vector = /^vec([234])<(\w+)>$/.exec(type);
  if (vector !== null) return { element: vector[2] ?? '', length: `${vector[1]}u` };
  const array = /^array<(.*?)(?:,\s*(\d+)u?\s*)?>$/s.exec(type);
  if (array === null) return undefined;
  const [, element = '', count] = array;
  return { element, length: count === undefined ? `arrayLength(&${name})` : `${count}u` };
}

function checkIndices({ code, start, arrays, sites }: Piece): string {
  let out = '';
  let at = 0;
  for (const match of code.matchAll(/\b([A-Za-z_]\w*)\[/g)) {
    const [whole, name = ''] = match;
    const place = start + match.index;
    let array: ArrayType | undefined = arrays.findLast(
      (each) => each.name === name && each.from <= place && place < each.to,
    );
    if (array === undefined || match.index < at) continue;
    out += code.slice(at, match.index + whole.length - 1);
    at = match.index + whole.length - 1;
    // a[i][j]: the second index is one of the element.
    while (array !== undefined && code[at] === '[') {
      const end = closing(code, at);
      const index = { code: code.slice(at + 1, end), start: start + at + 1, arrays, sites };
      out += `[${checkedIndex(name, index, array)}]`;
      at = end + 1;
      array = arrayType(array.element, name);
    }
  }
  return out + code.slice(at);
}

function checkedIndex(name: string, index: Piece, { length }: ArrayType): string {
  const { code, sites } = index;
  // The compiler itself refuses a constant outside a length that it knows.
  if (/^\s*\d+u?\s*$/.test(code) && !length.startsWith('arrayLength')) return code;
  const inner = checkIndices(index);
  sites.push(`${name}[${code}]`);
  return `indexWithin(u32(${inner}), ${length}, ${sites.length}u)`;
}

/**
 * Subgroup matrices are read from and written to arrays without an index: `subgroupMatrixLoad<type,
 * row_major>(&array, from, pitch)` takes the elements up to from + (outer − 1)·pitch + inner − 1, which is checked
 * through its first.
 */
function checkMatrices(code: string, arrays: readonly Declaration[], sites: string[]): string {
  const call = /subgroupMatrix(?:Load<(subgroup_matrix_\w+<[^>]*>), (row|col)|Store<(row|col))_major>\(&(\w+), /g;
  let out = '';
  let at = 0;
  for (const match of code.matchAll(call)) {
    const [whole, loaded, loadOrder, storeOrder, name = ''] = match;
    const array = arrays.find((each) => each.name === name);
    const start = match.index + whole.length;
    const rest = splitArguments(code.slice(start, closing(code, match.index + whole.lastIndexOf('('))));
    const [from = '', second = '', third] = rest;
    const type = loaded ?? new RegExp(`var ${second.trim()}(?::| =) (\\w+<[^>]*>)`).exec(code)?.[1] ?? '';
    const [, columns = '', rows = ''] = /, (\d+), (\d+)>/.exec(type) ?? [];
    if (array === undefined || columns === '') throw new TypeError(`a matrix of unknown size: ${whole}`);
    const [outer, inner] = (loadOrder ?? storeOrder) === 'row' ? [rows, columns] : [columns, rows];
    sites.push(`a matrix at ${name}[${from}]`);
    const span = `${Number(outer) - 1}u * ${(third ?? second).trim()} + ${Number(inner) - 1}u`;
    out += `${code.slice(at, start)}indexWithin(${from}, ${array.length} - (${span}), ${sites.length}u)`;
    at = start + from.length;
  }
  return out + code.slice(at);
}

/** The arguments of a call, whose text ends before its closing bracket. */
function splitArguments(text: string): string[] {
  const parts = [''];
  let depth = 0;
  for (const sign of text) {
    if (sign === '(' || sign === '[') depth++;
    if (sign === ')' || sign === ']') depth--;
    if (sign === ',' && depth === 0) parts.push('');
    else parts.push(`${parts.pop() ?? ''}${sign}`);
  }
  return parts;
}

/** Where the bracket or brace at `from` closes. */
function closing(code: string, from: number): number {
  const open = code[from] ?? '';
  const close = { '{': '}', '[': ']', '(': ')' }[open];
  let depth = 0;
  for (let at = from; at < code.length; at++) {
    if (code[at] === open) depth++;
    if (code[at] === close && --depth === 0) return at;
  }
  throw new TypeError(`a bracket that nothing closes: ${code.slice(from, from + 40)}`);
}

/** Fills workgroup memory with what no kernel may rely on, before main begins. */
function poisoned(code: string): string {
  const lane = /@builtin\(local_invocation_index\)\s+(\w+)/.exec(code)?.[1];
  const fills = [...code.matchAll(/var<workgroup>\s+(\w+)\s*:\s*/g)].map((match) => {
    const [whole, name = ''] = match;
    const type = typeAt(code, match.index + whole.length);
    if (type === 'atomic<u32>') return `  atomicStore(&${name}, poisonBits);\n`;
    const array = arrayType(type, name);
    if (array === undefined || type.startsWith('vec')) return `  if (${lane} == 0u) { ${name} = ${poison(type)}; }\n`;
    const size = /@workgroup_size\((\d+)/.exec(code)?.[1] ?? '1';
    return (
      `  for (var cell = ${lane}; cell < ${array.length}; cell += ${size}u) ` +
      `{ ${name}[cell] = ${poison(array.element)}; }\n`
    );
  });
  if (fills.length === 0 || lane === undefined) return code;
  const main = code.indexOf('{', code.indexOf('fn main(')) + 1;
  const fill = `\n${fills.join('')}  workgroupBarrier();\n`;
  const declared = code.slice(0, main).replace('@compute', 'var<private> poisonBits: u32 = 0x7fc0beefu;\n@compute');
  return `${declared}${fill}${code.slice(main)}`;
}

function poison(type: string): string {
  const [, vector, scalar = type] = /^(vec\d)<(\w+)>$/.exec(type) ?? [];
  const value =
    scalar === 'f16'
      ? 'f16(bitcast<f32>(poisonBits))'
      : scalar === 'u32'
        ? 'poisonBits'
        : `bitcast<${scalar}>(poisonBits)`;
  return vector === undefined ? value : `${type}(${value})`;
}
