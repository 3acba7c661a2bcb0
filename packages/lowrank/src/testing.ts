import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from './cli/main.js';

/** Goldens made by transformers and PEFT: parity/README.md tells what is what. */
export const golden = fileURLToPath(new URL('../../../parity/golden/llama', import.meta.url));

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

export function readLines<T>(path: string): T[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as T);
}

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
  /** stdout's lines, parsed. */
  json<T>(): T[];
}

export interface RunOptions {
  /** Called with all of stderr so far, at each piece; what it returns true for is a Ctrl-C. */
  interruptWhen?(stdout: string): boolean;
}

/** Runs a command line within this process. */
export async function runCli(argv: readonly string[], { interruptWhen }: RunOptions = {}): Promise<Outcome> {
  const outcome = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  const code = await main(argv, {
    stdout(text) {
      outcome.stdout += text;
      if (interruptWhen?.(outcome.stdout) === true) listeners.forEach((listener) => listener());
    },
    stderr: (text) => void (outcome.stderr += text),
    isTTY: false,
    onInterrupt(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  });
  return { code, ...outcome, json: <T>() => outcome.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as T) };
}

/** A folder that is gone after the test. */
export function scratch(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'lowrank-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A copy of a golden folder that a test may spoil. */
export function copyOf(name: string, to: string): string {
  cpSync(join(golden, name), to, { recursive: true });
  return to;
}
