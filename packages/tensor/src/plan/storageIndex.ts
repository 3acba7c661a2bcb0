import type { Instruction, Value } from './program.js';

/** Which instructions touch a storage, and which write it, by their places in the program and in order. */
export class StorageIndex {
  private readonly touched = new Map<Value, number[]>();
  private readonly written = new Map<Value, number[]>();

  constructor(instructions: readonly Instruction[]) {
    instructions.forEach((instruction, at) => this.add(instruction, at));
  }

  /** An instruction behind all that are known. */
  add({ inputs, outputs }: Instruction, at: number): void {
    for (const { root } of inputs) append(this.touched, root, at);
    for (const { root } of outputs) {
      append(this.touched, root, at);
      append(this.written, root, at);
    }
  }

  touches(root: Value): readonly number[] {
    return this.touched.get(root) ?? [];
  }

  writers(root: Value): readonly number[] {
    return this.written.get(root) ?? [];
  }

  /** What was a storage of its own lies in another one now. */
  move(from: Value, to: Value): void {
    for (const table of [this.touched, this.written]) {
      const both = new Set([...(table.get(to) ?? []), ...(table.get(from) ?? [])]);
      table.set(
        to,
        [...both].sort((a, b) => a - b),
      );
      table.delete(from);
    }
  }
}

function append(table: Map<Value, number[]>, root: Value, at: number): void {
  const places = table.get(root) ?? [];
  if (places.at(-1) !== at) places.push(at);
  table.set(root, places);
}
