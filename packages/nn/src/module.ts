import { LowrankError } from '@lowrank/errors';
import type { Tensor } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import { Parameter } from './parameter.js';

/**
 * A node of the module tree: named parameters and named children. A subclass has a forward of its own, and gets its
 * parts in one of two ways:
 *
 * - A field that holds a Module or a Parameter is a part under the field's name: `fc = new Linear(2, 8, { rng })`, as
 *   in PyTorch. `setModule` puts another module into the field.
 * - `child(name, module)` and `parameter(name, parameter)` register a part under any name, as checkpoints have it. A
 *   field may hold it too; calls then go through `layer(name)`, which finds what `setModule` has put there.
 *
 * Modules in a plain array are an error; `ModuleList` and `Sequential` take several. What lies in private #fields, maps
 * and objects is not seen: register it.
 */
export class Module {
  /**
   * The path, below this module, of the layer that makes the logits; undefined in a module that makes none.
   * 'all-linear' leaves it out, and adapters of some kinds cannot go around it.
   */
  readonly outputPath: string | undefined = undefined;
  /** The path of a module or tensor by the name that files have for it; undefined for what the model leaves out. */
  pathOf(stored: string): string | undefined {
    return stored;
  }

  readonly #children = new Map<string, Module>();
  readonly #parameters = new Map<string, Parameter>();
  /**
   * What fields may hold without it being a part under the field's name: registered, replaced, or of another module.
   */
  readonly #notByField = new WeakSet<Module | Parameter>();

  /** Registers a child, and returns it for the field that holds it. */
  protected child<M extends Module>(name: string, module: M): M {
    this.#children.set(name, module);
    this.#notByField.add(module);
    return module;
  }

  /** Registers a parameter, and returns it for the field that holds it. */
  protected parameter(name: string, parameter: Parameter): Parameter {
    this.#parameters.set(name, parameter);
    this.#notByField.add(parameter);
    return parameter;
  }

  /** Forgets a parameter, without freeing it. */
  protected dropParameter(name: string): void {
    this.#parameters.delete(name);
  }

  /** Marks what a field of this module holds though it belongs to another module, and returns it. */
  protected borrowed<Part extends Module | Parameter>(part: Part): Part {
    this.#notByField.add(part);
    return part;
  }

  /** The modules right below this one, by their names. */
  children(): ReadonlyMap<string, Module> {
    return withFields(this.#children, this.#fieldsOf(Module));
  }

  /** The parameters of this module itself, without its children's. */
  ownParameters(): ReadonlyMap<string, Parameter> {
    return withFields(this.#parameters, this.#fieldsOf(Parameter));
  }

  /** Parts by the fields that hold them. */
  #fieldsOf<Part extends Module | Parameter>(type: new (...args: never[]) => Part): [name: string, part: Part][] {
    return Object.entries(this).flatMap(([name, held]): [string, Part][] => {
      if (Array.isArray(held) && held.some((item) => item instanceof Module && !this.#notByField.has(item)))
        throw new LowrankError({
          code: 'nn.unregistered',
          what: `the field ${name} of ${this.constructor.name}`,
          expected: 'a module, or a ModuleList of several',
          got: 'an array of modules',
          remedy: `Write this.${name} = new ModuleList([…]).`,
        });
      return held instanceof type && !this.#notByField.has(held) ? [[name, held]] : [];
    });
  }

  /** Every module below this one with its path, parents first: 'model.layers.0.self_attn.q_proj'. */
  *namedModules(prefix = ''): Generator<readonly [path: string, module: Module]> {
    for (const [name, module] of this.children()) {
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
    for (const [name, parameter] of this.ownParameters()) yield [joined(prefix, name), parameter];
    for (const [name, module] of this.children()) yield* module.namedParameters(joined(prefix, name));
  }

  /** The module at a path. */
  getModule(path: string): Module {
    const [name = '', ...below] = path.split('.');
    const children = this.children();
    const child = children.get(name);
    if (child === undefined) {
      throw new LowrankError({
        code: 'nn.noModule',
        what: `the module ${path}`,
        expected: `one of ${[...children.keys()].join(', ') || 'no children'}`,
        got: name,
      });
    }
    return below.length === 0 ? child : child.getModule(below.join('.'));
  }

  /**
   * Puts another module at a path, which is how an adapter gets around a layer. A parent reaches a registered child
   * through `getModule` or `this.layer(name)`, and one that a field holds through the field too.
   */
  setModule(path: string, replacement: Module): void {
    const at = path.lastIndexOf('.');
    const parent = at < 0 ? this : this.getModule(path.slice(0, at));
    const name = path.slice(at + 1);
    const isRegistered = parent.#children.has(name);
    if (!isRegistered && !parent.children().has(name)) {
      throw new LowrankError({
        code: 'nn.noModule',
        what: `the module ${path}`,
        expected: 'an existing module to replace',
        got: 'none',
      });
    }
    if (isRegistered) parent.child(name, replacement);
    else (parent as unknown as Record<string, Module>)[name] = replacement;
  }

  /**
   * The layer that is now at `name`: the original, or what an adapter has put around it. Its ops are traced under its
   * name.
   */
  protected layer(name: string): { forward(x: Tensor): Tensor } {
    const module = this.children().get(name);
    if (module === undefined || !isLayer(module))
      throw new LowrankError({
        code: 'nn.noModule',
        what: `the layer ${name}`,
        expected: 'a module with forward(x)',
        got: module === undefined ? 'none' : module.constructor.name,
      });
    return { forward: (x) => scope(name, () => module.forward(x)) };
  }

  /** Frees the persistent tensors of this module and all below it. */
  dispose(): void {
    for (const parameter of this.heldParameters()) parameter.dispose();
    for (const [, module] of this.namedModules()) for (const parameter of module.heldParameters()) parameter.dispose();
  }

  /** What is freed with this module itself: its parameters, and what else it holds. */
  protected heldParameters(): Iterable<Parameter> {
    return this.ownParameters().values();
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

/** Whether a module has a `forward`. */
export function isLayer(module: Module): module is Layer {
  return 'forward' in module && typeof module.forward === 'function';
}

/** Whether a module is a layer with `inFeatures` and `outFeatures`, which an adapter may wrap. */
export function isLinearLike(module: Module): module is LinearLike {
  return isLayer(module) && 'inFeatures' in module && 'outFeatures' in module;
}

function joined(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}.${name}`;
}

function withFields<Part>(registered: ReadonlyMap<string, Part>, fields: [string, Part][]): ReadonlyMap<string, Part> {
  if (fields.length === 0) return registered;
  for (const [name] of fields)
    if (registered.has(name))
      throw new LowrankError({
        code: 'nn.unregistered',
        what: `the field ${name}`,
        expected: 'the part that is registered under this name',
        got: 'another one',
        remedy: `Register it under another name, or use setModule('${name}', …).`,
      });
  return new Map([...registered, ...fields]);
}
