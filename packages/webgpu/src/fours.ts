import type { DType } from '@lowrank/tensor';
import type { Slice } from './kernel.js';
import type { Shader } from './shader.js';

/** An array of numbers, in f32 or f16, inside a shader: by groups of four, or one by one. */
export interface Stored {
  /** The array as it is bound. */
  readonly name: string;
  /** WGSL of the group, or number, at an index. */
  read(index: string): string;
  /** WGSL that writes it. */
  write(index: string, value: string): string;
}

/** A slice of memory, and what it holds. */
export type TypedSlice = Slice & { readonly dtype: DType };

/** Binds an array whose rows are whole groups of four, for reading or for writing too. */
export function bindFours(shader: Shader, name: string, slice: TypedSlice, use: 'read' | 'write'): Stored {
  if (slice.dtype !== 'f16') return plain(shader[use](name, slice, 'vec4<f32>'));
  const bound = shader[use](name, slice, 'vec2<u32>');
  shader.declare(unpackFour);
  if (use === 'write') {
    shader.enable('f16');
    shader.declare(packFour);
  }
  return {
    name: bound,
    read: (index) => `unpackFour(${bound}[${index}])`,
    write: (index, value) => `${bound}[${index}] = packFour(${value});`,
  };
}

/** How a kernel binds its arrays: all by groups of four (`vector`), or all number by number, which are f32 then. */
export interface Cells {
  read(name: string, slice: TypedSlice): Stored;
  /** For reading too. */
  write(name: string, slice: TypedSlice): Stored;
}

export function cellsOf(shader: Shader, vector: boolean): Cells {
  const bind = (use: 'read' | 'write') => (name: string, slice: TypedSlice) =>
    vector ? bindFours(shader, name, slice, use) : plain(shader[use](name, slice, 'f32'));
  return { read: bind('read'), write: bind('write') };
}

function plain(name: string): Stored {
  return { name, read: (index) => `${name}[${index}]`, write: (index, value) => `${name}[${index}] = ${value};` };
}

// Reading takes no feature.
const unpackFour = `
fn unpackFour(words: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
`;

/**
 * Rounds by a conversion, to the nearest, as products round their operands, and then packs what is exact already:
 * `pack2x16float` alone rounds toward zero on some GPUs, which would make every number a little smaller. (Of vectors of
 * f16 naga has no bitcast.)
 */
const packFour = `
fn packFour(value: vec4<f32>) -> vec2<u32> {
  let rounded = vec4<f32>(vec4<f16>(value));
  return vec2<u32>(pack2x16float(rounded.xy), pack2x16float(rounded.zw));
}
`;
