import { Module } from './module.js';

/** Modules under the names 0, 1, 2, …, as torch.nn.ModuleList. */
export class ModuleList<M extends Module> extends Module {
  constructor(readonly items: readonly M[]) {
    super();
    items.forEach((item, at) => this.child(String(at), item));
  }
}
