import { LowrankError } from '@lowrank/errors';
import type { Compiled } from './compiled.js';
import { nodeModule } from './platform.js';

/**
 * What the compiled kernels export. Addresses and counts are numbers; control blocks and records: `assembly/index.ts`.
 */
export interface KernelExports {
  init(scratch: number): void;
  runAlone(records: number, count: number): void;
  /** 0 when all is done, 1 when nothing has moved for half a second, 2 when a thread has broken down. */
  runTogether(control: number, records: number, count: number, maySleep: number): number;
  /** Goes on where `runTogether` has returned 1. */
  rejoin(control: number, records: number, count: number, maySleep: number): number;
  work(control: number): void;
}

export interface LoadedModule {
  readonly module: WebAssembly.Module;
  /** 'relaxed' multiplies and adds in one instruction. */
  readonly tier: 'relaxed' | 'baseline';
}

/**
 * Compiles the kernels for shared or plain memory, in the best tier the engine takes. Node 20 knows relaxed SIMD but
 * asks for a flag, which only widens what WebAssembly validates; it is set here, once, unless `relaxedSimd` is false.
 */
export async function loadModule(shared: boolean, relaxedSimd = true): Promise<LoadedModule> {
  if (relaxedSimd && takesRelaxed()) {
    const { kernels } = await import('./generated/relaxed.js');
    const bytes = bytesOf(kernels, shared);
    if (WebAssembly.validate(bytes)) return { module: await WebAssembly.compile(bytes), tier: 'relaxed' };
  }
  const { kernels } = await import('./generated/baseline.js');
  const bytes = bytesOf(kernels, shared);
  if (!WebAssembly.validate(bytes)) {
    throw new LowrankError({
      code: 'cpu.unsupported',
      what: 'the CPU backend',
      expected: 'WebAssembly with SIMD and atomics',
      got: 'an engine that refuses them',
      remedy: 'Use Node 20 or later, or a browser of 2022 or later.',
    });
  }
  return { module: await WebAssembly.compile(bytes), tier: 'baseline' };
}

/**
 * A function of one instruction, `i8x16.relaxed_swizzle`, of two splat constants; asked first, so that no kernels are
 * loaded in vain.
 */
const relaxedProbe = Uint8Array.from(
  '00 61 73 6d 01 00 00 00 01 05 01 60 00 01 7b 03 02 01 00 0a 0f 01 0d 00 41 01 fd 0f 41 02 fd 0f fd 80 02 0b'
    .split(' ')
    .map((byte) => parseInt(byte, 16)),
);

function takesRelaxed(): boolean {
  if (WebAssembly.validate(relaxedProbe)) return true;
  nodeModule<{ setFlagsFromString(flags: string): void }>('node:v8')?.setFlagsFromString(
    '--experimental-wasm-relaxed-simd',
  );
  return WebAssembly.validate(relaxedProbe);
}

function bytesOf({ base64, memoryFlag }: Compiled, shared: boolean): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  bytes[memoryFlag] = shared ? 3 : 1;
  return bytes;
}
