import { scope } from '@lowrank/tensor/op';
import { block } from './checkpointing.js';
import { Module } from './module.js';

/** Modules under the names 0, 1, 2, …, as torch.nn.ModuleList. */
export class ModuleList<M extends Module> extends Module {
  constructor(readonly items: readonly M[]) {
    super();
    items.forEach((item, at) => this.child(String(at), item));
  }

  /**
   * x through `step` for each item in turn, traced under `name.0`, `name.1`, …: the layers of a model, each a block for
   * `withCheckpointing`.
   */
  run<T>(name: string, x: T, step: (item: M, x: T, at: number) => T): T {
    return this.items.reduce((value, item, at) => scope(`${name}.${at}`, () => block(() => step(item, value, at))), x);
  }
}
