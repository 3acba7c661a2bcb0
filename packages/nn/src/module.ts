import { LowrankError } from '@lowrank/errors';
import type { Tensor } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';

/**
 * A place that holds a tensor of weights. Layers read `parameter.tensor` whenever they are traced, so that the trainer
 * may replace it by a view of a flat vector, a loader by another dtype, and an adapter by a copy of its own.
 */
export class Parameter {
  #held: Tensor;
  #rule: ((held: Tensor) => Tensor) | undefined;
  /** What may stand here instead, by the name of the adapter that it belongs to. */
  readonly copies = new Map<string, Parameter>();
  /** Whose copy does. */
  active: string | undefined;

  constructor(
    held: Tensor,
    public trainable = true,
  ) {
    this.#held = held;
  }

  /** The tensor that was put here, whatever is derived from it. */
  get stored(): Tensor {
    return this.#held;
  }

  /** What the model itself has here, stored or derived, whichever copy stands in its place. */
  get own(): Tensor {
    return this.#rule?.(this.#held) ?? this.#held;
  }

  /** @throws LowrankError `nn.derived` while the parameter is derived */
  set own(value: Tensor) {
    if (this.#rule !== undefined)
      throw new LowrankError({
        code: 'nn.derived',
        what: 'a parameter that is computed from another tensor',
        expected: 'a stored value to replace',
        got: 'a rule',
        remedy: 'Take the rule away first, with derive(undefined).',
      });
    this.#held = value;
  }

  /** What layers compute with. */
  get tensor(): Tensor {
    return (this.active === undefined ? undefined : this.copies.get(this.active)?.tensor) ?? this.own;
  }

  set tensor(value: Tensor) {
    this.own = value;
  }

  get isDerived(): boolean {
    return this.#rule !== undefined;
  }

  /**
   * From now on `own` is `rule(stored)`, traced anew wherever it is read; undefined ends that. As a parametrization in
   * PyTorch: the layer does not know.
   */
  derive(rule: ((stored: Tensor) => Tensor) | undefined): void {
    this.#rule = rule;
  }

  /** Frees what is stored here, and every copy. */
  dispose(): void {
    this.#held.dispose();
    this.disposeCopies();
  }

  protected disposeCopies(): void {
    for (const copy of this.copies.values()) copy.dispose();
  }
}

/**
 * A node of the module tree: named parameters and named children, under the names that Hugging Face checkpoints use. A
 * subclass registers what it has in its constructor and has a forward of its own.
 */
export class Module {
  /**
   * The path, below this module, of the layer that makes the logits; undefined in a module that makes none. 'all-linear'
   * leaves it out, and adapters of some kinds cannot go around it.
   */
  readonly outputPath: string | undefined = undefined;
  readonly #children = new Map<string, Module>();
  readonly #parameters = new Map<string, Parameter>();

  /** Names a child, and gives it back for the field that holds it. */
  protected child<M extends Module>(name: string, module: M): M {
    this.#children.set(name, module);
    return module;
  }

  /** Names a parameter, and gives it back for the field that holds it. */
  protected parameter(name: string, parameter: Parameter): Parameter {
    this.#parameters.set(name, parameter);
    return parameter;
  }

  /** Forgets a parameter, without freeing it. */
  protected dropParameter(name: string): void {
    this.#parameters.delete(name);
  }

  children(): ReadonlyMap<string, Module> {
    return this.#children;
  }

  /** The parameters of this module itself, without its children's. */
  ownParameters(): ReadonlyMap<string, Parameter> {
    return this.#parameters;
  }

  /** Every module below this one with its path, parents first: 'model.layers.0.self_attn.q_proj'. */
  *namedModules(prefix = ''): Generator<readonly [path: string, module: Module]> {
    for (const [name, module] of this.#children) {
      const path = joined(prefix, name);
      yield [path, module];
      yield* module.namedModules(path);
    }
  }

  /**
   * Every parameter with its path: 'model.layers.0.self_attn.q_proj.weight'. A parameter that two modules share comes
   * twice.
   */
  *namedParameters(prefix = ''): Generator<readonly [path: string, parameter: Parameter]> {
    for (const [name, parameter] of this.#parameters) yield [joined(prefix, name), parameter];
    for (const [name, module] of this.#children) yield* module.namedParameters(joined(prefix, name));
  }

  /** The module at a path. */
  getModule(path: string): Module {
    const [name = '', ...below] = path.split('.');
    const child = this.#children.get(name);
    if (child === undefined) {
      throw new LowrankError({
        code: 'nn.noModule',
        what: `the module ${path}`,
        expected: `one of ${[...this.#children.keys()].join(', ') || 'no children'}`,
        got: name,
      });
    }
    return below.length === 0 ? child : child.getModule(below.join('.'));
  }

  /**
   * Puts another module at a path: how adapters get around a layer. The parent reads its children through `getModule`
   * or `this.layer(name)`.
   */
  setModule(path: string, replacement: Module): void {
    const at = path.lastIndexOf('.');
    const parent = at < 0 ? this : this.getModule(path.slice(0, at));
    const name = path.slice(at + 1);
    if (!parent.#children.has(name)) {
      throw new LowrankError({
        code: 'nn.noModule',
        what: `the module ${path}`,
        expected: 'an existing module to replace',
        got: 'none',
      });
    }
    parent.#children.set(name, replacement);
  }

  /**
   * The layer that is now at `name`: the original, or what an adapter has put around it. Its ops are traced under its
   * name.
   */
  protected layer(name: string): { forward(x: Tensor): Tensor } {
    const module = this.#children.get(name);
    if (module === undefined || !isLayer(module))
      throw new LowrankError({
        code: 'nn.noModule',
        what: `the layer ${name}`,
        expected: 'a module with forward(x)',
        got: 'none',
      });
    return { forward: (x) => scope(name, () => module.forward(x)) };
  }

  /** Frees the persistent tensors of this module and all below it. */
  dispose(): void {
    for (const parameter of this.heldParameters()) parameter.dispose();
    for (const [, module] of this.namedModules()) for (const parameter of module.heldParameters()) parameter.dispose();
  }

  /** What is freed with this module itself: its parameters, and places that are none. */
  protected heldParameters(): Iterable<Parameter> {
    return this.#parameters.values();
  }
}

/** A module of one tensor in and one out. */
export interface Layer extends Module {
  forward(x: Tensor): Tensor;
}

/** A layer x […, in] → […, out] that adapters can wrap. */
export interface LinearLike extends Layer {
  readonly inFeatures: number;
  readonly outFeatures: number;
}

export function isLayer(module: Module): module is Layer {
  return 'forward' in module && typeof module.forward === 'function';
}

export function isLinearLike(module: Module): module is LinearLike {
  return isLayer(module) && 'inFeatures' in module && 'outFeatures' in module;
}

function joined(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}.${name}`;
}
