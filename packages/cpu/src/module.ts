import { LowrankError } from '@lowrank/errors';
import type { Compiled } from './generated/kernels.js';
import { baseline, relaxed } from './generated/kernels.js';
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
  if (relaxedSimd) {
    const bytes = bytesOf(relaxed, shared);
    if (!WebAssembly.validate(bytes))
      nodeModule<{ setFlagsFromString(flags: string): void }>('node:v8')?.setFlagsFromString(
        '--experimental-wasm-relaxed-simd',
      );
    if (WebAssembly.validate(bytes)) return { module: await WebAssembly.compile(bytes), tier: 'relaxed' };
  }
  const bytes = bytesOf(baseline, shared);
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

function bytesOf({ base64, memoryFlag }: Compiled, shared: boolean): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  bytes[memoryFlag] = shared ? 3 : 1;
  return bytes;
}
