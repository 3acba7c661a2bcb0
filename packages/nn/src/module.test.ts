import { tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import type { Tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { Linear } from './linear.js';
import type { Layer } from './module.js';
import { isLinearLike, Module } from './module.js';
import { Parameter } from './parameter.js';
import { ModuleList } from './moduleList.js';

const square = (value: number): Linear => new Linear(tensor([value, 0, 0, value], [2, 2]));

class Block extends Module {
  readonly norm: Parameter;

  constructor(value: number) {
    super();
    this.norm = this.parameter('norm', new Parameter(tensor([1, 1])));
    this.child('proj', square(value));
  }

  forward(x: Tensor): Tensor {
    return this.layer('proj').forward(x);
  }
}

class Tower extends Module {
  readonly layers: ModuleList<Block>;

  constructor() {
    super();
    this.layers = this.child('layers', new ModuleList([new Block(2), new Block(3)]));
  }
}

class Reversed extends Module {
  readonly inFeatures = 2;
  readonly outFeatures = 2;

  forward(x: Tensor): Tensor {
    return x;
  }
}

test('paths are those of checkpoints', () => {
  const tower = new Tower();
  expect([...tower.namedModules()].map(([path]) => path)).toEqual([
    'layers',
    'layers.0',
    'layers.0.proj',
    'layers.1',
    'layers.1.proj',
  ]);
  expect([...tower.namedParameters()].map(([path]) => path)).toEqual([
    'layers.0.norm',
    'layers.0.proj.weight',
    'layers.1.norm',
    'layers.1.proj.weight',
  ]);
  expect(tower.getModule('layers.1.proj')).toBeInstanceOf(Linear);
});

test('what is put in a layer’s place is what its parent calls', async () => {
  const tower = new Tower();
  const [first] = tower.layers.items;
  const x = tensor([5, 7], [1, 2]);
  const before = first?.forward(x);
  tower.setModule('layers.0.proj', new Reversed());
  const after = first?.forward(x);
  if (before === undefined || after === undefined) throw new TypeError('two layers');
  expect(await evaluateReference([before, after])).toEqual([Float64Array.of(10, 14), Float64Array.of(5, 7)]);
});

test('ops are traced under the name of the layer', () => {
  const y = new Tower().layers.items[1]?.forward(tensor([1, 2], [1, 2]));
  expect(y?.node.kind === 'op' && y.node.scope).toBe('proj');
});

test('a parameter may be replaced: layers read it whenever they are traced', async () => {
  const layer = square(2);
  layer.weight.tensor = tensor([0, 1, 1, 0], [2, 2]);
  expect(await evaluateReference([layer.forward(tensor([3, 4], [1, 2]))])).toEqual([Float64Array.of(4, 3)]);
});

test('an unknown path is named, with what there is', () => {
  const tower = new Tower();
  expect(() => tower.getModule('layers.0.q_proj')).toThrow(/q_proj.*proj/);
  expect(() => tower.getModule('layers.2.proj')).toThrow(/expected one of 0, 1/);
  expect(() => tower.setModule('layers.0.q_proj', square(1))).toThrow(/layers\.0\.q_proj/);
  expect(() => tower.setModule('layer', square(1))).toThrow(/existing module/);
});

test('linear-like is what has features and a forward', () => {
  expect(isLinearLike(square(1))).toBe(true);
  expect(isLinearLike(new Reversed())).toBe(true);
  expect(isLinearLike(new Block(1))).toBe(false);
});

test('dispose frees every tensor', async () => {
  const tower = new Tower();
  const [, [, { tensor: weight }] = ['', new Parameter(tensor([0]))]] = tower.namedParameters();
  tower.dispose();
  await expect(evaluateReference([weight])).rejects.toThrow(/disposed/);
});

class Fields extends Module {
  fc: Layer = square(2);
  gain = new Parameter(tensor([1, 1]));
  readonly #hidden = square(9);

  forward(x: Tensor): Tensor {
    return this.fc.forward(this.#hidden.forward(x));
  }
}

test('a field that holds a module or a parameter is a part under its name', async () => {
  const module = new Fields();
  expect([...module.namedParameters()].map(([path]) => path)).toEqual(['gain', 'fc.weight']);
  const x = tensor([5, 7], [1, 2]);
  const before = module.forward(x);
  const inner = module.fc;
  module.setModule('fc', new Reversed());
  expect(module.getModule('fc')).toBeInstanceOf(Reversed);
  expect(await evaluateReference([before, module.forward(x)])).toEqual([
    Float64Array.of(90, 126),
    Float64Array.of(45, 63),
  ]);
  module.setModule('fc', inner);
  expect([...module.namedParameters()].map(([path]) => path)).toEqual(['gain', 'fc.weight']);
});

test('a registered child is no second child by its field, whatever stands in its place', () => {
  const tower = new Tower();
  tower.setModule('layers', new Reversed());
  expect([...tower.children().keys()]).toEqual(['layers']);
});

test('modules in a plain array would not be trained: an error shows the way', () => {
  class Stack extends Module {
    blocks = [square(1), square(2)];
  }
  expect(() => [...new Stack().namedParameters()]).toThrow(
    'the field blocks of Stack: expected a module, or a ModuleList of several, got an array of modules. ' +
      'Write this.blocks = new ModuleList([…]).',
  );
});

test('two parts of one name are an error', () => {
  class Twice extends Module {
    proj = square(1);

    constructor() {
      super();
      this.child('proj', square(2));
    }
  }
  expect(() => new Twice().getModule('proj')).toThrow(/the field proj: .*Register it under another name/);
});
